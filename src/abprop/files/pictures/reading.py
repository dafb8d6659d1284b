"""One encoded picture as numbers, nothing lost: 8, 16 and 32 bits, palettes, rotation, alpha.

Pillow decodes what has 8 bits, and 16 in grey. Of 16-bit colour it drops half the bits and says
nothing, so deep PNG goes through PyAV and deep TIFF through tifffile.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from abprop.errors import UserError
from abprop.files.arrays import native
from abprop.files.limits import PIXELS, check_memory, check_pixels, reason

if TYPE_CHECKING:
    from PIL import Image
    from tifffile import TiffPage

# Only these: some of Pillow's other readers start programs.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM", "JPEG2000")
_ANIMATED = ("PNG", "GIF", "WEBP")  # an MPO's second picture is a preview
_MODES = {"1": "L", "L": "L", "LA": "LA", "La": "LA", "PA": "RGBA", "RGBA": "RGBA", "RGBa": "RGBA"}
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA"}
_DEEP_PNG = {2: "rgb48le", 4: "ya16le", 6: "rgba64le"}  # colour type: PyAV's name
_CHANNELS = {"rgb48le": 3, "ya16le": 2, "rgba64le": 4}
_COPIES = 3  # of a picture while it is decoded: Pillow's, ours, and one with its axes in order
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ORIENTATION = 274

# It tells of every oddity of a file in lines of its own; what matters is in ours.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


@dataclass(frozen=True)
class Picture:
    """A decoded picture: values (C, H, W), hidden bool (1, H, W) or None, frames in the file."""

    values: np.ndarray
    hidden: np.ndarray | None = None
    frames: int = 1


def decode(data: bytes, where: str) -> Picture:
    """Decode a picture.

    Alpha 0 is hidden, other alpha is dropped. Rotation is applied. Of several frames, the first.

    Args:
        data: the encoded file.
        where: its name for messages, quoted.

    Raises:
        UserError: it is empty, not a picture, truncated, too large, or of a kind not understood.
    """
    if not data:
        raise UserError(f"{where} is empty; replace or remove it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = _decoder(data)(data, where)
    except UserError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise UserError(
            f"{where} cannot be decoded as a picture ({_why(error)}); replace or remove it"
        ) from error
    if picture.values.ndim != 3 or not picture.values.size:
        shape = "x".join(map(str, picture.values.shape))
        raise UserError(f"{where} holds no pixels (shape {shape}); replace or remove it")
    return replace(picture, values=native(picture.values, where))


def _why(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    # Pillow names a memory address there.
    return "unknown format" if isinstance(error, UnidentifiedImageError) else reason(error)


def _decoder(data: bytes) -> Callable[[bytes, str], Picture]:
    png = data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) > 25
    if png and data[24] == 16 and data[25] in _DEEP_PNG:  # bit depth and colour type
        return _deep_png
    return _tiff if data[:4] in _TIFF else _pillow


def _opened(data: bytes, where: str) -> Image.Image:
    """The picture decoded by Pillow, its header checked first."""
    from PIL import Image

    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except Image.DecompressionBombError as error:
        raise UserError(
            f"{where} declares more than {PIXELS:,} pixels; cut it into smaller ones"
        ) from error
    check_pixels(*image.size, where)
    check_memory(1, (len(image.getbands()), *image.size[::-1]), _COPIES, where)
    image.load()
    return image


def _pillow(data: bytes, where: str) -> Picture:
    with _opened(data, where) as image:
        frames = getattr(image, "n_frames", 1) if image.format in _ANIMATED else 1
        orientation = image.getexif().get(_ORIENTATION, 1)
        pixels, alpha = _pixels(image)
    return _picture(pixels, alpha, orientation, frames)


def _pixels(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """(H, W, C) and alpha (H, W) or None."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16)[..., None], None
    if image.mode == "F":
        return np.asarray(image)[..., None], None
    if image.mode == "I":  # how Pillow holds 16-bit PGM, and before version 11 16-bit PNG
        wide = np.asarray(image)[..., None]
        fits = wide.min() >= 0 and wide.max() <= 65535
        return (wide.astype(np.uint16) if fits else wide), None
    mode = _MODES.get(image.mode, "RGB")
    if "transparency" in image.info:
        mode = _WITH_ALPHA.get(mode, mode)
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    if mode in ("LA", "RGBA"):
        return pixels[..., :-1], pixels[..., -1]
    return (pixels[..., None] if pixels.ndim == 2 else pixels), None


def _deep_png(data: bytes, where: str) -> Picture:
    import av

    form = _DEEP_PNG[data[25]]
    width, height = struct.unpack(">II", data[16:24])
    check_pixels(width, height, where, 2 * _CHANNELS[form])
    with _opened(data, where) as image:  # the stricter of the two: it sees truncation
        orientation = image.getexif().get(_ORIENTATION, 1)
    with av.open(io.BytesIO(data), mode="r", format="png_pipe") as container:
        frame = next(iter(container.decode(video=0)))
        pixels = _planes(frame, form)
    alpha = pixels[..., -1] if form != "rgb48le" else None
    return _picture(pixels if alpha is None else pixels[..., :-1], alpha, orientation)


def _planes(frame, form: str) -> np.ndarray:
    """(H, W, C) uint16 of a PyAV frame; its rows are padded. (PyAV cannot export ya16 itself.)"""
    channels = _CHANNELS[form]
    frame = frame.reformat(format=form)
    plane = frame.planes[0]
    rows = np.frombuffer(plane, dtype="<u2").reshape(frame.height, plane.line_size // 2)
    used = rows[:, : frame.width * channels]
    return used.reshape(frame.height, frame.width, channels).astype(np.uint16)


def _tiff(data: bytes, where: str) -> Picture:
    from tifffile import TiffFile

    with TiffFile(io.BytesIO(data)) as file:
        page, frames = file.pages.first, len(file.pages)
        each = page.samplesperpixel * -(-page.bitspersample // 8)
        check_pixels(page.imagewidth, page.imagelength, where, each)
        shallow = page.bitspersample <= 8 and page.samplesperpixel <= 4
        if not shallow:
            try:
                return _tiff_page(page, frames, where)
            except ValueError as error:
                if "imagecodecs" not in str(error):
                    raise
                if page.samplesperpixel > 1:  # Pillow unpacks it, but would drop half the bits
                    raise UserError(
                        f"{where} cannot be decoded ({reason(error)}); save it uncompressed"
                    ) from error
    picture = _pillow(data, where)
    return Picture(picture.values, picture.hidden, frames)


def _tiff_page(page: TiffPage, frames: int, where: str) -> Picture:
    photometric, axes = int(page.photometric), page.axes
    if sorted(axes.replace("S", "")) != ["X", "Y"] or photometric in (3, 5):
        raise UserError(
            f"{where} is a TIFF of axes {axes}, colour space {photometric}; save it as grey or RGB"
        )
    pixels = page.asarray()
    if "S" not in axes:
        pixels = pixels[..., None]
    pixels = np.moveaxis(pixels, axes.find("S"), -1)
    if photometric == 0 and pixels.dtype.kind == "u":  # white is zero
        pixels = np.iinfo(pixels.dtype).max - pixels
    tag = page.tags.get(_ORIENTATION)
    orientation = int(tag.value) if tag else 1
    extras = [int(extra) for extra in page.extrasamples]
    if extras and extras[-1] in (1, 2):  # associated or not
        return _picture(pixels[..., :-1], pixels[..., -1], orientation, frames)
    return _picture(pixels, None, orientation, frames)


def _picture(
    pixels: np.ndarray, alpha: np.ndarray | None, orientation: int, frames: int = 1
) -> Picture:
    values = np.moveaxis(_upright(pixels, orientation), -1, 0)
    hidden = None
    if alpha is not None and not alpha.all():
        hidden = _upright(alpha == 0, orientation)[None]
        values = np.where(hidden, np.zeros((), values.dtype), values)  # no one meant these colours
    return Picture(values, hidden, frames)


def _upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """(H, W, ...) turned as EXIF orientation 1 to 8 says."""
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels
