"""Examples that are windows of stored ones, moved or mirrored: computed when they are read.

    view i  =  stored example rows[i], seen through the window that begins at corners[i], a place
               beyond the edge being the edge, and from behind where mirrored[i]

Copies and crops cost an index each and no second array. A copy has an id, and so factors, of its
own: random augmentation would change the data under a factor that has settled on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from abprop import noise
from abprop.data.signals import OBSERVED, Ids, Scale, Signals, as_rows
from abprop.errors import UserError
from abprop.noise import Noise

# g^(d + 1) = g + 1: steps of 1/g, ..., 1/g^d cover the unit cube of d axes evenly.
_COVERING = {1: 1.61803398874989484820, 2: 1.32471795724474602596, 3: 1.22074408460575947536}
_MOST_EXAMPLES = 600
_COARSE = 24  # pixels a side to which pictures are averaged before they are compared
_COMPONENTS = 20


@dataclass(frozen=True, eq=False)
class Views:
    """M examples seen in N stored ones; reads like `Signals`.

    Attributes:
        signals: what is stored.
        rows: which of them each view shows, int64 (M,).
        size: of a window; None where views show whole examples.
        corners: where windows begin, int64 (M, axes); may lie outside.
        mirrored: whether the last axis runs backwards, bool (M,).
        suffixes: what is added to the stored name of each.
    """

    signals: Signals
    rows: np.ndarray
    size: tuple[int, ...] | None = None
    corners: np.ndarray | None = None
    mirrored: np.ndarray | None = None
    suffixes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def places(self) -> np.ndarray | None:
        """Where views begin in the one signal that all were cut from; None where they were not."""
        return None

    @property
    def kind(self) -> str:
        """That of what is stored."""
        return self.signals.kind

    @property
    def scale(self) -> Scale:
        """The map to model units."""
        return self.signals.scale

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of one view."""
        return (self.signals.shape[0], *(self.size or self.signals.shape[1:]))

    @property
    def dims(self) -> int:
        """Number of axes of `size`."""
        return self.signals.dims

    @property
    def names(self) -> tuple[str, ...]:
        """One for each view."""
        suffixes = self.suffixes or ("",) * len(self)
        own = self.signals.names
        return tuple(own[row] + end for row, end in zip(self.rows, suffixes, strict=True))

    def values_of(self, ids: Ids) -> np.ndarray:
        """Some of the views in data units, (B, C, *size)."""
        return self._seen(self.signals.values, as_rows(ids))

    def codes(self, ids: Ids) -> np.ndarray | None:
        """Their veil, uint8 (B, 1 or C, *size), or None."""
        veil = self.signals.veil
        return None if veil is None else self._seen(veil, as_rows(ids))

    def batch(self, ids: Ids) -> tuple[Tensor, Tensor | None]:
        """Some of the views in model units and their mask, as `Signals.batch`."""
        y, codes = self.scale.to_model(self.values_of(ids)), self.codes(ids)
        if codes is None:
            return torch.from_numpy(y), None
        hidden = codes > OBSERVED
        return torch.from_numpy(np.where(hidden, np.float32(0), y)), torch.from_numpy(hidden)

    def take(self, ids: Ids) -> Views:
        """Some of the views, in the order of `ids`."""
        at = as_rows(ids)
        part = lambda v: None if v is None else v[at]  # noqa: E731
        ends = tuple(self.suffixes[i] for i in at) if self.suffixes else ()
        return replace(
            self,
            rows=self.rows[at],
            corners=part(self.corners),
            mirrored=part(self.mirrored),
            suffixes=ends,
        )

    def stored(self) -> Signals:
        """The views as examples of their own: arrays, for few of them."""
        everything = np.arange(len(self))
        return self.signals.become(self.values_of(everything), self.codes(everything), self.names)

    def _seen(self, array: np.ndarray, at: np.ndarray) -> np.ndarray:
        if self.size is None or self.corners is None:
            return np.ascontiguousarray(array[self.rows[at]])
        out = np.empty((len(at), array.shape[1], *self.size), dtype=array.dtype)
        for i, view in enumerate(at):
            out[i] = _window(array[self.rows[view]], self.corners[view], self.size)
            if self.mirrored is not None and self.mirrored[view]:
                out[i] = out[i][..., ::-1].copy()
        return out


def _window(example: np.ndarray, corner: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    for axis, (start, length) in enumerate(zip(corner.tolist(), size, strict=True), 1):
        if start < 0 or start + length > example.shape[axis]:
            places = np.clip(np.arange(start, start + length), 0, example.shape[axis] - 1)
            example = example.take(places, axis)
        else:
            example = example[(slice(None),) * axis + (slice(start, start + length),)]
    return example


def whole(signals: Signals, rows: Ids | None = None) -> Views:
    """Some of the examples as they are, or all of them."""
    return Views(signals, np.arange(len(signals)) if rows is None else as_rows(rows))


# Copies ---------------------------------------------------------------------------------------


def mirrored(views: Views) -> Views:
    """The examples, then their left-right mirror images: M + i mirrors i.

    Raises:
        UserError: not pictures.
    """
    _check_pictures(views, "mirrored")
    return _copied(views, [("~mirror", (0, 0), True)])


def shifted(views: Views, pixels: int) -> Views:
    """The examples, then all of them moved up, down, left and right: 5 M, the edge repeated.

    Raises:
        UserError: not pictures, or moved by nothing or by more than they measure.
    """
    _check_pictures(views, "shifted")
    if not 1 <= pixels < min(views.shape[1:]):
        raise UserError(
            f"shifted copies: {pixels} pixels must be at least 1 and less than a picture measures"
        )
    moves = {"up": (pixels, 0), "down": (-pixels, 0), "left": (0, pixels), "right": (0, -pixels)}
    return _copied(views, [(f"~{way}{pixels}", by, False) for way, by in moves.items()])


def _check_pictures(views: Views, what: str) -> None:
    if views.dims != 2:
        raise UserError(f"{what} copies are for pictures, not for a {views.kind}")


def _copied(views: Views, changes: Iterable[tuple[str, tuple[int, int], bool]]) -> Views:
    """The views followed by each change of all of them.

    A window of a mirrored view moves the other way: what is shown is moved, not what is stored.
    """
    count = len(views)
    corners = np.zeros((count, views.dims), np.int64) if views.corners is None else views.corners
    turned = np.zeros(count, bool) if views.mirrored is None else views.mirrored
    ends = views.suffixes or ("",) * count
    parts = [(views.rows, corners, turned, ends)]
    for suffix, (down, right), mirror in changes:
        by = np.stack([np.full(count, down), np.where(turned, -right, right)], 1)
        parts.append((views.rows, corners + by, turned ^ mirror, tuple(e + suffix for e in ends)))
    rows, corners, turned, names = zip(*parts, strict=True)
    return Views(
        views.signals,
        np.concatenate(rows),
        views.size or tuple(views.shape[1:]),
        np.concatenate(corners),
        np.concatenate(turned),
        tuple(name for part in names for name in part),
    )


# Crops ----------------------------------------------------------------------------------------


def crops(signals: Signals, *, size: int, count: int, seed: int, axes: int | None = None) -> Views:
    """`count` different crops of one signal that cover it evenly.

    A pure function of its arguments: crop i is the same example for ever, and fewer crops are the
    first of more.

    Args:
        signals: one picture, or another signal with axes.
        size: entries along an axis of a crop.
        count: how many.
        seed: shifts the positions.
        axes: crops are cut along the first so many; along the others they are whole. Else all.

    Returns:
        Views with names "crop@y,x".

    Raises:
        UserError: not one signal, or too small for so many crops of this size.

    References:
        M. Roberts: The Unreasonable Effectiveness of Quasirandom Sequences (R_d), 2018.
    """
    if len(signals) != 1 or not signals.dims:
        raise UserError(f"crops need one picture, got {len(signals)} examples of {signals.kind}")
    if size < 1 or count < 1:
        raise UserError(f"crops: size {size} and count {count} must be at least 1")
    cut = signals.dims if axes is None else axes
    whole = signals.shape[1 + cut :]
    corners = _corners(signals.kind, signals.shape[1 : 1 + cut], size, count, seed)
    corners = np.pad(corners, ((0, 0), (0, len(whole))))
    return Crops(signals, np.zeros(count, np.int64), (*(size,) * cut, *whole), corners)


class Crops(Views):
    """Views that are named by their place."""

    @property
    def places(self) -> np.ndarray | None:
        """The corners, int64 (M, axes)."""
        return self.corners

    @property
    def names(self) -> tuple[str, ...]:
        """ "crop@y,x"."""
        assert self.corners is not None
        return tuple("crop@" + ",".join(map(str, corner)) for corner in self.corners.tolist())


def _corners(kind: str, shape: tuple[int, ...], size: int, count: int, seed: int) -> np.ndarray:
    """Where crops begin, (y, x), int64 (count, axes), all different."""
    room, whole = np.array(shape) - size + 1, "x".join(map(str, reversed(shape)))
    crop = "x".join([str(size)] * len(shape))
    if room.min() < 1:
        raise UserError(
            f"the {kind} is {whole}, too small for crops of {crop}; "
            f"give a larger one or smaller crops: data.crop"
        )
    if count > room.prod():
        raise UserError(
            f"a {whole} {kind} has only {room.prod()} different crops of {crop}, "
            f"{count} were asked for; take fewer or smaller crops: data.crops, data.crop"
        )
    axes = np.arange(len(shape)) + 1
    steps = 1 / _COVERING[len(shape)] ** axes
    offset = noise.uniforms(seed, "crops", len(shape)).numpy()
    drawn = 2 * count
    while True:
        along = np.arange(drawn)[:, None] * steps
        corners = ((offset + along) % 1 * room).astype(np.int64)
        _, first = np.unique(corners, axis=0, return_index=True)
        if len(first) >= count:
            return corners[np.sort(first)[:count]]
        drawn *= 2


# Is it its own mirror image? ------------------------------------------------------------------


def compared(count: int, seed: int) -> np.ndarray:
    """Which of `count` examples `mirror_ratio` should be shown, in which order."""
    return Noise(seed, "mirror").permutation(count).numpy()[:_MOST_EXAMPLES]


def mirror_ratio(values: np.ndarray) -> float:
    """Is the data its own mirror image as a set? About 1 for faces, well above for digits.

    Principal components of the first half of the examples reconstruct the other half, mirrored and
    as it is; the ratio of the two squared errors.

    Args:
        values: (N, ..., H, W) in model units, no NaN, in a random order (see `compared`).

    Returns:
        The ratio; infinity where it cannot be told (fewer than 8 examples, no pictures).
    """
    from sklearn.decomposition import PCA

    if values.ndim < 3 or len(values) < 8:
        return float("inf")
    half = len(values) // 2
    fitted, other = _coarse(values[:half]), values[half:]
    components = min(_COMPONENTS, len(values) // 4, fitted.shape[1])
    with np.errstate(invalid="ignore"):  # shares of a variance that may be nothing
        model = PCA(components, svd_solver="full").fit(fitted)

    def error(pictures: np.ndarray) -> float:
        flat = _coarse(pictures)
        return float(np.mean((flat - model.inverse_transform(model.transform(flat))) ** 2))

    tiny = 1e-9
    return (error(other[..., ::-1]) + tiny) / (error(other) + tiny)


def _coarse(values: np.ndarray) -> np.ndarray:
    """Block averages of (N, ..., H, W), flattened to (N, D)."""
    height, width = values.shape[-2:]
    block = max(1, max(height, width) // _COARSE)
    tall, wide = height // block, width // block
    part = values[..., : tall * block, : wide * block]
    blocks = part.reshape(*values.shape[:-2], tall, block, wide, block)
    return blocks.mean(axis=(-3, -1), dtype=np.float32).reshape(len(values), -1)
