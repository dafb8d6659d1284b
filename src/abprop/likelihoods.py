"""How an observation scatters about the generated signal.

    y = A(x) + sigma * noise
    log p(y | x) = -|y - A(x)|^2 / (2 sigma^2) - (n / 2) log(2 pi sigma^2),    n = numbers measured

Summed within an example, never averaged (the paper's equation for the complete-data
log-likelihood). sigma has a closed-form step, sigma^2 = mean squared residual (Rubin and Thayer,
EM algorithms for ML factor analysis, 1982), which the caller takes on held-out examples where
there are any: on training residuals it shrinks as the network memorises.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from abprop.errors import AbpropError


class Gaussian(nn.Module):
    """White Gaussian noise of one standard deviation.

    Args:
        sigma: standard deviation in model units (the signal spans [-1, 1]).
        floor: sigma never falls below this.
    """

    sigma: Tensor

    def __init__(self, sigma: float = 0.3, floor: float = 0.02) -> None:
        super().__init__()
        self.floor = floor
        self.register_buffer("sigma", torch.tensor(float(sigma)))

    def log_prob(self, y: Tensor, x: Tensor, count: Tensor) -> Tensor:
        """log p(y | A(x) = x), (B,).

        Args:
            y, x: what was observed and what is predicted, of one and the same shape (B, ...).
            count: how many numbers of each example are measured, (B,).

        Raises:
            AbpropError: the shapes differ (broadcasting would hide such a fault).
        """
        if y.shape != x.shape:
            raise AbpropError(
                f"likelihood: y has shape {tuple(y.shape)} but A(x) has {tuple(x.shape)}; "
                "an operator must return y's shape"
            )
        return self._log_prob((y - x).square().flatten(1).sum(1), count)

    def score(self, y: Tensor, x: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient in x, (y - x) / sigma^2."""
        residual = y - x
        log_p = self._log_prob(residual.square().flatten(1).sum(1), count)
        return log_p, residual / self.sigma**2

    def _log_prob(self, squared: Tensor, count: Tensor) -> Tensor:
        variance = self.sigma**2
        return -squared / (2 * variance) - 0.5 * count * torch.log(2 * math.pi * variance)

    @torch.no_grad()
    def update(self, mean_square: Tensor | float, rate: float = 1.0) -> None:
        """Move sigma^2 towards a mean squared residual, by `rate` in (0, 1]."""
        if isinstance(mean_square, Tensor):
            target = mean_square.to(self.sigma)
        else:  # filled in where sigma is: nothing to wait for, and in sigma's own precision
            target = torch.full_like(self.sigma, mean_square)
        self.sigma.copy_(torch.lerp(self.sigma**2, target, rate).sqrt().clamp_min(self.floor))
