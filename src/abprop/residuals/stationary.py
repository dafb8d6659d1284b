"""A stationary covariance as a table of lags: C[(a, u), (b, v)] = c_ab(v - u).

On a torus twice as large as the signal C is circulant, so that C and C^(1/2) cost two FFTs:

    C e          the signal on the torus, filled up with 0; times the spectrum; cut back
    C^(1/2) n    white noise on the torus; times the root of the spectrum; cut: N(0, C) exactly
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
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

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of a signal."""
        return self.table.shape[1], *(n // 2 for n in self.table.shape[2:])

    @property
    def torus(self) -> tuple[int, ...]:
        """The shape of the noise that `drawn` takes for one signal, (C, *2 size)."""
        return tuple(self.table.shape[1:])

    def times(self, x: Tensor) -> Tensor:
        """C x of signals (N, C, *size)."""
        turned = torch.einsum("ab,na...->nb...", self.turn, x)
        return self._filtered(self._power, turned)

    def drawn(self, normal: Tensor) -> Tensor:
        """Signals e ~ N(0, C), (N, C, *size), of standard normals (N, *torus)."""
        return self._filtered(self._root, normal)

    @cached_property
    def _power(self) -> Tensor:
        """The spectrum, Hermitian (*half the torus, C, C)."""
        axes = tuple(range(2, self.table.ndim))
        spectrum = torch.fft.rfftn(self.table, dim=axes).movedim((0, 1), (-2, -1)).conj()
        return (spectrum + spectrum.mH) / 2

    @cached_property
    def _root(self) -> Tensor:
        """The Hermitian root of the spectrum."""
        values, vectors = torch.linalg.eigh(self._power)
        root = values.clamp_min(0).sqrt().to(vectors.dtype)
        return (vectors * root[..., None, :]) @ vectors.mH

    def _filtered(self, power: Tensor, x: Tensor) -> Tensor:
        size = self.torus[1:]
        axes = tuple(range(2, 2 + len(size)))
        spectrum = torch.fft.rfftn(x, size, dim=axes)
        spectrum = torch.einsum("...ab,nb...->na...", power, spectrum)
        found = torch.fft.irfftn(spectrum, size, dim=axes)
        found = found[(..., *(slice(n // 2) for n in size))]
        return torch.einsum("ab,nb...->na...", self.turn, found)
