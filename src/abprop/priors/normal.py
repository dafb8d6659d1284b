"""Normal priors.

standard:  p(z) = N(0, I)
gaussian:  p(z) = N(mu, S),  mu and S = mean and covariance of the current z's

The z's of examples that f was fitted to lie nearer to each other than those of others do, the more
so at the hotter sigma of learning. So vectors of held-out examples say how wide an answer's prior
is: N(mu, w^2 S), where w^2 = E[(z - mu)' S^-1 (z - mu)] / d over their posteriors under N(mu, S),
EM's step for w from 1.
"""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from abprop.noise import Keyed, Noise
from abprop.priors.base import Cells, Foldable, Prior, map_of, normals, rows_of
from abprop.whole import HERE, Whole

NARROWEST, WIDEST = 1e-3, 1e3  # that a prior can be told to be
FEWEST = 2  # examples for each factor, to tell their covariance without their copies


class StandardNormal(nn.Module):
    """N(0, I) over latents of shape `shape`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.width = shape, 1.0

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each channel, broadcastable to z."""
        return torch.ones(())

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; 0, I) for z (B, *shape), (B,)."""
        return self.score(z)[0]

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient -z."""
        n = math.prod(z.shape[1:])
        return -0.5 * (z.square().flatten(1).sum(1) + n * math.log(2 * math.pi)), -z

    def expected(self, count: int, grid: Cells | None = None) -> Tensor:
        """The mean, (count, *shape), or of a map of other lengths."""
        return torch.zeros(count, self.shape[0], *(grid or self.shape[1:]))

    def draw(
        self, noise: Noise, count: int, grid: Cells | None = None, start: Cells | None = None,
        first: int = 0,
    ) -> Tensor:  # fmt: skip
        """`count` draws (count, k, *grid), float64; see `normals`."""
        return normals(noise, count, self.shape, grid, start, first)

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *shape), float64."""
        return noise.normal(self.shape)

    def update(
        self, z: Tensor, rate: float, noise: Keyed | None = None, whole: Whole = HERE
    ) -> None:
        """Nothing to learn."""

    def remember(
        self, z: Tensor, places: Tensor | None = None, originals: int | None = None
    ) -> None:
        """Nothing to remember."""

    def fold(self, network: Foldable) -> Prior:
        """Already what a folded model has."""
        return self

    def folded(self, z: Tensor) -> Tensor:
        """z as it is."""
        return z

    def as_drawn(self) -> Prior:
        """The prior whose density is that of the draws: this one."""
        return self

    @property
    def widens(self) -> bool:
        """It is as wide as it is."""
        return False

    def widened(self, width: float) -> Prior:
        """This one."""
        return self


class Gaussian(nn.Module):
    """N(mean, covariance) over the k channels of latents of shape (k,) or (k, *map).

    Args:
        shape: latent shape.
        ridge: added to the covariance's diagonal so that it can be inverted.
    """

    mean: Tensor
    covariance: Tensor
    root: Tensor

    def __init__(self, shape: tuple[int, ...], ridge: float = 1e-3) -> None:
        super().__init__()
        self.shape, self.ridge, self.width = shape, ridge, 1.0
        self.register_buffer("mean", torch.zeros(shape[0]))
        self.register_buffer("covariance", torch.eye(shape[0]))
        self.register_buffer("root", torch.eye(shape[0]))  # covariance = root @ root.T

    @property
    def spread(self) -> Tensor:
        """Standard deviation of each channel, broadcastable to z."""
        deviation = self.root.square().sum(1).sqrt()
        return deviation.reshape(-1, *(1 for _ in self.shape[1:]))

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; mean, covariance), summed over positions, (B,)."""
        return self.score(z)[0]

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient -S^-1 (z - mu)."""
        residual = rows_of(z) - self.mean
        white = torch.linalg.solve_triangular(self.root, residual.T, upper=False)
        grad = -torch.linalg.solve_triangular(self.root.T, white, upper=True).T
        positions = math.prod(z.shape[2:])
        constant = positions * (
            self.root.diagonal().log().sum() + 0.5 * len(self.mean) * math.log(2 * math.pi)
        )
        squared = white.square().sum(0).reshape(len(z), -1).sum(1)
        return -0.5 * squared - constant, map_of(grad, z)

    def expected(self, count: int, grid: Cells | None = None) -> Tensor:
        """The mean, (count, *shape), or of a map of other lengths."""
        return self._transform(self.mean.new_zeros(count, self.shape[0], *(grid or self.shape[1:])))

    def draw(
        self, noise: Noise, count: int, grid: Cells | None = None, start: Cells | None = None,
        first: int = 0,
    ) -> Tensor:  # fmt: skip
        """`count` draws (count, k, *grid); see `normals`."""
        normal = normals(noise, count, self.shape, grid, start, first)
        return self._transform(normal.to(self.root))

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *shape)."""
        return self._transform(noise.normal(self.shape).to(self.root))

    def _transform(self, normal: Tensor) -> Tensor:
        """mu + L n of standard normals n (B, k, *map)."""
        return map_of(rows_of(normal) @ self.root.T + self.mean, normal)

    def fold(self, network: Foldable) -> Prior:
        """Over a vector: z = mu + L z' moves into the network, and N(0, I) is left."""
        if len(self.shape) > 1:
            return self
        network.fold(self.mean, self.root)
        return StandardNormal(self.shape)

    def folded(self, z: Tensor) -> Tensor:
        """z' = L^-1 (z - mu) of vectors z (N, d); maps as they are."""
        if len(self.shape) > 1:
            return z
        return torch.linalg.solve_triangular(self.root, (z - self.mean).T, upper=False).T

    def as_drawn(self) -> Prior:
        """The prior whose density is that of the draws, where they have one: this one."""
        return self

    @property
    def widens(self) -> bool:
        """Whether it may be wider than the latents learned with are: over vectors."""
        return len(self.shape) == 1

    def widened(self, width: float) -> Prior:
        """The same, w times as wide as the latents learned with are: a copy; see the module."""
        width = min(max(width, NARROWEST), WIDEST)
        if not self.widens or width == self.width:
            return self
        wider = copy.deepcopy(self)
        wider._stretch(width / self.width)
        wider.width = width
        return wider

    def _stretch(self, by: float) -> None:
        self.root.mul_(by)
        self.covariance.mul_(by**2)

    @torch.no_grad()
    def update(
        self, z: Tensor, rate: float, noise: Keyed | None = None, whole: Whole = HERE
    ) -> None:
        """One EM step on the z's of a batch, as a running average of rate in (0, 1].

        Args:
            z: draws from the posteriors of a batch, (B, *shape).
            rate: weight of this batch.
            noise: for priors that learn by sampling; unused here.
            whole: the batch of which these are rows.
        """
        count, total = whole.sum(_counted, z)
        mean = torch.lerp(self.mean, total / count, rate)
        (squares,) = whole.sum(lambda z: _squares(rows_of(z) - mean), z)
        scatter = squares / count
        # Rows that moved the mean are scattered about the new one: the blend stays a covariance.
        shift = torch.outer(self.mean - mean, self.mean - mean)
        self.covariance.copy_(torch.lerp(self.covariance + shift, scatter, rate))
        self.mean.copy_(mean)
        jitter = self.ridge * torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        self.root.copy_(torch.linalg.cholesky(self.covariance + jitter))

    def leading(self, z: Tensor, most: int) -> Tensor:
        """The leading principal components of z (B, k, *map), of variance 1 in the mean."""
        values, vectors = torch.linalg.eigh(self.covariance.double())
        kept = slice(max(0, len(values) - most), None)
        axes = vectors[:, kept] / values[kept].mean().clamp_min(1e-12).sqrt()
        found = (rows_of(z) - self.mean) @ axes.to(z)
        return found.reshape(len(z), *z.shape[2:], -1).movedim(-1, 1)

    def remember(
        self, z: Tensor, places: Tensor | None = None, originals: int | None = None
    ) -> None:
        """Be the law of the examples' own latents, where copies were learned from besides.

        A shifted copy has a drawn-out edge and less contrast, and draws shall be like the examples.
        Where held-out examples told the width it stays, and the own latents tell the shape alone.

        Args:
            z: draws from the posteriors of all, (M, d), copies behind the others.
            places: of crops, which have maps.
            originals: how many are no copies; None: all.
        """
        if len(self.shape) == 1 and len(own := own_of(z, originals)) < len(z):
            before = self.root.clone()
            Gaussian.update(self, own, 1.0)  # what else a prior has learned stays
            if self.width != 1:
                now = torch.linalg.solve_triangular(before, self.root, upper=False)
                self._stretch((len(now) / now.square().sum()).sqrt().item())


def own_of(z: Tensor, originals: int | None) -> Tensor:
    """The examples' own rows of z (M, d), or all where they are too few to tell a covariance."""
    few = FEWEST * z.shape[1]
    return z if originals is None or originals < few else z[:originals]


def _counted(z: Tensor) -> tuple[Tensor, Tensor]:
    """How many rows, and their sum."""
    rows = rows_of(z)
    return rows.new_full((1,), len(rows)), rows.sum(0)


def _squares(rows: Tensor) -> tuple[Tensor]:
    return (rows.T @ rows,)
