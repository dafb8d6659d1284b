"""What SOURCE means: a folder or zip of pictures, one picture, an array, a table -> `Signals`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from abprop.data.choice import chosen, parse_range
from abprop.data.hiding import hidden_by
from abprop.data.masks import Mask, codes, open_masks
from abprop.data.signals import MISSING, OBSERVED, SECRET, Signals, choose_scale
from abprop.errors import UserError, unknown
from abprop.files import arrays, tables
from abprop.files.arrays import native
from abprop.files.entries import SUFFIXES, pictures_in, unique_names
from abprop.files.limits import check_memory, quoted, reason
from abprop.files.pictures import Picture, decode
from abprop.files.sizes import check_channels, parse_size, uniform


@dataclass(frozen=True)
class Wish:
    """What the user asked of the data; see `read`."""

    kind: str
    size: tuple[int, int] | None
    channels: str
    select: str | int | None
    limit: int | None
    masks: object = None


@dataclass(frozen=True)
class Found:
    """What a reader found, not yet checked or scaled. Fields as in `Signals`."""

    kind: str
    values: np.ndarray
    veil: np.ndarray | None
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
    masks: object = None,
    hide: str | None = None,
    seed: int = 0,
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
        masks: what is hidden, see `masks.open_masks`; nothing behind it has any influence.
        hide: a rule that hides more, see `hiding`.
        seed: of that rule.

    Raises:
        UserError: in one line, what is wrong, in which file, and what to do.
    """
    if kind not in ("auto", *arrays.KINDS):
        raise unknown("data.kind", str(kind), ("auto", *arrays.KINDS))
    check_channels(channels)
    masks = (masks or None) if isinstance(masks, str) else masks
    wish = Wish(kind, parse_size(size), channels, select, limit, masks)
    given = parse_range(range)
    if isinstance(source, str | Path):
        label, where = str(source), quoted(source)
        found = _read_path(label, wish)
    else:
        label = where = "the array"
        found = _arranged(arrays.from_python(source), where, wish)
    found = _checked(found, where)
    if hide is not None:
        found = _hidden(found, hide, seed)
    veil, each_column = found.veil, found.kind == "table"
    hidden = None if veil is None else veil > OBSERVED
    scale = choose_scale(found.values, hidden, each_column=each_column, given=given)
    named = (found.kind, found.values, veil, found.names, scale, label)
    note = "; ".join(filter(None, (found.note, _prior_only(found))))
    return Signals.of(*named, columns=found.columns, note=note)


def _hidden(found: Found, rule: str, seed: int) -> Found:
    """With what a rule hides made SECRET, where it was observed."""
    shape = found.values.shape[1:]
    hidden = hidden_by(rule, shape, np.arange(len(found.values)), seed)
    veil = np.uint8(OBSERVED) if found.veil is None else found.veil
    return replace(found, veil=np.where(hidden & (veil == OBSERVED), np.uint8(SECRET), veil))


def _prior_only(found: Found) -> str:
    """A note on examples of which nothing is left to see."""
    if found.veil is None:
        return ""
    gone = np.nonzero(np.all((found.veil > OBSERVED).reshape(len(found.veil), -1), axis=1))[0]
    names = ", ".join(found.names[row] for row in gone[:3]) + (", ..." if len(gone) > 3 else "")
    return f"hidden entirely, so given the prior: {names}" if len(gone) else ""


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
        mask, note = _opened(wish, len(entries), len(rows), 2)

        def pictures() -> Iterable[tuple[Picture, str]]:
            nonlocal note
            for i, (row, file) in enumerate(zip(rows.tolist(), files, strict=True)):
                picture = decode(file.read(), file.where)
                if picture.frames > 1 and not note:
                    note = f"{file.where} has {picture.frames} frames; the first was taken"
                shape = picture.values.shape
                hidden = None if mask is None else mask(i, row, names[row], shape)
                yield _uniform(picture, hidden, wish, file.where), file.where

        values, hidden = _stack(pictures(), len(files), quoted(path))
    kind = ("texture" if len(entries) == 1 else "images") if wish.kind == "auto" else wish.kind
    return Found(kind, values, hidden, [names[row] for row in rows], note=note)


def _opened(wish: Wish, total: int, chosen: int, dims: int) -> tuple[Mask | None, str]:
    return (None, "") if wish.masks is None else open_masks(wish.masks, total, chosen, dims)


def _uniform(picture: Picture, mask: np.ndarray | None, wish: Wish, where: str) -> Picture:
    """The picture at the wanted size and channels, its `hidden` a veil.

    What is seen comes from what the mask leaves alone; the truth behind it from the whole picture.
    """
    whole = uniform(picture, wish.size, wish.channels, where)
    if mask is None:
        return whole
    values = picture.values
    hidden = mask if picture.hidden is None else mask | picture.hidden
    blank = np.asarray(np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    behind = Picture(np.where(hidden, blank, values), hidden, picture.frames)
    seen = uniform(behind, wish.size, wish.channels, where)
    if seen.hidden is None:
        return seen
    # With fewer holes resizing may hide other pixels: what is behind a mask must not decide that.
    unknown = None if whole.hidden is None else whole.hidden & seen.hidden
    veil = codes(whole.values, unknown, seen.hidden)
    return Picture(np.where(seen.hidden, whole.values, seen.values), veil, picture.frames)


def _read_array(path: Path, key: str | None, wish: Wish) -> Found:
    values, note = arrays.load(path, key)
    where = quoted(path) if key is None else quoted(f"{path}:{key}")
    return _arranged(values, where, wish, note)


def _read_table(path: Path, key: str | None, wish: Wish) -> Found:
    values, columns = tables.load(path)
    kind = "table" if wish.kind == "auto" else wish.kind
    found = _arranged(values, quoted(path), replace(wish, kind=kind))
    return replace(found, columns=columns)


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
    veil, (mask, said) = None, _opened(wish, len(arranged), len(rows), arranged.ndim - 2)
    note = "; ".join(filter(None, (note, said)))
    if wish.size is None and wish.channels == "keep":
        values = native(np.ascontiguousarray(arranged[rows]), where)
        if mask is not None:
            masks = (mask(i, r, names[i], values.shape[1:]) for i, r in enumerate(rows.tolist()))
            veil = np.stack([codes(values, None, hidden) for hidden in masks])
    elif kind in ("images", "texture"):
        pictures = _resized(arranged, rows, names, where, wish, mask)
        values, veil = _stack(pictures, len(rows), where)
    else:
        raise UserError(f"{where} is {kind}, no pictures; leave out data.size and data.channels")
    return Found(kind, values, veil, names, note=note)


def _taken(values: np.ndarray, arranged: np.ndarray, kind: str) -> str:
    """Which of the possible readings of an array's axes was taken."""
    whole, each = ("x".join(map(str, a)) or "1" for a in (values.shape, arranged.shape[1:]))
    return f"{whole} taken as {kind}: {len(arranged)} of {each} (data.kind chooses another)"


def _resized(
    arranged: np.ndarray,
    rows: np.ndarray,
    names: list[str],
    where: str,
    wish: Wish,
    mask: Mask | None,
) -> Iterable[tuple[Picture, str]]:
    for i, (row, name) in enumerate(zip(rows.tolist(), names, strict=True)):
        here = f"{where}, example {name}"
        picture = Picture(native(np.array(arranged[row]), here))
        hidden = None if mask is None else mask(i, row, name, picture.values.shape)
        yield _uniform(picture, hidden, wish, here), here


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
    veil = np.zeros((count, channels, *values.shape[2:]), dtype=np.uint8)
    for row, mask in masks.items():
        veil[row] = mask
    return values, veil


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


def _checked(found: Found, where: str) -> Found:
    """Examples that can be learned from, their veil complete: what is not finite is MISSING."""
    values, veil = found.values, found.veil
    if found.kind == "texture" and len(values) > 1:
        raise UserError(
            f"{where} holds {len(values)} pictures, a texture is one; choose it with "
            f"--set data.select=0, or set data.kind=images"
        )
    if values.dtype.kind == "f":
        _refuse_infinite(found, where)
        values = np.where(np.isinf(values), np.float32(np.nan), values)  # behind a mask
        missing = np.isnan(values)
        if missing.any():
            veil = np.zeros_like(missing[:, :1], np.uint8) if veil is None else veil
            # What is behind a mask does not decide whether the channels share it.
            seen = missing & (veil == OBSERVED)
            if values.ndim > 2 and veil.shape[1] == 1 and (seen == seen[:, :1]).all():
                missing = missing.any(1, keepdims=True)
            veil = np.where(missing, np.uint8(MISSING), veil)
    if veil is not None and (veil > OBSERVED).all():
        raise UserError(
            f"{where} is hidden or missing everywhere; give data where something is not"
        )
    return replace(found, values=values, veil=veil)


def _refuse_infinite(found: Found, where: str) -> None:
    infinite = np.isinf(found.values)
    if found.veil is not None:
        infinite = infinite & (found.veil == OBSERVED)
    infinite = infinite.reshape(len(found.values), -1).any(axis=1)
    if infinite.any():
        name = quoted(found.names[int(infinite.argmax())])
        raise UserError(
            f"{where}, example {name}: an infinite value (or one beyond float32); "
            f"write NaN where a value is missing"
        )
