"""A linear system that moves factors in time: vector auto-regression, stable by construction.

    z_t = m + sum over i = 1..p of A_i (z_(t-i) - m) + eta_t,    eta_t ~ N(0, Q)

    G(h)   = (1 / T) sum over t of (z_(t+h) - m) (z_t - m)^T, times 1 - s for h > 0
    A      = (G(1) ... G(p)) B^(-1),    B the matrix of blocks G(j - i),    G(-h) = G(h)^T
    Q      = G(0) - sum over i of A_i G(i)^T

These are the Yule-Walker equations. Divided by T, not by T - h, autocovariances make B positive
definite, and then no root lies outside the unit circle: however few the frames, what is drawn
neither dies away nor grows, and its covariance is G(0). s > 0 shrinks towards independent frames,
a mixture of two such B. p and s are those whose predictions, one frame ahead, are likeliest in the
last quarter of the path, which they were not fitted to.

P. Whittle: On the fitting of multivariate autoregressions, and the approximate canonical
factorization of a spectral density matrix, Biometrika 1963 (stability).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from abprop.noise import Noise

ORDERS = (1, 2, 3)
SHRINKING = (0.0, 0.003, 0.01, 0.03, 0.1, 0.3)
SHOWN = 0.75  # of the path that candidates are fitted to
RIDGE = 1e-4  # of the mean variance: frames may be fewer than factors
BLOCK = 64  # frames whose noise is computed together


@dataclass(frozen=True)
class Dynamics:
    """A fitted system.

    Attributes:
        mean: m (d,).
        A: (p, d, d).
        root: of Q (d, d).
        start: root of the covariance B of p frames, newest first (p d, p d).
    """

    mean: Tensor
    A: Tensor
    root: Tensor
    start: Tensor

    @property
    def order(self) -> int:
        """How many frames back it looks."""
        return len(self.A)

    @property
    def radius(self) -> float:
        """The largest modulus of its roots: below 1."""
        (p, d, _), A = self.A.shape, self.A
        companion = torch.zeros(p * d, p * d, dtype=A.dtype)
        companion[:d] = A.movedim(0, 1).reshape(d, p * d)
        companion[d:, :-d] = torch.eye((p - 1) * d, dtype=A.dtype)
        return torch.linalg.eigvals(companion).abs().max().item()

    def path(self, noise: Noise, draw: int = 0) -> Iterator[Tensor]:
        """A new path, frame by frame (d,), for ever; its first frames are from the long run.

        Args:
            noise: its stream; the noise of a frame is keyed by its number.
            draw: another one, another path.
        """
        (p, d, _), key = self.A.shape, torch.tensor([draw])
        begin = noise.at(key, t=1).normal((p * d,))[0]
        past = (self.start @ begin).reshape(p, d)
        weights = self.A.movedim(0, 1).reshape(d, p * d)
        t = 0
        while True:
            frames = torch.arange(t, t + BLOCK)
            for eta in noise.at(frames, chain=draw).normal((d,)):
                now = weights @ past.flatten() + self.root @ eta
                past = torch.cat((now[None], past[:-1]))
                yield self.mean + now
            t += BLOCK

    def log_likelihood(self, z: Tensor, first: int) -> float:
        """Mean over frames t >= first of log p(z_t | those before)."""
        x, p = z.double() - self.mean, self.order
        t = torch.arange(max(first, p), len(x))
        told = sum(x[t - i - 1] @ self.A[i].T for i in range(p))
        rest = torch.linalg.solve_triangular(self.root, (x[t] - told).T, upper=False)
        scale = self.root.diagonal().log().sum() + 0.5 * math.log(2 * math.pi) * x.shape[1]
        return (-0.5 * rest.square().sum(0) - scale).mean().item()


def fit(z: Tensor) -> Dynamics:
    """The system of a path, its order and shrinkage chosen on the last quarter of it.

    Args:
        z: (T, d), T at least 12.
    """
    z = z.double().cpu()
    shown = int(SHOWN * len(z))
    orders = [p for p in ORDERS if 4 * p < shown]
    found = [(p, s) for p in orders for s in SHRINKING]
    scores = [yule_walker(z[:shown], p, s).log_likelihood(z, shown) for p, s in found]
    best = max(range(len(found)), key=scores.__getitem__)
    return yule_walker(z, *found[best])


def yule_walker(z: Tensor, order: int, shrinking: float = 0.0) -> Dynamics:
    """The system of a path z (T, d), of one order; see the module."""
    mean, d = z.mean(0), z.shape[1]
    x = z - mean
    G = [x[h:].T @ x[: len(x) - h] / len(x) for h in range(order + 1)]
    G = [G[0], *((1 - shrinking) * g for g in G[1:])]
    G[0] = G[0] + RIDGE * G[0].trace() / d * torch.eye(d, dtype=z.dtype)
    lags = [[G[j - i] if j >= i else G[i - j].T for j in range(order)] for i in range(order)]
    B = torch.cat([torch.cat(row, 1) for row in lags])
    B = (B + B.T) / 2
    right = torch.cat(G[1:], 1)
    weights = torch.linalg.solve(B, right.T).T
    Q = G[0] - weights @ right.T
    A = weights.reshape(d, order, d).movedim(1, 0).contiguous()
    return Dynamics(mean, A, torch.linalg.cholesky((Q + Q.T) / 2), torch.linalg.cholesky(B))
