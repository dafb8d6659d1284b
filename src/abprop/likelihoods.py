"""How an observation scatters about the generated signal.

Gaussian      y = A(x) + sigma * noise
              log p(y | x) = -|y - A(x)|^2 / (2 sigma^2) - (n / 2) log(2 pi sigma^2)

Spectral      y = A(x) + log(g) / RANGE,    g ~ Gamma(k, mean 1)
              log p(y | x) = k sum(d - e^d) + n (log RANGE + k log k - log Gamma(k)),
              d = RANGE (y - A(x))

n numbers are measured; sums are within an example, never averaged (the paper's equation for the
complete-data log-likelihood). Of `Gaussian` sigma has a closed-form step, sigma^2 = mean squared
residual (Rubin and Thayer, EM algorithms for ML factor analysis, 1982), which the caller takes on
held-out examples where there are any: on training residuals it shrinks as the network memorises.

`Spectral` is for y, the logarithm of a power: of a complex Gaussian coefficient whose variance is
S = e^(RANGE x) the power over S is Gamma(1, mean 1), so that x tells the variance and no phase need
be told (maximum likelihood of it is the Itakura-Saito divergence: Fevotte, Bertin, Durrieu,
Nonnegative matrix factorization with the Itakura-Saito divergence, 2009). k counts how many
independent ones were averaged: 1/2 for each where frames overlap by half. Its sigma,
sigma^2 = psi'(k) / RANGE^2, is known beforehand.
"""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from abprop.errors import AbpropError

RANGE = 6.0  # logarithm of a power, for one unit of the model: [-1, 1] spans 52 dB


class Likelihood(nn.Module):
    """p(y | A(x) = x), one number of y at a time.

    Args:
        sigma: standard deviation of y - A(x) in model units (the signal spans [-1, 1]).
        floor: a learned sigma never falls below this.

    Attributes:
        central: whether x is the mean of y.
    """

    central: ClassVar[bool] = True
    sigma: Tensor

    def __init__(self, sigma: float = 0.3, floor: float = 0.02) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def log_prob(self, y: Tensor, x: Tensor, count: Tensor) -> Tensor:
        """log p(y | A(x) = x), (B,).

        Args:
            y, x: what was observed and what is predicted, of one and the same shape (B, ...); both
                0 where nothing was.
            count: how many numbers of each example are measured, (B,).

        Raises:
            AbpropError: the shapes differ (broadcasting would hide such a fault).
        """
        if y.shape != x.shape:
            raise AbpropError(
                f"likelihood: y has shape {tuple(y.shape)} but A(x) has {tuple(x.shape)}; "
                "an operator must return y's shape"
            )
        return self.score(y, x, count)[0]

    def score(self, y: Tensor, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient in x."""
        raise NotImplementedError

    def update(self, mean_square: Tensor | float, rate: float = 1.0) -> None:
        """Move sigma^2 towards a mean squared residual, by `rate` in (0, 1], if it is learned."""


class Gaussian(Likelihood):
    """White Gaussian noise of one standard deviation."""

    def score(self, y: Tensor, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient in x, (y - x) / sigma^2."""
        residual, variance = y - x, self.sigma**2
        squared = summed(residual.square())
        log_p = -squared / (2 * variance) - 0.5 * count * torch.log(2 * math.pi * variance)
        return log_p, residual / variance

    @torch.no_grad()
    def update(self, mean_square: Tensor | float, rate: float = 1.0) -> None:
        """See `Likelihood.update`."""
        if isinstance(mean_square, Tensor):
            target = mean_square.to(self.sigma)
        else:  # filled in where sigma is: nothing to wait for, and in sigma's own precision
            target = torch.full_like(self.sigma, mean_square)
        self.sigma.copy_(torch.lerp(self.sigma**2, target, rate).sqrt().clamp_min(self.floor))


def summed(x: Tensor) -> Tensor:
    """The sum over each example, (B,), in whatever order x lies in memory."""
    return x.sum(tuple(range(1, x.ndim)))


class Spectral(Likelihood):
    """The logarithm of a power about that of its variance."""

    central = False
    k: Tensor

    def __init__(self, sigma: float = 0.3, floor: float = 0.02) -> None:
        super().__init__(sigma, floor)
        self.register_buffer("k", torch.tensor(shape(sigma)), persistent=False)

    def score(self, y: Tensor, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient in x, k RANGE (e^d - 1)."""
        k, d = self.k, RANGE * (y - x)
        excess = torch.expm1(d)
        constant = math.log(RANGE) + k * torch.log(k) - torch.lgamma(k) - k
        return k * summed(d - excess) + count * constant, k * RANGE * excess


def spread(k: float) -> float:
    """The sigma of `Spectral` of k."""
    return torch.polygamma(1, torch.tensor(k, dtype=torch.float64)).sqrt().item() / RANGE


def shape(sigma: float) -> float:
    """The k of `Spectral` of sigma: psi'(k) = (RANGE sigma)^2."""
    low, high = -12.0, 12.0  # log k; psi' falls
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (middle, high) if spread(math.exp(middle)) > sigma else (low, middle)
    return math.exp(low)


LIKELIHOODS: dict[str, type[Likelihood]] = {"gaussian": Gaussian, "spectral": Spectral}
