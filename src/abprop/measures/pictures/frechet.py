"""The Fréchet distance of two sets of points, taken as Gaussian.

    F(a, b) = |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a^(1/2) C_b C_a^(1/2))^(1/2))

m and C their means and covariances: the squared 2-Wasserstein distance of N(m_a, C_a) and
N(m_b, C_b).

D. C. Dowson, B. V. Landau: The Fréchet Distance between Multivariate Normal Distributions, Journal
of Multivariate Analysis 1982.
"""

from __future__ import annotations

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> Tensor:
    """F of points a (n, d) and b (m, d), n and m above 1, in the square of their unit; >= 0."""
    a, b = a.double(), b.double()
    first, second = (torch.cov(v.T).reshape(v.shape[1], -1) for v in (a, b))
    root = _root(first)
    # Of the product's root only the trace is asked: eigenvalues do.
    crossed = torch.linalg.eigvalsh(root @ second @ root).clamp_min(0).sqrt().sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return (apart + first.trace() + second.trace() - 2 * crossed).clamp_min(0)


def _root(covariance: Tensor) -> Tensor:
    """The symmetric square root of a covariance, which few points leave singular."""
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T
