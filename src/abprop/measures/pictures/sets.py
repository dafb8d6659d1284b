"""A set of made pictures beside real ones, as ratios to what real ones give.

    ratio = distance of the made pictures to unseen real ones
            / distance of as many real ones, those known while learning, to the same

1 is another set of such pictures. Each distance can be fooled in a way of its own, so the largest
ratio counts (`sample_ratio`):

    frechet        of whole pictures, in their leading principal components: which there are, how
                   their parts go together; fooled by pictures between two kinds
    wasserstein    sliced, of small patches at several octaves: blur, noise, contrast; fooled by
                   parts that do not belong together
    coherence      made pictures that are like no real one; fooled by what is near the mean
    completeness   real pictures that no made one is like: what was left out

and `copy_ratio` says how new they are: their distance to the nearest known picture, over that of
unseen ones; 0 where copied. Patches and their coordinates are those of textures (see `patches`).

H. Heusel et al.: GANs Trained by a Two Time-Scale Update Rule, NIPS 2017 (Fréchet, there of a
network's features). T. Karras et al.: Progressive Growing of GANs, ICLR 2018 (sliced Wasserstein).
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.evenly import evenly
from abprop.measures.material import Ratios, ratio
from abprop.measures.patches import (
    DETAILS,
    DIRECTIONS,
    OCTAVES,
    SIDE,
    Coordinates,
    coarser,
    cut,
    nearest,
    quantiles,
)
from abprop.measures.pictures.frechet import frechet
from abprop.noise import Noise
from abprop.principal import principal_axes

COMPONENTS = 50  # of whole pictures
FEWEST = 20  # unseen pictures
PATCHES = 20_000  # of a set, at an octave


class Pictures:
    """Real pictures against which made ones are held.

    Args:
        known: those seen while learning, (M, C, H, W) in model units, complete.
        unseen: others of the same kind, (n, C, H, W).

    Raises:
        UserError: too few of them.
    """

    def __init__(self, known: Tensor, unseen: Tensor) -> None:
        if min(len(known), len(unseen)) < FEWEST:
            raise UserError(
                f"{len(known)} pictures learned from and {len(unseen)} unseen ones are too few: "
                f"{FEWEST} of each are needed"
            )
        self.count, flat = len(known), known.flatten(1)
        self.mean = flat.mean(0)
        most = min(COMPONENTS, len(flat) - 1, flat.shape[1])
        self.axes = principal_axes(flat - self.mean, most)
        shortest = min(known.shape[2:])
        self.side = min(SIDE, max(1, shortest // 2))
        self.octaves = [o for o in OCTAVES if shortest >> o >= 2 * self.side or not o]
        self.small = [
            Coordinates.of(self._patches(known, o), DETAILS, white=True) for o in self.octaves
        ]
        self.unseen, self.known = self._whole(unseen), self._whole(known)
        self.seen = [self._sliced(unseen, i) for i in range(len(self.octaves))]
        self.real = self._distances(known)
        self.newness = nearest(self.unseen, self.known).mean()

    def ratios(self, made: Tensor) -> Ratios:
        """How made pictures, as many as known ones, compare; see the module.

        Args:
            made: (M, C, H, W) in model units.

        Raises:
            ValueError: another number of pictures, whose distances would be others.
        """
        if len(made) != self.count:
            raise ValueError(f"{self.count} pictures are compared, not {len(made)}")
        found = self._distances(made)
        told = {name: ratio(found[name], self.real[name]) for name in found}
        new = nearest(self._whole(made), self.known).mean()
        copy = ratio(new, self.newness)
        return {"sample_ratio": max(told.values()), **told, "copy_ratio": copy}

    def patches(self, made: Tensor) -> float:
        """The ratio of patches alone, of any number of made pictures (M, C, H, W)."""
        return ratio(self._wasserstein(made), self.real["wasserstein"])

    def _wasserstein(self, made: Tensor) -> Tensor:
        sliced = [
            (self._sliced(made, i) - seen).square().mean().sqrt()
            for i, seen in enumerate(self.seen)
        ]
        return torch.stack(sliced).mean()

    def _distances(self, made: Tensor) -> dict[str, Tensor]:
        whole = self._whole(made)
        return {
            "frechet": frechet(whole, self.unseen),
            "wasserstein": self._wasserstein(made),
            "coherence": nearest(whole, self.unseen).mean(),
            "completeness": nearest(self.unseen, whole).mean(),
        }

    def _whole(self, x: Tensor) -> Tensor:
        """Pictures in principal components, (n, COMPONENTS)."""
        return (x.flatten(1) - self.mean) @ self.axes

    def _patches(self, x: Tensor, octave: int) -> Tensor:
        """Small patches of pictures, evenly chosen where there are many, (n, C side^2)."""
        patches = cut(coarser(x, octave), self.side, max(1, self.side // 2))
        return patches[evenly(len(patches), PATCHES)]

    def _sliced(self, x: Tensor, i: int) -> Tensor:
        """Quantiles of patches along random directions of their coordinates."""
        coordinates = self.small[i]
        noise = Noise(0, "directions").at(torch.zeros(1, dtype=torch.int64), self.octaves[i])
        turn = noise.normal((coordinates.axes.shape[1], DIRECTIONS))[0].to(x)
        return quantiles(coordinates(self._patches(x, self.octaves[i])) @ (turn / turn.norm(dim=0)))
