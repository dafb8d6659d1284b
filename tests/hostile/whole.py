"""A small file of every kind, with nothing wrong, made on the spot."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import soundfile
import tifffile
from PIL import Image

from abprop.files.videos import save_video

SIDE = 16
RNG = np.random.default_rng
PICTURES = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "webp": "WEBP", "ppm": "PPM",
    "jp2": "JPEG2000"}  # fmt: skip
SOUNDS = {"wav": "WAV", "flac": "FLAC", "ogg": "OGG", "mp3": "MP3", "aif": "AIFF"}
VIDEOS = ("mp4", "avi", "webm", "mkv", "mov", "gif")
RECIPE = """seed = 3
[data]
kind = "images"
size = "8x8"
[model]
latent = "4"
sigma = 0.3
[train]
iterations = 20
"""


def pixels(*shape: int) -> np.ndarray:
    """Noise: uint8."""
    return RNG(1).integers(0, 256, shape, dtype=np.uint8)


def picture(form: str) -> bytes:
    """Of 16x16 in colours."""
    file = io.BytesIO()
    Image.fromarray(pixels(SIDE, SIDE, 3)).save(file, form)
    return file.getvalue()


def deep_png() -> bytes:
    """Of 16 bits, in grey."""
    file = io.BytesIO()
    Image.fromarray(pixels(SIDE, SIDE).astype(np.uint16) * 257).save(file, "PNG")
    return file.getvalue()


def palette_png() -> bytes:
    """Of a palette with a transparent colour."""
    file = io.BytesIO()
    image = Image.fromarray(pixels(SIDE, SIDE, 3)).quantize(8)
    image.save(file, "PNG", transparency=0)
    return file.getvalue()


def tiff(**how: object) -> bytes:
    """Of 16 bits in colours."""
    file = io.BytesIO()
    deep = pixels(SIDE, SIDE, 3).astype(np.uint16)
    tifffile.imwrite(file, deep, photometric="rgb", metadata=None, **how)  # type: ignore[arg-type]
    return file.getvalue()


def sound(form: str) -> bytes:
    """A tenth of a second of noise."""
    file = io.BytesIO()
    soundfile.write(file, RNG(2).uniform(-0.5, 0.5, 1600), 16_000, format=form)
    return ogg(file.getvalue()) if form == "OGG" else file.getvalue()


def ogg(data: bytes) -> bytes:
    """The same with 1 as its streams' number, which is drawn by the clock, and sums to suit."""
    pages = []
    for page in data.split(b"OggS")[1:]:
        page = b"OggS" + page[:10] + b"\1\0\0\0" + page[14:18] + bytes(4) + page[22:]
        total = 0
        for byte in page:
            total ^= byte << 24
            for _ in range(8):
                total = (total << 1 ^ (0x04C11DB7 if total >> 31 else 0)) & 0xFFFFFFFF
        pages.append(page[:22] + total.to_bytes(4, "little") + page[26:])
    return b"".join(pages)


def video(suffix: str) -> bytes:
    """Eight frames of 16x16."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"x.{suffix}")
        save_video([pixels(3, 8, SIDE, SIDE)], path, 10.0)
        return path.read_bytes()


def npy(dtype: str = "uint8") -> bytes:
    """Three pictures."""
    file = io.BytesIO()
    np.save(file, pixels(3, 8, 8).astype(dtype))
    return file.getvalue()


def npz() -> bytes:
    """The same, and another array."""
    file = io.BytesIO()
    np.savez_compressed(file, x=pixels(3, 8, 8), other=np.arange(3))
    return file.getvalue()


def csv() -> bytes:
    """Names, a gap and a header."""
    return b"name,a,b\nx,1,2\ny,3,\nz,-1e3,.5\n"


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of files, by name."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return file.getvalue()


def zip_of_pictures() -> bytes:
    """Two pictures in folders."""
    return zipped({"a/x.png": picture("PNG"), "a/y.png": picture("PNG")})


def zip_of_sounds() -> bytes:
    """Two sounds."""
    return zipped({"x.wav": sound("WAV"), "y.wav": sound("WAV")}, zipfile.ZIP_STORED)


@cache
def files() -> dict[str, bytes]:
    """By name; no two of one name and extension."""
    makers: dict[str, Callable[[], bytes]] = {
        "deep.png": deep_png, "palette.png": palette_png, "deep.tif": tiff,
        "packed.tif": lambda: tiff(compression="zlib"), "a.npy": npy,
        "floats.npy": lambda: npy("float64"), "a.npz": npz, "a.csv": csv,
        "pictures.zip": zip_of_pictures, "sounds.zip": zip_of_sounds,
        "a.toml": RECIPE.encode,
    }  # fmt: skip
    made = {name: make() for name, make in makers.items()}
    made |= {f"a.{suffix}": picture(form) for suffix, form in PICTURES.items()}
    made |= {f"a.{suffix}": sound(form) for suffix, form in SOUNDS.items()}
    return made | {f"a.{suffix}": video(suffix) for suffix in VIDEOS}
