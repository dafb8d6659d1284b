"""Sets of pictures, from files of their own or from an array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abprop import starts
from abprop.data import Examples
from abprop.data.choice import chosen
from abprop.data.masks import Mask, codes, open_masks
from abprop.errors import UserError
from abprop.files.arrays import has_channels, is_picture, is_size, native
from abprop.files.entries import SUFFIXES, one_by_one, pictures_in, unique_names
from abprop.files.limits import BATCH, check_memory, quoted
from abprop.files.pictures import Picture, decode, uniform
from abprop.files.write import save_images
from abprop.kinds.base import FEWEST_TO_HOLD_OUT, Asked, Kind, Raw, Request, native_rows
from abprop.say import counted

MANY = 5000  # pictures that need no shifted copies
DECAY = 0.3  # of weights: what that is worth is in docs/results.md
DECAYED = 16  # pixels along a side from which it helps


class Images(Kind):
    """A set of pictures, grey or in colours."""

    name, one, many = "images", "picture", "pictures"
    preset = "images"
    alone = "texture"  # what a single picture is
    judge = "pictures"

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Three axes of grey pictures, four with channels first or last."""
        if len(shape) == 3:
            return not is_picture(shape) and is_size(*shape[1:]) and shape[0] > 1
        return has_channels(shape) and shape[0] > 1

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(N, C, H, W)."""
        if values.ndim == 2:
            return values[None, None]
        if values.ndim == 3:
            return np.moveaxis(values, 2, 0)[None] if is_picture(values.shape) else values[:, None]
        if values.ndim == 4 and values.shape[1] in range(1, 5):
            return values
        return np.moveaxis(values, 3, 1) if has_channels(values.shape) else None

    # Reading ----------------------------------------------------------------------------------

    def reads(self, path: Path) -> bool:
        """Folders, zips and encoded pictures."""
        return path.is_dir() or path.suffix.lower() in (*SUFFIXES, ".zip")

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`."""
        if request.kind not in ("auto", self.name, self.alone):
            raise UserError(
                f"{quoted(path)} holds pictures, no {request.kind}; "
                f"set data.kind to {self.name} or {self.alone}"
            )
        with pictures_in(path) as entries:
            names = unique_names(entries)
            rows = chosen(request.select, request.limit, len(entries), quoted(path))
            files = [entries[row] for row in rows]
            mask, note = open_masks(request.masks, len(entries), len(rows), 2)

            def pictures() -> Iterable[tuple[Picture, str]]:
                nonlocal note
                told = one_by_one(files, "pictures", request.say)
                for i, (row, file) in enumerate(zip(rows.tolist(), told, strict=True)):
                    picture = decode(file.read(), file.where)
                    if picture.frames > 1 and not note:
                        note = f"{file.where} has {picture.frames} frames; the first was taken"
                    shape = picture.values.shape
                    hidden = None if mask is None else mask(i, row, names[row], shape)
                    yield seen_through(picture, hidden, request, file.where), file.where

            values, hidden = stack(pictures(), len(files), quoted(path))
        kind = (self.alone if len(entries) == 1 else self.name) if request.kind == "auto" else (
            request.kind
        )  # fmt: skip
        return Raw(kind, values, hidden, [names[row] for row in rows], note=note)

    def stacked(
        self,
        arranged: np.ndarray,
        rows: np.ndarray,
        where: str,
        request: Request,
        mask: Mask | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Kind.stacked`; brought to one size and number of channels."""
        if request.size is None and request.channels == "keep":
            return native_rows(arranged, rows, where, mask)
        pictures = _resized(arranged, rows, where, request, mask)
        return stack(pictures, len(rows), where)

    # Choosing ---------------------------------------------------------------------------------

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """See `Kind.choices`; mirrored and shifted copies, and how far weights decay."""
        chosen = super().choices(asked, seen)
        vector = "x" not in str(chosen.get("model.latent", asked["model.latent"]))
        n, side = len(seen), min(seen.signal_shape[1:])
        if asked["data.mirror"] == "auto":
            chosen["data.mirror"] = "yes" if vector and starts.mirrors(seen) else "no"
        if asked["data.shift"] is None and vector and FEWEST_TO_HOLD_OUT <= n <= MANY:
            # So little that no viewer would call it another picture.
            chosen["data.shift"] = side // 32
        bends = vector and asked["model.network"] == "conv" and side >= DECAYED
        if asked["train.weight_decay"] is None and bends and n >= FEWEST_TO_HOLD_OUT:
            chosen["train.weight_decay"] = DECAY
        return chosen

    # Showing and writing ----------------------------------------------------------------------

    def tiles(self, x: np.ndarray) -> np.ndarray | None:
        """Pictures of one or three channels as they are, grey where there is no number."""
        if x.shape[1] not in (1, 3):
            return None
        x = np.nan_to_num(x)
        return np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """PNG for 8 bits, TIFF for what it cannot hold."""
        return ".png" if dtype == "uint8" and shape[0] in (1, 3) else ".tif"

    def write(
        self, x: np.ndarray, path: Path, names: Sequence[str] | None, about: Mapping[str, Any]
    ) -> str:
        """See `Kind.write`."""
        files = save_images(x, path, names=names)
        where = files[0] if len(files) == 1 else path
        return f"{counted(len(x), 'picture', 'pictures')} of {x.shape[3]}x{x.shape[2]}: {where}"


def seen_through(
    picture: Picture, mask: np.ndarray | None, request: Request, where: str
) -> Picture:
    """The picture at the wanted size and channels, its `hidden` a veil.

    What is seen comes from what the mask leaves alone; the truth behind it from the whole picture.
    """
    whole = uniform(picture, request.size, request.channels, where)
    if mask is None:
        return whole
    values = picture.values
    hidden = mask if picture.hidden is None else mask | picture.hidden
    blank = np.asarray(np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    behind = Picture(np.where(hidden, blank, values), hidden, picture.frames)
    seen = uniform(behind, request.size, request.channels, where)
    if seen.hidden is None:
        return seen
    # With fewer holes resizing may hide other pixels: what is behind a mask must not decide that.
    unknown = None if whole.hidden is None else whole.hidden & seen.hidden
    veil = codes(whole.values, unknown, seen.hidden)
    return Picture(np.where(seen.hidden, whole.values, seen.values), veil, picture.frames)


def _resized(
    arranged: np.ndarray,
    rows: np.ndarray,
    where: str,
    request: Request,
    mask: Mask | None,
) -> Iterable[tuple[Picture, str]]:
    for i, row in enumerate(rows.tolist()):
        name = f"{row:06d}"
        here = f"{where}, example {name}"
        picture = Picture(native(np.array(arranged[row]), here))
        hidden = None if mask is None else mask(i, row, name, picture.values.shape)
        yield seen_through(picture, hidden, request, here), here


def stack(
    pictures: Iterable[tuple[Picture, str]], count: int, where: str
) -> tuple[np.ndarray, np.ndarray | None]:
    """(N, C, H, W) and what is hidden, from pictures that must agree with the first."""
    values, masks, first = np.empty(0), {}, ""
    for row, (picture, here) in enumerate(pictures):
        if not row:
            first, shape, dtype = here, picture.values.shape, picture.values.dtype
            check_memory(count, shape, dtype.itemsize, where, batch=BATCH)
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
