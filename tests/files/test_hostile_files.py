"""Whatever a file does: a UserError, in one line, that names the file."""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from tiny import TINY, Command, blobs, keys

from abprop.errors import UserError
from abprop.files.entries import SUFFIXES
from abprop.sources import read

Refused = Callable[..., str]


def noisy(form: str = "PNG") -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, form)
    return file.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that declares any size."""
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    return b"\x89PNG\r\n\x1a\n" + chunk + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"


def npy(header: str) -> bytes:
    text = header.encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def deep_tiff() -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, np.zeros((30, 30, 3), np.uint16), photometric="rgb")
    return file.getvalue()


HOSTILE = {
    "empty.png": b"",
    "text.png": b"this is not a picture\n",
    "truncated.png": noisy()[:900],
    "truncated.jpg": noisy("JPEG")[:900],
    "truncated.bmp": noisy("BMP")[:900],
    "truncated.gif": noisy("GIF")[:700],
    "truncated.webp": noisy("WEBP")[:300],
    "truncated.tif": deep_tiff()[:500],
    "cut.tif": deep_tiff()[:20],
    "bomb.png": png_header(50_000, 50_000),
    "large.png": png_header(10_000, 10_000),
    "no_size.png": png_header(0, 0),
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "empty.npy": b"",
    "text.npy": b"1 2 3\n",
    "short.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (900, 900), }"),
    "endless.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (9000000000000,), }"),
    "negative.npy": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 3), }"),
    "code.npy": npy("__import__('os').abort()"),
    "text.npz": b"not a zip",
    "array.npz": npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }") + bytes(4),
    "empty.zip": b"",
    "text.zip": b"not a zip",
    "empty.csv": b"",
    "binary.csv": bytes(range(256)),
    "nul.csv": b"1,2\n\0,3\n",
    "unknown.xyz": b"?",
    "no_suffix": b"?",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_cannot_be_read(name: str, tmp_path: Path, refused: Refused):
    path = tmp_path / name
    path.write_bytes(HOSTILE[name])
    refused(path, name)


@pytest.mark.parametrize("name", [n for n in HOSTILE if Path(n).suffix in SUFFIXES])
def test_a_picture_that_cannot_be_read_among_others(
    name: str, folder: Path, tmp_path: Path, refused: Refused
):
    (folder / name).write_bytes(HOSTILE[name])
    refused(folder, name)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr(f"deep/er/{name}", HOSTILE[name])
    refused(tmp_path / "all.zip", "all.zip", f"deep/er/{name}")


@pytest.mark.parametrize(
    "name", ["new\nline.png", "space d.png", "ünïcödé.png", "tab\t\x1b[31m.png"]
)
def test_names_stay_on_one_line(name: str, tmp_path: Path, refused: Refused):
    (tmp_path / name).write_bytes(b"not a picture")
    refused(tmp_path, repr(name)[1:-1])
    refused(tmp_path / name, repr(name)[1:-1])
    (tmp_path / name).unlink()
    refused(tmp_path / name, "does not exist", repr(name)[1:-1])
    Image.new("L", (9, 9)).save(tmp_path / name, "PNG")
    assert read(tmp_path).names == (Path(name).stem,)


def test_a_name_that_is_no_unicode(tmp_path: Path, refused: Refused):
    path = os.fsencode(tmp_path) + b"/\xff.png"
    try:
        with open(path, "wb") as file:
            file.write(noisy())
    except OSError:
        pytest.skip("this file system takes only unicode names")
    assert len(read(tmp_path).fingerprint) == 64
    with open(path, "wb"):
        pass
    refused(tmp_path, "empty")


@pytest.mark.parametrize("name", ["caf\udce9", "up\x1b[2Jup", "-1"])
def test_names_in_notes_and_tables(name: str, tmp_path: Path, abprop: Command):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for i, picture in enumerate(blobs(3)):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
        (tmp_path / f"{i}.png").rename(folder / f"{name}{i}.png")
    holes = np.zeros((3, 8, 8), bool)
    holes[0] = True
    note = read(folder, masks=holes).note
    assert "hidden entirely" in note and note.isprintable()
    sets = keys(*TINY, "train.iterations=1", "model.latent=2")
    assert abprop("fit", folder, "--run", tmp_path / "run", *sets).code == 0
    done = abprop("embed", tmp_path / "run", "-o", tmp_path / "z.csv")
    assert done.code == 0, done.err
    text = (tmp_path / "z.csv").read_text("utf-8")
    assert "\n'-10," in text if name == "-1" else text.replace("\n", "").isprintable()


def test_paths_that_are_none(refused: Refused):
    for path in ("no/such/folder", "x" * 5000, "nul\0byte.png", "~nobody-has-this-name/x.png"):
        refused(path, repr(path)[1:-1])
    refused("missing.npz:key", "missing.npz")


def test_a_folder_without_pictures(tmp_path: Path, refused: Refused):
    refused(tmp_path, tmp_path.name, "no pictures")
    (tmp_path / "README.txt").write_text("hello")
    refused(tmp_path, tmp_path.name, "no pictures")
    with zipfile.ZipFile(tmp_path / "none.zip", "w") as archive:
        archive.writestr("README.txt", "hello")
    refused(tmp_path / "none.zip", "none.zip", "no pictures")


def test_what_is_no_regular_file(tmp_path: Path, refused: Refused):
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for a writer
    refused(tmp_path, "pipe.png", "regular")
    refused(tmp_path / "pipe.png", "pipe.png", "regular")
    for suffix in (".npy", ".npz", ".csv", ".zip"):
        os.mkfifo(tmp_path / f"pipe{suffix}")
        refused(tmp_path / f"pipe{suffix}", f"pipe{suffix}", "regular")
    (tmp_path / "pipe.png").unlink()
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    refused(tmp_path, "gone.png")


@pytest.mark.parametrize("name", ["p2.png", "a.npy", "a.npz", "a.csv", "a.zip"])
def test_no_permission(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused):
    """By a patch: to root, permissions mean nothing."""
    import builtins

    (folder / name).touch()
    real, real_io = builtins.open, io.open

    def guarded(opened):
        def open_(file, *args, **options):
            if str(file).endswith(name):
                raise PermissionError(13, "Permission denied", str(file))
            return opened(file, *args, **options)

        return open_

    monkeypatch.setattr(builtins, "open", guarded(real))
    monkeypatch.setattr(io, "open", guarded(real_io))
    refused(folder / name, name, "ermission denied")


@pytest.mark.skipif(os.geteuid() == 0, reason="to root, permissions mean nothing")
def test_no_permission_for_a_folder(folder: Path, refused: Refused):
    inner = folder / "inner"
    inner.mkdir(mode=0)
    refused(folder, "inner")


def declared(path: Path, name: str, size: int) -> Path:
    """A zip whose central directory declares a member of any size."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, bytes(10_000))
    data = bytearray(path.read_bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", size)
    path.write_bytes(data)
    return path


def test_zip_bombs(tmp_path: Path, refused: Refused):
    refused(declared(tmp_path / "a.zip", "in/x.png", 3 << 30), "a.zip:in/x.png", "1 GiB")
    refused(declared(tmp_path / "b.zip", "in/x.png", 200 << 20), "b.zip:in/x.png", "bomb")
    refused(declared(tmp_path / "c.zip", "in/x.png", 100), "c.zip:in/x.png")


def test_zips_that_cannot_be_unpacked(tmp_path: Path, refused: Refused):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.png", noisy())
    whole = path.read_bytes()
    at = whole.rfind(b"PK\x01\x02")
    damaged = bytearray(whole)
    damaged[300] ^= 1
    encrypted, method = bytearray(whole), bytearray(whole)
    encrypted[at + 8] |= 1
    method[at + 10] = 98
    for data, word in ((damaged, "CRC"), (encrypted, "encrypted"), (method, "unpacked")):
        path.write_bytes(data)
        refused(path, "a.zip:x.png", word)
    path.write_bytes(whole[:200])
    refused(path, "a.zip")


def test_a_zip_writes_nothing(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../escape.png", noisy())
    assert read(path).names == ("escape",)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_npz_bombs_are_refused_by_their_header(tmp_path: Path, refused: Refused):
    path = tmp_path / "a.npz"
    header = npy("{'descr': '<f8', 'fortran_order': False, 'shape': (90000000, 9000), }")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header + bytes(100_000))
    refused(path, "a.npz", "90000000x9000 numbers", "100,000 bytes")


def test_arrays_that_are_no_numbers(tmp_path: Path, refused: Refused):
    thing = np.array([{"a": 1}], dtype=object)
    np.save(tmp_path / "object.npy", thing, allow_pickle=True)
    np.savez(tmp_path / "object.npz", x=thing)
    np.savez(tmp_path / "none.npz")
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.save(tmp_path / "record.npy", np.zeros((3, 3), dtype=[("a", "f4")]))
    np.save(tmp_path / "complex.npy", np.ones((3, 9, 9), dtype=complex))
    np.save(tmp_path / "scalar.npy", np.array(3.0))
    np.save(tmp_path / "nothing.npy", np.ones((0, 9, 9)))
    np.save(tmp_path / "many_axes.npy", np.ones((2,) * 6))
    for path in tmp_path.iterdir():
        refused(path, path.name)
    refused(tmp_path / "object.npz", "Python objects")
    np.savez(tmp_path / "keys.npz", **{"new\nline": np.ones(3)})
    refused(f"{tmp_path}/keys.npz:other", "keys.npz", "new?line")


def test_infinity_is_named(tmp_path: Path, refused: Refused):
    values = np.zeros((30, 9, 9))
    values[17, 3, 3] = -np.inf
    np.save(tmp_path / "a.npy", values)
    refused(tmp_path / "a.npy", "a.npy", "'000017'", "infinite")
    values[17, 3, 3] = 1e300  # beyond float32
    refused(values, "'000017'")
    tifffile.imwrite(tmp_path / "fine.tif", np.zeros((9, 9), np.float32))
    tifffile.imwrite(tmp_path / "wrong.tif", np.full((9, 9), np.inf, np.float32))
    refused(tmp_path, tmp_path.name, "'wrong'")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".npy", ".npz", ".zip", ".csv", ".gif"])
@given(data=st.data())
def test_damage_of_any_kind(suffix: str, data: st.DataObject, tmp_path_factory):
    """A few bytes changed, or bytes that never were a file: read, or refused in one line."""
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"x{suffix}"
    raw = bytearray(sound(suffix))
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=4)):
        raw[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    try:
        read(path)
    except UserError as error:
        assert str(error).isprintable() and f"x{suffix}" in str(error)


def sound(suffix: str) -> bytes:
    """A small file with nothing wrong."""
    file = io.BytesIO()
    pixels = np.arange(192, dtype=np.uint8).reshape(8, 8, 3)
    if suffix in (".png", ".gif"):
        Image.fromarray(pixels).save(file, suffix[1:])
    elif suffix == ".tif":
        tifffile.imwrite(file, pixels.astype(np.uint16), photometric="rgb")
    elif suffix == ".npy":
        np.save(file, pixels)
    elif suffix == ".npz":
        np.savez_compressed(file, x=pixels)
    elif suffix == ".zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("x.png", sound(".png"))
    else:
        file.write(b"a,b\n1,2\n3,\n")
    return file.getvalue()


@given(raw=st.binary(max_size=200))
@example(raw=b"a,b\n1,2\n1,x\n")
def test_any_bytes_as_a_table(raw: bytes, tmp_path_factory):
    path = tmp_path_factory.mktemp("bytes") / "x.csv"
    path.write_bytes(raw)
    try:
        assert read(path).kind == "table"
    except UserError as error:
        assert str(error).isprintable() and "x.csv" in str(error)
