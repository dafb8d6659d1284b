"""Where annealing starts: a law q(z) that can be drawn from and whose density is known.

    Everywhere    q = p(z), the prior: finds every mode, and has far to go
    Near          q = N(m, c H^-1),   m the mode of p(z | y),   H = J^T J / sigma^2 + P

J is the derivative of A(f(z)) at m and P the precision of the prior, so that H is -d^2 log p / dz^2
after Gauss and Newton: Laplace's approximation of the posterior, c times as wide. Which law it is
does not matter to what is estimated, only to how soon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from abprop.noise import Keyed
from abprop.priors import Prior


class Start(Protocol):
    """A law of z for each of some examples."""

    def __getitem__(self, rows: Tensor) -> Start: ...
    def draw(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *latent_shape)."""
        ...

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log q (B,) and its gradient, like z."""
        ...


@dataclass(frozen=True)
class Everywhere:
    """The prior, whatever the example."""

    prior: Prior

    def __getitem__(self, rows: Tensor) -> Everywhere:
        return self

    def draw(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *latent_shape)."""
        return self.prior.draw_each(noise)

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p(z) (B,) and its gradient."""
        return self.prior.score(z)


@dataclass(frozen=True)
class Near:
    """A normal law of each example's own.

    Attributes:
        mean: (B, *latent_shape).
        root: R of the covariance R R^T, and
        inverse: R^-1, both (B, n, n) for latents of n numbers.
        log_det: log |det R^-1|, (B,).
    """

    mean: Tensor
    root: Tensor
    inverse: Tensor
    log_det: Tensor

    def __getitem__(self, rows: Tensor) -> Near:
        return Near(self.mean[rows], self.root[rows], self.inverse[rows], self.log_det[rows])

    def draw(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, *latent_shape)."""
        normal = noise.normal((self.root.shape[-1],)).to(self.mean)
        return self.mean + times(self.root, normal).reshape_as(self.mean)

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log q (B,) and its gradient."""
        white = times(self.inverse, (z - self.mean).flatten(1))
        squared = white.square().sum(1) + white.shape[1] * math.log(2 * math.pi)
        return self.log_det - squared / 2, -times(self.inverse.mT, white).reshape_as(z)


def times(matrices: Tensor, v: Tensor) -> Tensor:
    """Matrices (B, n, n) times vectors (B, n)."""
    return (matrices @ v[..., None])[..., 0]
