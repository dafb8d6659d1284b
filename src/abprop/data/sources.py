"""What SOURCE means: a folder or zip of pictures, one picture, an array, a table -> `Signals`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abprop.data import arrays, tables
from abprop.data.choice import chosen, parse_range
from abprop.data.entries import SUFFIXES, pictures_in, unique_names
from abprop.data.limits import check_memory, quoted, reason
from abprop.data.pictures import Picture, decode
from abprop.data.signals import Signals, choose_scale, native
from abprop.data.sizes import check_channels, parse_size, uniform
from abprop.errors import UserError, unknown


@dataclass(frozen=True)
class Wish:
    """What the user asked of the data; see `read`."""

    kind: str
    size: tuple[int, int] | None
    channels: str
    select: str | int | None
    limit: int | None


@dataclass(frozen=True)
class Found:
    """What a reader found, not yet checked or scaled. Fields as in `Signals`."""

    kind: str
    values: np.ndarray
    hidden: np.ndarray | None
    names: list[str]
    columns: tuple[str, ...] = ()
    note: str = ""


def read(
    source: object,
    *,
    kind: str = "auto",
    size: str | int | None = None,
    channels: str = "keep",
    select: str | int | None = None,
    limit: int | None = None,
    range: str | tuple[float, float] | None = None,
) -> Signals:
    """Examples with stable ids from whatever the user has.

    Args:
        source: a folder or zip of pictures, a picture, .npy, .npz or "file.npz:key", .csv; or a
            numpy array or torch tensor.
        kind: images, texture (one picture), table, array; "auto" looks.
        size: "64" or "64x48" (width x height): centre-crop to the aspect, then Lanczos.
        channels: keep, grey or rgb.
        select: which examples: "0:300", "3,17,42", or ranges between commas.
        limit: at most so many of those.
        range: "low:high", the data range that becomes [-1, 1]. Else that of an 8- or 16-bit dtype;
            [0, 1] or [-1, 1] for floats within; else what the values span (a table: each column).

    Raises:
        UserError: in one line, what is wrong, in which file, and what to do.
    """
    if kind not in ("auto", *arrays.KINDS):
        raise unknown("data.kind", str(kind), ("auto", *arrays.KINDS))
    check_channels(channels)
    wish, given = Wish(kind, parse_size(size), channels, select, limit), parse_range(range)
    if isinstance(source, str | Path):
        label, where = str(source), quoted(source)
        found = _read_path(label, wish)
    else:
        label = where = "the array"
        found = _arranged(arrays.from_python(source), where, wish)
    hidden = _checked(found, where)
    each_column = found.kind == "table"
    scale = choose_scale(found.values, hidden, each_column=each_column, given=given)
    named = (found.kind, found.values, hidden, found.names, scale, label)
    return Signals.of(*named, columns=found.columns, note=found.note)


def _read_path(text: str, wish: Wish) -> Found:
    path, key = _split(text)
    if path.is_dir():
        return _read_pictures(path, key, wish)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(
            f"{quoted(path)} is of a kind not read here; give a folder or zip of pictures, "
            f"a picture, .npy, .npz or .csv"
        )
    return reader(path, key, wish)


def _split(text: str) -> tuple[Path, str | None]:
    """The path, and the key of "file.npz:key"."""
    try:
        path, key = Path(text).expanduser(), None
        if not path.exists() and ".npz:" in text:
            head, key = text.rsplit(".npz:", 1)
            path = Path(head + ".npz").expanduser()
        found = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, a null byte, no such home
        raise UserError(f"{quoted(text)} cannot be opened ({reason(error)})") from error
    if not found:
        raise UserError(f"{quoted(path)} does not exist; check the path")
    return path, key


def _read_pictures(path: Path, key: str | None, wish: Wish) -> Found:
    if wish.kind not in ("auto", "images", "texture"):
        raise UserError(
            f"{quoted(path)} holds pictures, no {wish.kind}; set data.kind to images or texture"
        )
    with pictures_in(path) as entries:
        names = unique_names(entries)
        rows = chosen(wish.select, wish.limit, len(entries), quoted(path))
        files = [entries[row] for row in rows]
        note = ""

        def pictures() -> Iterable[tuple[Picture, str]]:
            nonlocal note
            for file in files:
                picture = decode(file.read(), file.where)
                if picture.frames > 1 and not note:
                    note = f"{file.where} has {picture.frames} frames; the first was taken"
                yield uniform(picture, wish.size, wish.channels, file.where), file.where

        values, hidden = _stack(pictures(), len(files), quoted(path))
    kind = ("texture" if len(entries) == 1 else "images") if wish.kind == "auto" else wish.kind
    return Found(kind, values, hidden, [names[row] for row in rows], note=note)


def _read_array(path: Path, key: str | None, wish: Wish) -> Found:
    values, note = arrays.load(path, key)
    where = quoted(path) if key is None else quoted(f"{path}:{key}")
    return _arranged(values, where, wish, note)


def _read_table(path: Path, key: str | None, wish: Wish) -> Found:
    values, columns = tables.load(path)
    kind = "table" if wish.kind == "auto" else wish.kind
    found = _arranged(values, quoted(path), replace(wish, kind=kind))
    return Found(found.kind, found.values, None, found.names, columns)


# By suffix; a new kind of file is a module and a line here. `key` is what followed "file.npz:".
READERS: dict[str, Callable[[Path, str | None, Wish], Found]] = {
    **dict.fromkeys(SUFFIXES, _read_pictures),
    ".zip": _read_pictures,
    ".npy": _read_array,
    ".npz": _read_array,
    ".csv": _read_table,
}


def _arranged(values: np.ndarray, where: str, wish: Wish, note: str = "") -> Found:
    kind = arrays.guess(values.shape, values.dtype) if wish.kind == "auto" else wish.kind
    arranged = arrays.arrange(values, kind, where)
    rows = chosen(wish.select, wish.limit, len(arranged), where)
    names = [f"{row:06d}" for row in rows]
    check_memory(len(rows), arranged.shape[1:], max(4, values.dtype.itemsize), where)
    if wish.kind == "auto":
        note = "; ".join(filter(None, (note, _taken(values, arranged, kind))))
    hidden = None
    if wish.size is None and wish.channels == "keep":
        values = native(np.ascontiguousarray(arranged[rows]), where)
    elif kind in ("images", "texture"):
        values, hidden = _stack(_resized(arranged, rows, names, where, wish), len(rows), where)
    else:
        raise UserError(f"{where} is {kind}, no pictures; leave out data.size and data.channels")
    return Found(kind, values, hidden, names, note=note)


def _taken(values: np.ndarray, arranged: np.ndarray, kind: str) -> str:
    """Which of the possible readings of an array's axes was taken."""
    whole, each = ("x".join(map(str, a)) or "1" for a in (values.shape, arranged.shape[1:]))
    return f"{whole} taken as {kind}: {len(arranged)} of {each} (data.kind chooses another)"


def _resized(
    arranged: np.ndarray, rows: np.ndarray, names: list[str], where: str, wish: Wish
) -> Iterable[tuple[Picture, str]]:
    for row, name in zip(rows, names, strict=True):
        here = f"{where}, example {name}"
        picture = Picture(native(np.array(arranged[row]), here))
        yield uniform(picture, wish.size, wish.channels, here), here


def _stack(
    pictures: Iterable[tuple[Picture, str]], count: int, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """(N, C, H, W) and what is hidden, from pictures that must agree with the first."""
    values, masks, first = np.empty(0), {}, ""
    for row, (picture, here) in enumerate(pictures):
        if not row:
            first, shape, dtype = here, picture.values.shape, picture.values.dtype
            check_memory(count, shape, dtype.itemsize, where)
            values = np.empty((count, *shape), dtype=dtype)
        _check_same(picture.values, values[0], here, first)
        values[row] = picture.values
        if picture.hidden is not None:
            masks[row] = picture.hidden
    if not masks:
        return values, None
    channels = max(len(mask) for mask in masks.values())
    hidden = np.zeros((count, channels, *values.shape[2:]), dtype=bool)
    for row, mask in masks.items():
        hidden[row] = mask
    return values, hidden


def _check_same(picture: np.ndarray, first: np.ndarray, here: str, there: str) -> None:
    """Raise unless a picture has the size, channels and dtype of the first one."""
    (channels, height, width), (channels0, height0, width0) = picture.shape, first.shape
    if (height, width) != (height0, width0):
        raise UserError(
            f"{here} is {width}x{height} but {there} is {width0}x{height0}; "
            f"give all one size: --set data.size=64"
        )
    if channels != channels0:
        raise UserError(
            f"{here} has {_colours(channels)} but {there} has {_colours(channels0)}; "
            f"give all the same: --set data.channels=grey (or rgb)"
        )
    if picture.dtype != first.dtype:
        raise UserError(
            f"{here} is {picture.dtype.name} but {there} is {first.dtype.name}; "
            f"convert one, or leave it out with --set data.select=..."
        )


def _colours(channels: int) -> str:
    return {1: "1 channel (grey)", 3: "3 channels (RGB)"}.get(channels, f"{channels} channels")


def _checked(found: Found, where: str) -> np.ndarray | None:
    """All that is hidden, NaN included, of examples that can be learned from."""
    values, hidden = found.values, found.hidden
    if found.kind == "texture" and len(values) > 1:
        raise UserError(
            f"{where} holds {len(values)} pictures, a texture is one; choose it with "
            f"--set data.select=0, or set data.kind=images"
        )
    if values.dtype.kind == "f":
        _refuse_infinite(found, where)
        missing = np.isnan(values)
        if missing.any():
            hidden = missing if hidden is None else missing | hidden
    if hidden is not None and hidden.all():
        raise UserError(
            f"{where} is hidden or missing everywhere; give data where something is not"
        )
    return hidden


def _refuse_infinite(found: Found, where: str) -> None:
    infinite = np.isinf(found.values).reshape(len(found.values), -1).any(axis=1)
    if infinite.any():
        name = quoted(found.names[int(infinite.argmax())])
        raise UserError(
            f"{where}, example {name}: an infinite value (or one beyond float32); "
            f"write NaN where a value is missing"
        )
