"""What the latent factors are before anything is seen.

    standard:  p(z) = N(0, I)                                   (the paper's)
    gaussian:  p(z) = N(mu, S),  mu and S = mean and covariance of the current z's

The Gaussian's step is closed-form EM, as a running average over the batches. For a vector it adds
nothing to the model (z' = L^-1 (z - mu), folded into the first layer, gives back N(0, I) and the
same f): it is the parameter expansion of Liu, Rubin and Wu (Parameter expansion to accelerate EM,
Biometrika 1998), and keeps samples from N(0, I) as good as reconstructions. For a map (k, h, w)
mu and S are over the k channels, shared by all positions: a stationary signal stays stationary.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn

from abprop.noise import Keyed, Noise

FAR = 2**15  # cells along an axis of a map: positions are numbered in this base


class Foldable(Protocol):
    """A network whose first layer can absorb z = mean + root z'."""

    def fold(self, mean: Tensor, root: Tensor) -> None: ...


class Prior(Protocol):
    """What the model asks of a prior.

    Attributes:
        shape: of one z.
        spread: standard deviation of each channel, broadcastable to z.
    """

    shape: tuple[int, ...]

    @property
    def spread(self) -> Tensor: ...
    def log_prob(self, z: Tensor) -> Tensor: ...
    def score(self, z: Tensor) -> tuple[Tensor, Tensor]: ...
    def expected(self, count: int) -> Tensor: ...
    def draw(self, noise: Noise, count: int, grid: tuple[int, ...] | None = None) -> Tensor: ...
    def draw_each(self, noise: Keyed) -> Tensor: ...
    def update(self, z: Tensor, rate: float, noise: Keyed | None = None) -> None: ...
    def fold(self, network: Foldable) -> Prior: ...
    def folded(self, z: Tensor) -> Tensor: ...


def normals(
    noise: Noise, count: int, shape: tuple[int, ...], grid: tuple[int, ...] | None = None
) -> Tensor:
    """Standard normals (count, k, *grid), keyed by the position in the map.

    The same seed gives a larger map that contains the smaller one.

    Args:
        noise: the stream of the draws.
        count: number of draws.
        shape: (k, *native grid).
        grid: lengths of a map other than the native one.
    """
    channels, *native = shape
    lengths = tuple(grid or native)
    positions = torch.zeros(1, dtype=torch.int64)
    for n in lengths:
        positions = (positions[:, None] * FAR + torch.arange(n)[None]).flatten()
    rows = [noise.at(positions, chain=i).normal((channels,)) for i in range(count)]
    return torch.stack(rows).reshape(count, *lengths, channels).movedim(-1, 1)


def _rows(z: Tensor) -> Tensor:
    """(B, k, *map) -> (B * positions, k)."""
    return z.movedim(1, -1).reshape(-1, z.shape[1])


class StandardNormal(nn.Module):
    """N(0, I) over latents of shape `shape`."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

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

    def expected(self, count: int) -> Tensor:
        """The mean, (count, *shape)."""
        return torch.zeros(count, *self.shape)

    def draw(self, noise: Noise, count: int, grid: tuple[int, ...] | None = None) -> Tensor:
        """`count` draws (count, k, *grid), float64; see `normals`."""
        return normals(noise, count, self.shape, grid)

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *shape), float64."""
        return noise.normal(self.shape)

    def update(self, z: Tensor, rate: float, noise: Keyed | None = None) -> None:
        """Nothing to learn."""

    def fold(self, network: Foldable) -> Prior:
        """Already what a folded model has."""
        return self

    def folded(self, z: Tensor) -> Tensor:
        """z as it is."""
        return z


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
        self.shape, self.ridge = shape, ridge
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
        residual = _rows(z) - self.mean
        white = torch.linalg.solve_triangular(self.root, residual.T, upper=False)
        grad = -torch.linalg.solve_triangular(self.root.T, white, upper=True).T
        positions = math.prod(z.shape[2:])
        constant = positions * (
            self.root.diagonal().log().sum() + 0.5 * len(self.mean) * math.log(2 * math.pi)
        )
        squared = white.square().sum(0).reshape(len(z), -1).sum(1)
        return -0.5 * squared - constant, self._fold(grad, z)

    def expected(self, count: int) -> Tensor:
        """The mean, (count, *shape)."""
        return self._transform(self.mean.new_zeros(count, *self.shape))

    def draw(self, noise: Noise, count: int, grid: tuple[int, ...] | None = None) -> Tensor:
        """`count` draws (count, k, *grid); see `normals`."""
        return self._transform(normals(noise, count, self.shape, grid).to(self.root))

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *shape)."""
        return self._transform(noise.normal(self.shape).to(self.root))

    def _transform(self, normal: Tensor) -> Tensor:
        """mu + L n of standard normals n (B, k, *map)."""
        return self._fold(_rows(normal) @ self.root.T + self.mean, normal)

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

    @torch.no_grad()
    def update(self, z: Tensor, rate: float, noise: Keyed | None = None) -> None:
        """One EM step on the z's of a batch, as a running average of rate in (0, 1].

        Args:
            z: draws from the posteriors of a batch, (B, *shape).
            rate: weight of this batch.
            noise: for priors that learn by sampling; unused here.
        """
        rows = _rows(z)
        mean = torch.lerp(self.mean, rows.mean(0), rate)
        scatter = (rows - mean).T @ (rows - mean) / len(rows)
        # Rows that moved the mean are scattered about the new one: the blend stays a covariance.
        shift = torch.outer(self.mean - mean, self.mean - mean)
        self.covariance.copy_(torch.lerp(self.covariance + shift, scatter, rate))
        self.mean.copy_(mean)
        jitter = self.ridge * torch.eye(len(mean), dtype=mean.dtype, device=mean.device)
        self.root.copy_(torch.linalg.cholesky(self.covariance + jitter))

    @staticmethod
    def _fold(rows: Tensor, like: Tensor) -> Tensor:
        return rows.reshape(len(like), *like.shape[2:], like.shape[1]).movedim(-1, 1)


PRIORS = {"standard": StandardNormal, "gaussian": Gaussian}
