"""Arrays from .npy, .npz or Python, and what their shapes look like."""

from __future__ import annotations

import os
import zipfile
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from abprop.errors import UserError, unknown
from abprop.files.entries import check_member, regular
from abprop.files.limits import check_memory, quoted, reason
from abprop.say import plain

LARGE = 64 << 20  # bytes of an array that stays in its file
_LENGTHS = 26  # bytes of a zip member's header before it tells how long its name is
_CHANNELS = range(1, 5)
_SMALLEST_PICTURE = 8  # pixels a side; digits have as few


def located(text: str, what: str = "") -> tuple[Path, str | None]:
    """The path that a user typed, and the key of "file.npz:key".

    Args:
        text: as typed; ~ is the home.
        what: begins a message, such as "--masks ".

    Raises:
        UserError: nothing is there, or it cannot be a path.
    """
    try:
        path, key = Path(text).expanduser(), None
        if not path.exists() and ".npz:" in text:
            head, key = text.rsplit(".npz:", 1)
            path = Path(head + ".npz").expanduser()
        found = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null byte, no such home
        raise UserError(f"{what}{quoted(text)} cannot be opened ({reason(error)})") from error
    if not found:
        raise UserError(f"{what}{quoted(path)} does not exist; check the path")
    return path, key


def load(path: Path, key: str | None, mapped: bool = False) -> tuple[np.ndarray, str]:
    """An array of a file, never unpickled.

    Args:
        path: a .npy or .npz.
        key: which array of an .npz; None is the first.
        mapped: it may be a `np.memmap`, on disk until it is indexed: that of a .npy, and a large
            one of an .npz that is not compressed.

    Returns:
        The array, and a note if there were others.

    Raises:
        UserError: unreadable, not an array of numbers, no such key, too large for the memory.
    """
    try:
        if path.suffix.lower() == ".npy":
            found = _mapped(regular(path))
            if mapped:
                return found, ""
            check_memory(1, found.shape, found.dtype.itemsize, quoted(path))
            return np.array(found), ""
        return _member(path, key, mapped)
    except UserError:
        raise
    except Exception as error:  # zlib, zipfile and the header's parser each have their own
        raise UserError(
            f"{quoted(path)} cannot be read as an array ({_why(error)}); write it again"
        ) from error


def _mapped(path: Path) -> np.memmap:
    """The array of a .npy where it lies, unless its header tells of more than there is.

    (`numpy.load` would take a zip or a pickle as well.)
    """
    with path.open("rb") as file:
        shape, fortran, dtype = _header(file)
        offset, end = file.tell(), file.seek(0, os.SEEK_END)
    _check_holds(shape, dtype, end - offset)
    if not prod(shape):  # nothing can be mapped there
        return np.empty(shape, dtype)  # type: ignore[return-value]
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _why(error: Exception) -> str:
    text = reason(error)
    if "allow_pickle" in text or "object" in text.lower():
        return "it holds Python objects, not numbers, or is no array file"
    return text


def _member(path: Path, key: str | None, mapped: bool) -> tuple[np.ndarray, str]:
    with zipfile.ZipFile(regular(path)) as archive:
        members = {m.removesuffix(".npy"): m for m in archive.namelist() if m.endswith(".npy")}
        if not members:
            raise UserError(f"{quoted(path)} holds no arrays; write it with numpy.savez")
        if key is not None and key not in members:
            raise unknown(f"array in {quoted(path)}", key, map(plain, members))
        name, note = next(iter(members)) if key is None else key, ""
        if key is None and len(members) > 1:
            keys = ", ".join(map(repr, list(members)[:8]))
            note = f"array {name!r} of {len(members)} taken ({keys})"
        info = archive.getinfo(members[name])
        found = _stored(path, info) if mapped else None
        if found is not None:
            return found, note
        check_member(info, quoted(f"{path}:{name}"))
        with archive.open(members[name]) as file:
            shape, _, dtype = _header(file)
            _check_holds(shape, dtype, info.file_size - file.tell())
            check_memory(1, shape, dtype.itemsize, f"{quoted(path)}, array {name!r}")
        with archive.open(members[name]) as file:
            return np.lib.format.read_array(file, allow_pickle=False), note


def _stored(path: Path, info: zipfile.ZipInfo) -> np.memmap | None:
    """A large array of an .npz where it lies in the file; None if it is small or packed."""
    if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.file_size < LARGE:
        return None
    with open(path, "rb") as file:
        file.seek(info.header_offset + _LENGTHS)
        name, extra = (int.from_bytes(file.read(2), "little") for _ in range(2))
        begin = info.header_offset + _LENGTHS + 4 + name + extra
        file.seek(begin)
        shape, fortran, dtype = _header(file)
        offset = file.tell()
    if dtype.hasobject or offset + prod(shape) * dtype.itemsize != begin + info.file_size:
        return None  # reading it tells what is wrong
    return np.memmap(path, dtype, "r", offset, shape, "F" if fortran else "C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, whether the first axis is the fastest, and dtype."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"its format {version[0]}.{version[1]} is not known")
    first = version == (1, 0)
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    return header(file)


def _check_holds(shape: tuple[int, ...], dtype: np.dtype, held: int) -> None:
    """Refuse a header that tells of objects, or of more numbers than there are."""
    if dtype.hasobject:
        raise ValueError("it holds Python objects, not numbers")
    if min(shape, default=0) < 0 or prod(shape) * dtype.itemsize > held:
        told = "x".join(map(str, shape))
        raise ValueError(f"it tells of {told} numbers, but holds {held:,} bytes")


def in_place(values: np.ndarray, rows: np.ndarray) -> np.ndarray | None:
    """Some examples where they lie in a file, of which nothing is read; None if they must be read.

    They stay there if that saves much, and costs nothing later: consecutive ones, each in one piece
    and in a dtype that examples may have.

    Args:
        values: (N, ...).
        rows: which of them, int64.
    """
    if not isinstance(values, np.memmap) or (np.diff(rows) != 1).any():
        return None
    some = values[rows[0] : rows[-1] + 1]
    known = some.dtype.isnative and (some.dtype.kind in "iu" or some.dtype == np.float32)
    apart = some.strides[0] == max(some.strides)
    return some if known and apart and some.nbytes >= LARGE else None


def from_python(source: Any) -> np.ndarray:
    """A torch tensor, a memory map, a masked array (masked = NaN) or what numpy understands.

    Raises:
        UserError: numpy does not understand it.
    """
    if isinstance(source, np.memmap):
        return source
    if isinstance(source, np.ma.MaskedArray):
        return np.ma.filled(source.astype(np.float32), np.nan)
    if hasattr(source, "detach"):  # a torch tensor: off the graph, off the device
        source = source.detach().cpu()
        try:
            return source.numpy()
        except TypeError:  # bfloat16
            return source.float().numpy()
    try:
        return np.asarray(source)
    except (ValueError, TypeError) as error:
        raise UserError(f"the data given cannot be made an array ({reason(error)})") from error


def native(values: np.ndarray, where: str) -> np.ndarray:
    """In a dtype that examples may have: integers as they are, floats as float32, bool as 0, 255.

    What `in_place` gave stays as it is.

    Raises:
        UserError: anything else (complex, text, objects, records).
    """
    kind = values.dtype.kind
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind in "iu":
        return values.astype(values.dtype.newbyteorder("="), copy=False)
    if kind != "f":
        raise UserError(f"{where} has dtype {values.dtype.name}; give integers or real numbers")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    if isinstance(values, np.memmap):
        return values
    missing = np.isnan(values)
    # One NaN for all: the bits of others would show in the fingerprint.
    return np.where(missing, np.float32(np.nan), values) if missing.any() else values


def width(dtype: np.dtype) -> int:
    """Bytes that a number needs while it becomes one that examples may have, see `native`."""
    return dtype.itemsize if dtype.kind in "biu" else max(4, dtype.itemsize)


def is_size(height: int, width: int) -> bool:
    """Whether two axes can be a picture's."""
    return min(height, width) >= _SMALLEST_PICTURE


def is_picture(shape: tuple[int, ...]) -> bool:
    """H x W x C with C of grey, RGB or RGBA; two channels are rather sounds."""
    return shape[2] in (1, 3, 4) and is_size(*shape[:2])


def is_small_picture(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """H x W of 8 or 16 bits: rather a grey picture than a table."""
    return dtype in (np.uint8, np.uint16, np.bool_) and is_size(*shape)


def has_channels(shape: tuple[int, ...]) -> bool:
    """N x C x H x W or N x H x W x C."""
    return len(shape) == 4 and (shape[1] in _CHANNELS or shape[3] in _CHANNELS)
