"""A covariance from the residuals seen: the mean product of all pairs at a lag, made definite."""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.noise import has_doubles
from abprop.residuals.laws import Covariance

REACH = 0.4  # of the shortest side: lags beyond are tapered away


def fit(residual: Tensor, observed: Tensor, *, turned: bool = True) -> Covariance:
    """Covariance from all pairs of observed entries, by FFT.

    Args:
        residual: y - f(z), (N, C, *size) with at least one axis; anything where not observed.
        observed: bool (N, 1 or C, *size).
        turned: turn the channels so that they are uncorrelated (wants masks shared by channels).

    Returns:
        The covariance, float32, where the residuals are.
    """
    home = residual.device
    if not has_doubles(home):
        residual, observed = residual.cpu(), observed.cpu()
    shown = observed.expand_as(residual).double()
    e = torch.where(shown > 0, residual.double(), 0.0)
    turn = torch.eye(e.shape[1], dtype=torch.float64, device=e.device)
    if turned:
        turn = torch.linalg.eigh(torch.einsum("na...,nb...->ab", e, e)).eigenvectors
        e = torch.einsum("ab,na...->nb...", turn, e)
    table = _pairs(e) / _pairs(shown).clamp_min(1.0)
    return Covariance(_definite(table).float(), turn.float()).to(home)


def _pairs(e: Tensor) -> Tensor:
    """Sum over examples and places of e_a(u) e_b(u + lag), (C, C, *2 size)."""
    size = [2 * n for n in e.shape[2:]]
    axes = tuple(range(2, e.ndim))
    total = torch.zeros(e.shape[1], e.shape[1], *size, dtype=e.dtype, device=e.device)
    for block in e.split(64):
        spectrum = torch.fft.rfftn(block, size, dim=axes)
        product = torch.einsum("na...,nb...->ab...", spectrum.conj(), spectrum)
        total += torch.fft.irfftn(product, size, dim=axes)
    return total


def _definite(table: Tensor) -> Tensor:
    """The nearest covariance: distant lags tapered, negative powers of the spectrum removed."""
    size, axes = table.shape[2:], tuple(range(2, table.ndim))
    lags = [torch.fft.fftfreq(n, 1 / n, dtype=table.dtype, device=table.device) for n in size]
    grids = torch.meshgrid(*lags, indexing="ij")
    squared = torch.stack(grids).square().sum(0)
    reach = REACH * min(size) / 2
    spectrum = torch.fft.fftn(table * torch.exp(-squared / (2 * reach**2)), dim=axes)
    matrices = spectrum.movedim((0, 1), (-2, -1))
    values, vectors = torch.linalg.eigh((matrices + matrices.mH) / 2)
    kept = values.clamp_min(0).to(vectors.dtype)
    whole = (vectors * kept[..., None, :]) @ vectors.mH
    return torch.fft.ifftn(whole.movedim((-2, -1), (0, 1)), dim=axes).real
