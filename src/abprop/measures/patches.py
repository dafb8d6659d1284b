"""Distances between the patches of two pictures.

Patches p of 8 x 8 pixels at octaves 1, 1/2, 1/4, in coordinates u in which those of the real
picture have about equal spread in every direction (small ones are left small),

    u = (p - mean) V (L + .02 max L)^(-1/2),      V L V^T the covariance of real patches,

or else distances would be those of the smooth parts alone. With A the patches of a piece that is
judged and B those of the reference,

    wasserstein    (mean over 64 directions w of W_2(w.A, w.B)^2)^(1/2), sliced Wasserstein
    coherence      mean over a in A of min over b in B |a - b|
    completeness   mean over b in B of min over a in A |a - b|

each averaged over the octaves, whose spread is alike. For copies: larger patches, 32 x 32 pixels
seen at half the resolution, so that grain on a copy does not hide it, in 64 principal components.

J. Rabin, G. Peyré, J. Delon, M. Bernot: Wasserstein Barycenter and Its Application to Texture
Mixing, SSVM 2011. D. Simakov, Y. Caspi, E. Shechtman, M. Irani: Summarizing Visual Data Using
Bidirectional Similarity, CVPR 2008 (coherence and completeness).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.noise import Noise

SIDE = 8  # pixels of a patch
OCTAVES = (0, 1, 2)
DIRECTIONS = 64
QUANTILES = 200
FLOOR = 0.02  # of the largest variance
LARGE = 16  # pixels of a patch that is looked for, at half the resolution
COMPONENTS = 64  # of large patches
DETAILS = 96  # components of small patches; what is left has no variance to speak of
QUERIES = (4, 2, 1)  # every so manieth patch along an axis, at each octave
REFERENCES = (2, 1, 1)

Patches = list[Tensor]  # (n, components) at each octave


class Distances(NamedTuple):
    """Of one piece from a reference; see the module."""

    wasserstein: Tensor
    coherence: Tensor
    completeness: Tensor


def coarser(x: Tensor, octave: int) -> Tensor:
    """Pictures (..., C, H, W) at 2^-octave of their resolution."""
    return F.avg_pool2d(x, 2**octave) if octave else x


def cut(x: Tensor, side: int, every: int) -> Tensor:
    """Patches of a picture (C, H, W), or of several one after the other, (n, C side^2)."""
    return F.unfold(x, side, stride=every).movedim(-2, -1).flatten(0, -2)


@dataclass(frozen=True)
class Coordinates:
    """Where patches are compared: u = (p - mean) axes.

    Attributes:
        mean: (D,).
        axes: (D, components).
    """

    mean: Tensor
    axes: Tensor

    @classmethod
    def of(cls, patches: Tensor, most: int, *, white: bool) -> Coordinates:
        """The `most` largest principal components of patches (n, D), whitened or as they are."""
        mean = patches.mean(0)
        values, vectors = torch.linalg.eigh(torch.cov((patches - mean).T))
        values, vectors = values[-most:], vectors[:, -most:]
        if white:
            vectors = vectors / torch.sqrt(values + FLOOR * values.max() + 1e-12)
        return cls(mean, vectors)

    def __call__(self, patches: Tensor) -> Tensor:
        return (patches - self.mean) @ self.axes


class Comparison:
    """Patch distances in the coordinates of one picture.

    Args:
        picture: (C, H, W), float32.
    """

    def __init__(self, picture: Tensor) -> None:
        small = [
            cut(coarser(picture, o), SIDE, e) for o, e in zip(OCTAVES, REFERENCES, strict=True)
        ]
        self.small = [Coordinates.of(patches, DETAILS, white=True) for patches in small]
        self.large = Coordinates.of(cut(coarser(picture, 1), LARGE, 1), COMPONENTS, white=False)
        count = min(DETAILS, small[0].shape[1])
        directions = Noise(0, "directions").at(torch.zeros(1, dtype=torch.int64), 0)
        turn = directions.normal((count, DIRECTIONS))[0].to(picture)
        self.directions = turn / turn.norm(dim=0)

    def patches(self, piece: Tensor, every: tuple[int, ...]) -> Patches:
        """Small patches of a piece (C, h, w)."""
        return [
            coordinates(cut(coarser(piece, octave), SIDE, stride))
            for coordinates, octave, stride in zip(self.small, OCTAVES, every, strict=True)
        ]

    def distances(self, judged: Patches, reference: Patches) -> Distances:
        """Of patches from others, averaged over octaves."""
        found = [self._at_octave(a, b) for a, b in zip(judged, reference, strict=True)]
        return Distances(*torch.tensor(found).mean(0))

    def _at_octave(self, a: Tensor, b: Tensor) -> tuple[float, float, float]:
        some = b[:: max(1, len(b) // len(a))]  # as many as asked the other way
        directions = self.directions[: a.shape[1]]
        sliced = quantiles(a @ directions) - quantiles(b @ directions)
        return (
            sliced.square().mean().sqrt().item(),
            nearest(a, b).mean().item(),
            nearest(some, a).mean().item(),
        )

    def each(self, judged: Sequence[Patches], references: Sequence[Patches]) -> Tensor:
        """Mean distances, (3,), of each from the reference of the same number."""
        pairs = zip(judged, references, strict=True)
        return torch.stack([torch.stack(list(self.distances(a, b))) for a, b in pairs]).mean(0)

    def all(self, judged: Sequence[Patches], references: Sequence[Patches]) -> Tensor:
        """Of each from every reference."""
        pairs = [(a, b) for a in judged for b in references]
        return self.each([a for a, _ in pairs], [b for _, b in pairs])

    def wide(self, piece: Tensor, every: int) -> Tensor:
        """Large patches of a piece (C, h, w), (n, components)."""
        return self.large(cut(coarser(piece, 1), LARGE, every))


def quantiles(values: Tensor) -> Tensor:
    """QUANTILES of each column, (n, m) -> (QUANTILES, m)."""
    levels = (torch.arange(QUANTILES) + 0.5) / QUANTILES
    return values.sort(0).values[(levels * len(values)).long()]


def places(height: int, width: int, every: int) -> Tensor:
    """Where the large patches of a picture begin, in pixels: (n, 2)."""
    rows, columns = (2 * torch.arange(0, n // 2 - LARGE + 1, every) for n in (height, width))
    return torch.cartesian_prod(rows, columns)


def nearest(a: Tensor, b: Tensor, allowed: Tensor | None = None) -> Tensor:
    """Distance of each of a (n, D) to the nearest of b (m, D) among those allowed (n, m)."""
    length, parts = b.square().sum(1), []
    for rows in torch.arange(len(a)).split(256):
        apart = torch.addmm(length, a[rows], b.T, alpha=-2)  # |b|^2 - 2 a.b
        if allowed is not None:
            apart = apart.masked_fill(~allowed[rows], torch.inf)
        parts.append(apart.amin(1) + a[rows].square().sum(1))
    return torch.cat(parts).clamp_min(0).sqrt()
