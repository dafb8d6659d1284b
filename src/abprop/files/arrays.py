"""Arrays from .npy, .npz or Python, and which of their axes are examples, channels and size."""

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


def load(path: Path, key: str | None) -> tuple[np.ndarray, str]:
    """An array of a file, never unpickled; .npy stays on disk until it is indexed.

    Args:
        path: a .npy or .npz.
        key: which array of an .npz; None is the first.

    Returns:
        The array, and a note if there were others.

    Raises:
        UserError: unreadable, not an array of numbers, no such key, too large for the memory.
    """
    try:
        if path.suffix.lower() == ".npy":
            return np.load(regular(path), mmap_mode="r", allow_pickle=False), ""
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


def guess(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """images, texture, table or array: what an array of this shape most likely holds."""
    if len(shape) == 1:
        return "table"
    if len(shape) == 2:
        small_numbers = dtype in (np.uint8, np.uint16, np.bool_)
        return "texture" if small_numbers and _is_size(*shape) else "table"
    if len(shape) == 3:
        if _is_picture(shape):
            return "texture"
        return ("texture" if shape[0] == 1 else "images") if _is_size(*shape[1:]) else "array"
    if len(shape) == 4 and (shape[1] in _CHANNELS or shape[3] in _CHANNELS):
        return "texture" if shape[0] == 1 else "images"
    return "array"


def arrange(values: np.ndarray, kind: str, where: str) -> np.ndarray:
    """The array with its axes in order: (N, C, *size), or (N, C) for a table. A view.

    Raises:
        UserError: it has too few or too many axes for this kind, or an empty one.
    """
    shape = "x".join(map(str, values.shape)) or "a single number"
    if 0 in values.shape or values.ndim == 0:
        raise UserError(f"{where} is empty (shape {shape}); give examples along axis 0")
    arranged = _ARRANGE[kind](values)
    if arranged is None:
        raise UserError(
            f"{where} of shape {shape} cannot be {kind}; set data.kind to another of "
            f"{', '.join(_ARRANGE)}"
        )
    return arranged


def _is_size(height: int, width: int) -> bool:
    return min(height, width) >= _SMALLEST_PICTURE


def _is_picture(shape: tuple[int, ...]) -> bool:
    """H x W x C with C of grey, RGB or RGBA; two channels are rather sounds."""
    return shape[2] in (1, 3, 4) and _is_size(*shape[:2])


def _images(values: np.ndarray) -> np.ndarray | None:
    if values.ndim == 2:
        return values[None, None]
    if values.ndim == 3:
        if _is_picture(values.shape):
            return np.moveaxis(values, 2, 0)[None]
        return values[:, None]
    if values.ndim == 4 and values.shape[1] in _CHANNELS:
        return values
    if values.ndim == 4 and values.shape[3] in _CHANNELS:
        return np.moveaxis(values, 3, 1)
    return None


def _texture(values: np.ndarray) -> np.ndarray | None:
    if values.ndim == 3 and values.shape[0] in _CHANNELS and _is_size(*values.shape[1:]):
        return values[None]
    return _images(values)


def _table(values: np.ndarray) -> np.ndarray | None:
    if values.ndim == 1:
        return values[:, None]
    return values if values.ndim == 2 else None


def _array(values: np.ndarray) -> np.ndarray | None:
    if values.ndim == 2:
        return values[:, None]
    return values if 3 <= values.ndim <= 5 else None


_ARRANGE = {"images": _images, "texture": _texture, "table": _table, "array": _array}
KINDS = tuple(_ARRANGE)
