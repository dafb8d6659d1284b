"""Signals given linear measurements of them, one matrix for all.

    x = f(z) + e,   e ~ N(0, C),   y = A x + noise,   noise ~ N(0, nu),   G = A C A^T + nu = L L^T
    u = L^-1 y                                                      is white given z
    x = f(z) + e' + C A^T G^-1 (y - A (f(z) + e') - noise')         e' ~ N(0, C), noise' ~ N(0, nu)

draws from p(x | z, y); without e' and noise' it is the mean. J. P. Chiles, P. Delfiner:
Geostatistics, 2012 (conditioning by kriging, after G. Matheron).
"""

from __future__ import annotations

import copy
from math import prod
from typing import Self

import torch
from torch import Tensor

from abprop.operators import Measurement, Projection
from abprop.residuals.stationary import Stationary

_BLOCK = 64  # rows of a matrix whose spectra are held at once


class Indirect:
    """Linear measurements tell, the same of every signal.

    Args:
        covariance: C, of signals of A's size.
        matrix: A, (K, D) with D the numbers of a signal.
        nugget: nu, the variance of a measurement's own noise, above 0.
    """

    sigma = 1.0

    def __init__(self, covariance: Stationary, matrix: Tensor, nugget: float) -> None:
        rows = matrix.reshape(-1, *covariance.shape).split(_BLOCK)
        across = torch.cat([covariance.times(block) for block in rows]).flatten(1)  # A C
        home, doubles = matrix.device, (across.cpu().double(), matrix.cpu().double())
        G = doubles[0] @ doubles[1].T
        L = torch.linalg.cholesky((G + G.T) / 2 + nugget * torch.eye(len(G), dtype=G.dtype))
        whitener = torch.linalg.solve_triangular(L, torch.eye(len(G), dtype=G.dtype), upper=False)
        self.covariance, self.matrix, self.noise = covariance, matrix, nugget**0.5
        self.whitener = whitener.float().to(home)
        self.gain = torch.cholesky_solve(doubles[0], L).float().to(home)  # G^-1 A C, (K, D)
        self.A = Projection((whitener @ doubles[1]).float().to(home), 1)

    def on(self, count: int) -> Self:
        """The law of so many signals."""
        some = copy.copy(self)
        some.A = self.A[torch.zeros(count, dtype=torch.int64)]
        return some

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        moved = copy.copy(self)
        moved.covariance, moved.A = self.covariance.to(device), self.A.to(device)
        for name in ("matrix", "whitener", "gain"):
            setattr(moved, name, getattr(self, name).to(device))
        return moved

    def seen(self, y: Tensor) -> Tensor:
        """See `Law`: L^-1 y."""
        return y.flatten(1) @ self.whitener.T

    def normals(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `Law`: of e' and of noise'."""
        return (prod(self.covariance.torus) + len(self.matrix),)

    def complete(self, x: Tensor, y: Tensor, normal: Tensor) -> Tensor:
        """See `Law`."""
        chains, numbers = x.flatten(0, 1), prod(self.covariance.torus)
        normal, told = normal.flatten(0, 1), y.flatten(1).repeat_interleave(x.shape[1], 0)
        of_e, of_noise = normal[:, :numbers], normal[:, numbers:]
        e = self.covariance.drawn(of_e.reshape(-1, *self.covariance.torus))
        drawn = chains + e
        left = told - drawn.flatten(1) @ self.matrix.T - self.noise * of_noise
        return (drawn + (left @ self.gain).reshape(drawn.shape)).reshape(x.shape)


class Loose:
    """What was measured tells of f(z) alone: the rest is white noise.

    Args:
        A: the measurement.
        sigma: standard deviation of the noise.
    """

    def __init__(self, A: Measurement, sigma: float) -> None:
        self.A, self.sigma = A, sigma

    def on(self, count: int) -> Self:
        """The law of so many signals."""
        return type(self)(self.A[torch.zeros(count, dtype=torch.int64)], self.sigma)

    def to(self, device: torch.device | str) -> Self:
        """The same on another device."""
        return type(self)(self.A.to(device), self.sigma)

    def seen(self, y: Tensor) -> Tensor:
        """See `Law`."""
        return y

    def normals(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `Law`."""
        return shape

    def complete(self, x: Tensor, y: Tensor, normal: Tensor) -> Tensor:
        """See `Law`."""
        return x + self.sigma * normal
