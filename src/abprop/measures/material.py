"""One picture of a material, against which others are held."""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.evenly import evenly
from abprop.measures import portilla
from abprop.measures.patches import (
    LARGE,
    QUERIES,
    REFERENCES,
    Comparison,
    Distances,
    nearest,
    places,
)

SMALLEST, LARGEST = 32, 256  # pixels on a side of a piece
MOST = 9  # pieces of a picture that are looked at
ELSEWHERE = 2 * LARGE  # pixels from which on a patch of the same picture is another one

NOTHING, MOST_RATIO = 1e-6, 1e6

Ratios = dict[str, float]


class Material:
    """What disjoint pieces of one picture have in common.

    Args:
        picture: (C, H, W) in model units, complete.

    Raises:
        UserError: less than 64 pixels on a side: no pieces to compare.
    """

    def __init__(self, picture: Tensor) -> None:
        shortest = min(picture.shape[1:])
        self.side = min(LARGEST, shortest // 2 // 16 * 16)
        if self.side < SMALLEST:
            raise UserError(
                f"a texture of {picture.shape[2]}x{picture.shape[1]} is too small to be judged: "
                f"at least {2 * SMALLEST} pixels on a side are needed"
            )
        self.picture, self.pieces = picture, self._cut(picture)
        self.comparison = Comparison(picture)
        own = [self.comparison.patches(piece, REFERENCES) for piece in self.pieces]
        whole = range(len(own))
        # A piece is held against all the others; so is each piece of what is judged.
        self.references = [
            [torch.cat(parts) for parts in zip(*(own[j] for j in whole if j != i), strict=True)]
            for i in whole
        ]
        asked = [self.comparison.patches(piece, QUERIES) for piece in self.pieces]
        self.alike = self.comparison.each(asked, self.references)
        self.large = self.comparison.wide(picture, 1)
        self.newness, self.variety = self._newness(), self._variety(picture)
        if portilla.available():
            self._learn_statistics()

    def ratios(self, made: Tensor) -> Ratios:
        """How a picture (C, h, w) in model units compares; see `measures`.

        Raises:
            UserError: smaller than a piece.
        """
        if min(made.shape[1:]) < self.side:
            raise UserError(f"a sample must measure at least {self.side} pixels to be judged")
        pieces = self._cut(made)
        told = {
            name: ratio(there, here)
            for name, there, here in zip(
                Distances._fields, self._apart(pieces), self.alike, strict=True
            )
        }
        if portilla.available():
            found = self.statistics(torch.stack(pieces))
            off = portilla.distances(found, self.real, self.deviation).mean()
            told = {"portilla_simoncelli": ratio(off, self.alike_statistics), **told}
        large = torch.cat([self.comparison.wide(piece, 2) for piece in pieces])
        return {
            "sample_ratio": max(told.values()),
            **told,
            "copy_ratio": ratio(nearest(large, self.large).mean(), self.newness),
            "repeat_ratio": ratio(self._variety(made), self.variety),
        }

    def _cut(self, picture: Tensor) -> list[Tensor]:
        """Disjoint pieces, evenly chosen where there are many."""
        corners = self._corners(picture)
        return [self._piece(picture, at) for at in corners[evenly(len(corners), MOST)]]

    def _corners(self, picture: Tensor) -> list[tuple[int, int]]:
        ys, xs = (range(0, n - self.side + 1, self.side) for n in picture.shape[1:])
        return [(y, x) for y in ys for x in xs]

    def _piece(self, picture: Tensor, at: tuple[int, int]) -> Tensor:
        y, x = at
        return picture[:, y : y + self.side, x : x + self.side]

    def _apart(self, pieces: list[Tensor]) -> Tensor:
        asked = [self.comparison.patches(piece, QUERIES) for piece in pieces]
        return self.comparison.all(asked, self.references)

    def _learn_statistics(self) -> None:
        """Statistics of the pieces, and how they vary over overlapping ones."""
        self.statistics = portilla.Statistics(self.side)
        _, height, width = self.picture.shape
        s, step = self.side, self.side // 4
        ys, xs = (range(0, n - s + 1, max(step, (n - s) // 6)) for n in (height, width))
        around = [self._piece(self.picture, (y, x)) for y in ys for x in xs]
        self.deviation = self.statistics(torch.stack(around)).std(0)
        self.real = self.statistics(torch.stack(self.pieces))
        self.alike_statistics = apart(portilla.distances(self.real, self.real, self.deviation))

    def _newness(self) -> Tensor:
        """Mean distance of a piece's large patches to the nearest beyond the piece."""
        _, height, width = self.picture.shape
        at, found = places(height, width, 1), []
        for corner in self._corners(self.picture):
            begin = torch.tensor(corner)
            own = ((at > begin - 2 * LARGE) & (at < begin + self.side)).all(1)
            asked = self.comparison.wide(self._piece(self.picture, corner), 2)
            found.append(nearest(asked, self.large[~own]))
        return torch.cat(found).mean()

    def _variety(self, picture: Tensor) -> Tensor:
        """Mean distance of large patches to the nearest elsewhere, over as much as is known.

        The larger a picture, the nearer the nearest: windows of the real picture's size are
        compared.
        """
        height, width = self.picture.shape[1:]
        window = picture[:, :height, :width]
        at = places(window.shape[1], window.shape[2], 4)
        large = self.comparison.wide(window, 4)
        elsewhere = ((at[:, None] - at[None]).abs() >= ELSEWHERE).any(-1)
        off = nearest(large, large, elsewhere)
        return off[torch.isfinite(off)].mean()  # in a small picture some have no elsewhere


def apart(d: Tensor) -> Tensor:
    """Mean distance of different pieces, of all distances (n, n) between n."""
    return d.sum() / (len(d) * (len(d) - 1))


def ratio(there: Tensor, here: Tensor) -> float:
    """1 where neither differs at all; of a picture without any variety nothing else can be said."""
    return min(MOST_RATIO, (there + NOTHING).item() / (here + NOTHING).item())
