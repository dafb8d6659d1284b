"""A covariance from the residuals seen: the mean product of all pairs at a lag, made definite."""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.noise import has_doubles
from abprop.residuals.laws import Covariance

REACH = 0.4  # of the shortest side: lags beyond are tapered away
BANDS = 16  # of frequency, from the mean to the finest
TRACE = 1e-6  # of its power is left to a band in which noise had the upper hand


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
    """A covariance near the table: distant lags tapered, no negative power, as much in each band.

    Where there is little power the spectrum is mostly the noise of few pairs, half of it below
    zero. To remove that alone would leave a floor, and neighbours would seem to say less than they
    do; so what is left is scaled to each channel's power in the band, which is hardly noisy.
    """
    size, axes = table.shape[2:], tuple(range(2, table.ndim))
    along = [torch.fft.fftfreq(n, dtype=table.dtype, device=table.device) for n in size]
    waves = torch.meshgrid(*along, indexing="ij")
    lags = [n * wave for n, wave in zip(size, waves, strict=True)]
    reach = REACH * min(size) / 2
    taper = torch.exp(-torch.stack(lags).square().sum(0) / (2 * reach**2))
    spectrum = torch.fft.fftn(table * taper, dim=axes).movedim((0, 1), (-2, -1))
    spectrum = (spectrum + spectrum.mH) / 2
    values, vectors = torch.linalg.eigh(spectrum)
    kept = (vectors * values.clamp_min(0).to(vectors.dtype)[..., None, :]) @ vectors.mH
    frequency = torch.stack(waves).square().sum(0).sqrt()
    band = (frequency * ((BANDS - 1) / frequency.max())).round().long()
    told, left = _power(spectrum, band), _power(kept, band)
    gain = (told / left.clamp_min(1e-30)).clamp(TRACE, 1)
    gain = (gain * told.sum(0) / (gain * left).sum(0).clamp_min(1e-30)).sqrt()[band]
    kept = gain[..., None] * kept * gain[..., None, :]
    return torch.fft.ifftn(kept.movedim((-2, -1), (0, 1)), dim=axes).real


def _power(spectrum: Tensor, band: Tensor) -> Tensor:
    """Of each channel in each band, (BANDS, C)."""
    each = spectrum.diagonal(dim1=-2, dim2=-1).real.flatten(0, -2)
    total = torch.zeros(BANDS, each.shape[1], dtype=each.dtype, device=each.device)
    return total.index_add_(0, band.flatten(), each)
