"""Signals behind linear measurements, before any generator is there.

    x = mu + e,   e ~ N(0, C),   y = A x + noise,    E[x | y] = mu + C A^T G^-1 (y - A mu)

(simple kriging). C has the spectrum that makes the measurements most likely (`power`); mu is what
the same law makes of their mean. Nothing else is seen than y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.residuals.indirect.law import Indirect
from abprop.residuals.indirect.power import Power, fit_power

BLOCK = 64  # signals completed together


class Known(NamedTuple):
    """What measurements say of the signals behind them.

    Attributes:
        power: spectrum of x - mu.
        centre: mean of the measurements, (K,).
    """

    power: Power
    centre: Tensor

    @classmethod
    def of(cls, y: Tensor, matrix: Tensor, shape: tuple[int, ...]) -> Known:
        """From the measurements alone.

        Args:
            y: measurements of several signals, (N, K).
            matrix: A, (K, D).
            shape: (C, *size) of a signal, with at least one axis.
        """
        centre = y.mean(0)
        return cls(fit_power(y - centre, matrix, shape), centre)


@dataclass(frozen=True)
class Completion:
    """What completes signals of which linear measurements were taken.

    Attributes:
        known: what measurements of others say.
        matrix: A, (K, D).
    """

    known: Known
    matrix: Tensor

    @cached_property
    def law(self) -> Indirect:
        """That of x about mu."""
        power = self.known.power
        return Indirect(power.covariance, self.matrix, power.nugget)

    @cached_property
    def mean(self) -> Tensor:
        """mu, (C, *size)."""
        return (self.known.centre @ self.law.gain).reshape(self.law.covariance.shape)

    def __call__(self, y: Tensor) -> Tensor:
        """E[x | y] of measurements (B, K), (B, C, *size)."""
        mean = self.mean[None, None]
        parts = [self.law.expected(mean.expand(len(v), *mean.shape[1:]), v) for v in y.split(BLOCK)]
        return torch.cat(parts)[:, 0]
