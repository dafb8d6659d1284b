"""Residuals of signals without axes: one covariance of all their numbers, for rows of tables.

    e ~ N(0, C),   P = diag(observed),   K = P C P + (I - P) = L L^T
    u = L^-1 P e                                      is white where observed, and 0 elsewhere
    e = e' + C P K^-1 P (e_observed - e')             e' ~ N(0, C): drawn given what was observed

C by EM from rows with holes (R. J. A. Little, D. B. Rubin: Statistical Analysis with Missing Data,
1987), each column's own variance worth as many rows more as there are columns, so that few rows do
not tell of correlations that are not there.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from abprop.operators import Pullback
from abprop.residuals.laws import Parts

MOST = 128  # columns: of more, covariances would be too many for the rows that are looked at
STEPS = 30  # of EM
RIDGE = 1e-4  # of a column's variance: what it has of its own at least


class Whitening:
    """u = W e, another square matrix for every row.

    Args:
        matrices: W, (B, D, D); rows of zeros where nothing was observed.
        count: numbers observed of each, (B,).
    """

    linear: bool = True

    def __init__(self, matrices: Tensor, count: Tensor) -> None:
        self.matrices, self.count = matrices, count

    def __call__(self, x: Tensor) -> Tensor:
        return torch.einsum("bij,bj->bi", self.matrices.to(x.dtype), x)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """W x and  v -> W^T v."""
        return self(x), lambda v: torch.einsum("bij,bi->bj", self.matrices.to(v.dtype), v)

    def __getitem__(self, rows: Tensor) -> Whitening:
        return Whitening(self.matrices[rows], self.count[rows])

    def to(self, device: torch.device | str) -> Whitening:
        """The same on another device."""
        return Whitening(self.matrices.to(device), self.count.to(device))


class Told(Parts):
    """Every column tells of every other one."""

    sigma = 1.0

    def __init__(self, covariance: Tensor, hidden: Tensor) -> None:
        seen, home = (~hidden).cpu().double(), hidden.device  # there are devices without float64
        W = _whitening(covariance, seen)
        super().__init__(Whitening(W.float(), seen.sum(1).float()).to(home), hidden)
        self.gain = (covariance @ (W.mT @ W)).float().to(home)  # C P K^-1 P
        self.root = torch.linalg.cholesky(covariance).float().to(home)

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """See `Parts`."""
        e = normal @ self.root.T
        return e + torch.einsum("bij,bkj->bki", self.gain, residual - e)


@dataclass(frozen=True)
class Joint:
    """A covariance of the numbers of signals without axes, float64 (D, D)."""

    covariance: Tensor

    def on(self, hidden: Tensor) -> Told:
        """The law of residuals of which some are hidden, bool (B, D), where that is."""
        return Told(self.covariance, hidden)


def fit_joint(residual: Tensor, observed: Tensor) -> Joint:
    """The covariance under which what was observed is most likely.

    Args:
        residual: (N, D), of mean zero; anything where not observed.
        observed: bool (N, D).
    """
    seen = observed.double()
    e = torch.where(observed, residual.double(), 0.0)
    own = (e.square().sum(0) / seen.sum(0).clamp_min(1)).clamp_min(1e-12)
    C, prior = torch.diag(own), len(own)
    for _ in range(STEPS):
        W = _whitening(C, seen)
        gain = C @ (W.mT @ W)
        told = torch.einsum("bij,bj->bi", gain, e)
        left = len(e) * C - (gain @ C).sum(0)
        C = (told.T @ told + left + prior * torch.diag(own)) / (len(e) + prior)
        C = (C + C.T) / 2
    return Joint(C + RIDGE * torch.diag(own))


def _whitening(C: Tensor, seen: Tensor) -> Tensor:
    """L^-1 P for each row of `seen`, (B, D, D)."""
    K = C * seen[:, :, None] * seen[:, None, :] + torch.diag_embed(1 - seen)
    return torch.linalg.solve_triangular(
        torch.linalg.cholesky(K), torch.diag_embed(seen), upper=False
    )
