"""Arrays from .npy, .npz or Python, and what their shapes look like."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np

from abprop.errors import UserError, unknown
from abprop.files.entries import regular
from abprop.files.limits import check_memory, plain, quoted, reason

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


def load(path: Path, key: str | None, some: bool = False) -> tuple[np.ndarray, str]:
    """An array of a file, never unpickled.

    Args:
        path: a .npy or .npz.
        key: which array of an .npz; None is the first.
        some: only some of a .npy's examples are wanted: it stays on disk until it is indexed.

    Returns:
        The array, and a note if there were others.

    Raises:
        UserError: unreadable, not an array of numbers, no such key, too large for the memory.
    """
    try:
        if path.suffix.lower() == ".npy":
            mapped = np.load(regular(path), mmap_mode="r", allow_pickle=False)
            if some:
                return mapped, ""
            check_memory(1, mapped.shape, mapped.dtype.itemsize, quoted(path))
            return np.load(path, allow_pickle=False), ""
        return _member(path, key)
    except UserError:
        raise
    except Exception as error:  # zlib, zipfile and the header's parser each have their own
        raise UserError(
            f"{quoted(path)} cannot be read as an array ({_why(error)}); write it again"
        ) from error


def _why(error: Exception) -> str:
    text = reason(error)
    if "allow_pickle" in text or "object" in text.lower():
        return "it holds Python objects, not numbers, or is no array file"
    return text


def _member(path: Path, key: str | None) -> tuple[np.ndarray, str]:
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
        with archive.open(members[name]) as file:
            _check_header(file, f"{quoted(path)}, array {name!r}")
        with archive.open(members[name]) as file:
            return np.lib.format.read_array(file, allow_pickle=False), note


def _check_header(file: IO[bytes], where: str) -> None:
    """Refuse by the declared size: an .npz can be a zip bomb too."""
    first = np.lib.format.read_magic(file) == (1, 0)
    header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(file)
    check_memory(1, shape, dtype.itemsize, where)


def from_python(source: Any) -> np.ndarray:
    """A torch tensor, a masked array (masked = NaN) or anything numpy understands.

    Raises:
        UserError: numpy does not understand it.
    """
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
    missing = np.isnan(values)
    # One NaN for all: the bits of others would show in the fingerprint.
    return np.where(missing, np.float32(np.nan), values) if missing.any() else values


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
