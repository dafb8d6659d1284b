"""A stationary covariance as a table of lags: C[(a, u), (b, v)] = c_ab(v - u)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor


@dataclass(frozen=True)
class Stationary:
    """A stationary covariance of signals of C channels.

    Attributes:
        table: c_ab(lag) on a torus twice as large as the signal, (C, C, *2 size).
        turn: orthogonal (C, C): `table` is that of turn^T e, whose channels are uncorrelated at
            lag 0.
    """

    table: Tensor
    turn: Tensor

    @property
    def variance(self) -> Tensor:
        """Of each turned channel, (C,)."""
        at_zero = self.table[(..., *(0 for _ in self.table.shape[2:]))]
        return at_zero.diagonal()

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return replace(self, table=self.table.to(device), turn=self.turn.to(device))
