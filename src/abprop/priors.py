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


class Prior(Protocol):
    """What the model asks of a prior."""

    shape: tuple[int, ...]

    @property
    def spread(self) -> Tensor: ...
    def log_prob(self, z: Tensor) -> Tensor: ...
    def score(self, z: Tensor) -> tuple[Tensor, Tensor]: ...
    def transform(self, normal: Tensor) -> Tensor: ...
    def update(self, z: Tensor, rate: float) -> None: ...


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

    def transform(self, normal: Tensor) -> Tensor:
        """Prior draws from standard normals."""
        return normal

    def update(self, z: Tensor, rate: float) -> None:
        """Nothing to learn."""


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

    def transform(self, normal: Tensor) -> Tensor:
        """Prior draws mu + L n from standard normals n (B, k, *map)."""
        return self._fold(_rows(normal) @ self.root.T + self.mean, normal)

    @torch.no_grad()
    def update(self, z: Tensor, rate: float) -> None:
        """One EM step on the z's of a batch, as a running average of rate in (0, 1]."""
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
