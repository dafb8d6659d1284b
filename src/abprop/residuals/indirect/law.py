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

from abprop.operators import Measurement, Projection, for_many
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
        some.A = for_many(self.A, count)
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
        torus = self.covariance.torus
        of_e, of_noise = normal[..., : prod(torus)], normal[..., prod(torus) :]
        e = self.covariance.drawn(of_e.reshape(-1, *torus)).reshape(x.shape)
        return self._kriged(x + e, y.flatten(1)[:, None] - self.noise * of_noise)

    def expected(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Law`."""
        return self._kriged(x, y.flatten(1)[:, None])

    def _kriged(self, x: Tensor, y: Tensor) -> Tensor:
        """x + C A^T G^-1 (y - A x) of chains (B, K, C, *size), y (B, 1 or K, numbers)."""
        left = y - x.flatten(2) @ self.matrix.T
        return x + (left @ self.gain).reshape(x.shape)


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
        return type(self)(for_many(self.A, count), self.sigma)

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

    def expected(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Law`."""
        return x
