"""What the model asks of a prior, and standard normals for a map of any size."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

from abprop.noise import Keyed, Noise
from abprop.whole import HERE, Whole

FAR = 2**15  # cells along an axis of a map: positions are numbered in this base
Cells = tuple[int, ...]


class Foldable(Protocol):
    """A network whose first layer can absorb z = mean + root z'."""

    def fold(self, mean: Tensor, root: Tensor) -> None: ...


class Prior(Protocol):
    """What the model asks of a prior.

    Attributes:
        shape: of one z.
        spread: standard deviation of each channel, broadcastable to z.
        width: how many times as wide it is as the latents learned with.
        widens: whether it may be wider.
    """

    shape: tuple[int, ...]
    width: float

    @property
    def spread(self) -> Tensor: ...
    def log_prob(self, z: Tensor) -> Tensor: ...
    def score(self, z: Tensor) -> tuple[Tensor, Tensor]: ...
    def expected(self, count: int, grid: Cells | None = None) -> Tensor: ...
    def draw(
        self, noise: Noise, count: int, grid: Cells | None = None, start: Cells | None = None,
        first: int = 0,
    ) -> Tensor: ...  # fmt: skip
    def draw_each(self, noise: Keyed) -> Tensor: ...
    def update(
        self, z: Tensor, rate: float, noise: Keyed | None = None, whole: Whole = HERE
    ) -> None: ...
    def remember(
        self, z: Tensor, places: Tensor | None = None, originals: int | None = None
    ) -> None: ...
    def fold(self, network: Foldable) -> Prior: ...
    def folded(self, z: Tensor) -> Tensor: ...
    def as_drawn(self) -> Prior: ...
    @property
    def widens(self) -> bool: ...
    def widened(self, width: float) -> Prior: ...


def normals(
    noise: Noise, count: int, shape: Cells, grid: Cells | None = None, start: Cells | None = None,
    first: int = 0,
) -> Tensor:  # fmt: skip
    """Standard normals (count, k, *grid), keyed by the position in the map.

    The same seed gives a larger map that contains the smaller one, and any window of it.

    Args:
        noise: the stream of the draws.
        count: number of draws.
        shape: (k, *native grid).
        grid: lengths of a map other than the native one.
        start: the cell at which the map begins; else the origin.
        first: number of the first draw.
    """
    channels, *native = shape
    lengths = tuple(grid or native)
    positions = torch.zeros(1, dtype=torch.int64)
    for at, n in zip(start or (0,) * len(lengths), lengths, strict=True):
        positions = (positions[:, None] * FAR + at + torch.arange(n)[None]).flatten()
    draws = range(first, first + count)
    rows = [noise.at(positions, chain=i).normal((channels,)) for i in draws]
    return torch.stack(rows).reshape(count, *lengths, channels).movedim(-1, 1)


def around(v: Tensor, axes: int, start: Cells, lengths: Cells) -> Tensor:
    """A window of what goes on at its other edge, over the last `axes` axes of v."""
    for axis, (first, n) in enumerate(zip(start, lengths, strict=True), v.ndim - axes):
        some = (first + torch.arange(n, device=v.device)) % v.shape[axis]
        v = v.index_select(axis, some)
    return v


def rows_of(z: Tensor) -> Tensor:
    """(B, k, *map) -> (B * positions, k)."""
    return z.movedim(1, -1).reshape(-1, z.shape[1])


def map_of(rows: Tensor, like: Tensor) -> Tensor:
    """The inverse: rows of a map like `like`."""
    return rows.reshape(len(like), *like.shape[2:], like.shape[1]).movedim(-1, 1)
