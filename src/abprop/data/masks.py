"""What the user says is hidden: pictures matched by name, or an array. True, white = hidden."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from abprop.data.signals import MISSING, OBSERVED, SECRET
from abprop.errors import UserError
from abprop.files import arrays, tables
from abprop.files.entries import NOT, SUFFIXES, Entry, pictures_in, unique_names, without_not
from abprop.files.limits import check_memory, quoted
from abprop.files.pictures import decode

# (place among the chosen, row in the source, name, shape (C, *size)) -> bool (1 or C, *size)
Mask = Callable[[int, int, str, tuple[int, ...]], np.ndarray]


def open_masks(given: object, total: int, chosen: int, dims: int) -> tuple[Mask | None, str]:
    """A function that gives the mask of each example, and a note.

    Args:
        given: a folder or zip of pictures, a picture, .npy, .npz, "file.npz:key", .csv, any of
            them after "not:", or an array. None hides nothing: there is no function then.
        total: examples in the source.
        chosen: how many of them are used.
        dims: axes of an example besides its channels.

    Raises:
        UserError: it cannot be read, or has masks for another number of examples.
    """
    return (None, "") if given is None else _opened(given, total, chosen, dims)


def _opened(given: object, total: int, chosen: int, dims: int) -> tuple[Mask, str]:
    if not isinstance(given, str | Path):
        return _of_array(arrays.from_python(given), "the mask", total, chosen, dims)
    text = str(given)
    if text.startswith(NOT):
        bare = without_not(text)
        mask, note = _opened(bare, total, chosen, dims)
        odd = (len(text) - len(bare)) // len(NOT) % 2
        return (lambda *example: ~mask(*example)) if odd else mask, note
    if not text:
        raise UserError(f"--masks {quoted(Path(text))} does not exist; check the path")
    path, key = arrays.located(text, "--masks ")
    if path.is_dir() or path.suffix.lower() in (*SUFFIXES, ".zip"):
        return _of_pictures(path, total)
    if path.suffix.lower() == ".csv":
        return _of_array(tables.load(path)[0], quoted(text), total, chosen, dims)
    if path.suffix.lower() in (".npy", ".npz"):
        return _of_array(arrays.load(path, key)[0], quoted(text), total, chosen, dims)
    raise UserError(
        f"--masks {quoted(text)}: not a kind that is read; give a folder of pictures, a picture, "
        ".npy or .npz"
    )


def codes(values: np.ndarray, hidden: np.ndarray | None, mask: np.ndarray) -> np.ndarray:
    """The veil (1 or C, *size) of an example, from what no one knows and what a mask hides."""
    unknown = np.zeros(mask.shape, dtype=bool) if hidden is None else hidden
    veil = np.where(mask, np.uint8(SECRET), np.uint8(OBSERVED))
    return np.where(unknown, np.uint8(MISSING), veil)


def _of_pictures(path: Path, total: int) -> tuple[Mask, str]:
    read = dict[str, np.ndarray]()
    with pictures_in(path) as entries:
        for name, entry in zip(unique_names(entries), entries, strict=True):
            read[name] = _decoded(entry)
            check_memory(len(entries), read[name].shape, 1, quoted(path))
    if len(read) == 1 and not path.is_dir():
        only = next(iter(read.values()))
        note = f"one mask for all {total} examples" if total > 1 else ""
        return (lambda i, row, name, shape: _fitting(only, shape, name, quoted(path))), note

    def mask(i: int, row: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if name not in read:
            raise UserError(
                f"--masks {quoted(path)} has no mask for example {name!r}; masks are matched by "
                "the name of the file"
            )
        return _fitting(read[name], shape, name, quoted(path))

    return mask, ""


def _decoded(entry: Entry) -> np.ndarray:
    """(1, H, W), True where the picture is nearer to white than to black."""
    picture = decode(entry.read(), entry.where)
    values, top = picture.values, 1.0
    if values.dtype.kind in "iu":
        top = float(np.iinfo(values.dtype).max)
    return values.mean(0, dtype=np.float32, keepdims=True) > top / 2


def _of_array(
    values: np.ndarray, where: str, total: int, chosen: int, dims: int
) -> tuple[Mask, str]:
    numbers = values.ndim > 0 and values.dtype.kind in "buif"
    if not numbers or (values.dtype.kind == "f" and np.isnan(values).any()):
        raise UserError(f"--masks {where}: must hold booleans or numbers, 0 = observed, no NaN")
    hidden, several = values != 0, total > 1

    def mask(i: int, row: int, name: str, shape: tuple[int, ...]) -> np.ndarray:
        if hidden.shape == shape[1:] and shape[1:]:
            return hidden[None]
        if not several and hidden.ndim == len(shape):
            return _fitting(hidden, shape, name, where)
        if len(hidden) not in (total, chosen):
            raise UserError(
                f"--masks {where} has {len(hidden)} masks, but there are {total} examples; "
                "give one for each"
            )
        return _fitting(hidden[row if len(hidden) == total else i], shape, name, where)

    note = f"one mask for all {chosen} examples" if hidden.ndim == dims and several else ""
    return mask, note


def _fitting(mask: np.ndarray, shape: tuple[int, ...], name: str, where: str) -> np.ndarray:
    """The mask as (1 or C, *size)."""
    if not shape[1:]:  # a row of a table
        fitted = mask if mask.shape == shape else None
    elif mask.shape == shape[1:]:
        fitted = mask[None]
    elif mask.shape in (shape, (1, *shape[1:])):
        fitted = mask
    elif mask.shape in ((*shape[1:], shape[0]), (*shape[1:], 1)):
        fitted = np.moveaxis(mask, -1, 0)
    else:
        fitted = None
    if fitted is None:
        had, want = ("x".join(map(str, s)) for s in (mask.shape, shape))
        raise UserError(
            f"--masks {where}: the mask of example {name!r} is {had}, but the example is {want} "
            "(channels first); give masks of the examples' own size"
        )
    return fitted
