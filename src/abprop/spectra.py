"""Short-time spectra of a sound: how its variance goes, and noise that has it.

    X(f, t) = sum_n w(n) s(n + t H) e^(-2 pi i f n / N),    w(n) = sin(pi (n + 1/2) / N),  H = N / 2
    E X X^H = S(f, t) C(f),                  C (channels, channels): the sound's colour
    y       = log(X^H C^+ X / r) / RANGE,    r = rank C; at least -1, at most 1

    white noise e with spectra E:    s(n + t H) += w(n) y(n),
    y the inverse transform of       Y(f, t) = sqrt(S(f, t) / H) L(f) E(f, t),    L L^H = C

w^2 sums to one over frames, so with S = 1 all of e comes through, coloured. Given S the power p is
Gamma(r, mean S), all that the channels tell of S (compare `likelihoods.Spectral`): phases are noise
and are drawn, not told. Channels keep how they go together (N. Duong, E. Vincent, R. Gribonval,
Under-determined reverberant audio source separation using a full-rank spatial covariance model,
2010, with C the same at all times).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.likelihoods import RANGE

SILENT = 1e-12  # of the loudest band's power: what is below is no sound


@dataclass(frozen=True, eq=False)
class Colour:
    """The covariance of channels in each band, mean over time.

    Args:
        matrices: C, complex128 (N / 2 + 1, channels, channels), Hermitian.

    Raises:
        AbpropError: of another shape.
    """

    matrices: Tensor

    def __post_init__(self) -> None:
        shape = self.matrices.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[0] < 2:
            raise AbpropError(f"colour: matrices of shape {tuple(shape)}, not (bands, C, C)")

    @property
    def bands(self) -> int:
        """N / 2 + 1."""
        return len(self.matrices)

    @property
    def channels(self) -> int:
        """Of the sound."""
        return self.matrices.shape[1]

    @property
    def hop(self) -> int:
        """H, samples from one frame to the next."""
        return self.bands - 1

    @cached_property
    def _axes(self) -> tuple[Tensor, Tensor]:
        """Eigenvalues (bands, C), 0 for what is silent, and eigenvectors (bands, C, C)."""
        values, vectors = torch.linalg.eigh(self.matrices)
        return torch.where(values > SILENT * values.max(), values, 0.0), vectors

    @cached_property
    def rank(self) -> int:
        """How many independent channels there are, in the median band that is not silent."""
        ranks = (self._axes[0] > 0).sum(1)
        return int(ranks[ranks > 0].median()) if ranks.any() else 0

    def power(self, X: Tensor) -> Tensor:
        """X^H C^+ X / r of spectra (C, bands, frames), real (bands, frames); 0 where silent."""
        values, vectors = self._axes
        turned = torch.einsum("fca,cft->aft", vectors.conj(), X).abs().square()
        weights = torch.where(values > 0, 1 / values, 0.0)
        ranks = (values > 0).sum(1).clamp_min(1)
        return torch.einsum("fa,aft->ft", weights, turned) / ranks[:, None]

    def applied(self, E: Tensor) -> Tensor:
        """L E of spectra (C, bands, frames)."""
        values, vectors = self._axes
        return torch.einsum("fca,aft->cft", vectors * values.sqrt()[:, None], E)


def colour(sound: Tensor, window: int) -> Colour:
    """That of a sound (C, T).

    Raises:
        AbpropError: an odd window, or a sound shorter than one.
    """
    X = spectra(sound, window)
    return Colour(torch.einsum("cft,dft->fcd", X, X.conj()) / X.shape[2])


def levels(sound: Tensor, colour: Colour) -> Tensor:
    """y of a sound (C, T): float32 (bands, frames) in [-1, 1]."""
    power = colour.power(spectra(sound, 2 * colour.hop))
    return (power.clamp_min(1e-30).log() / RANGE).clamp(-1, 1).float()


def noise_with(x: Tensor, e: Tensor, colour: Colour) -> Tensor:
    """White noise given a variance.

    Args:
        x: log S / RANGE, (bands, frames).
        e: white noise, (C, (frames + 1) H).
        colour: C.

    Returns:
        A sound float64 (C, (frames - 1) H): the first and the last H samples, which other frames
        would add to, are left out.
    """
    hop, frames = colour.hop, x.shape[1]
    if frames < 2 or e.shape != (colour.channels, (frames + 1) * hop):
        raise AbpropError(f"noise_with: {tuple(e.shape)} numbers for {frames} frames of {hop}")
    size = torch.exp(x.double() * (RANGE / 2)) / hop**0.5
    Y = colour.applied(size * spectra(e, 2 * hop))
    parts = torch.fft.irfft(Y.movedim(1, 2), 2 * hop) * _window(2 * hop)
    first, second = parts[..., :hop], parts[..., hop:]
    return (second[:, :-1] + first[:, 1:]).flatten(1)


def spectra(sound: Tensor, window: int) -> Tensor:
    """X of a sound (C, T): complex128 (C, bands, frames); only whole frames.

    Raises:
        AbpropError: an odd window, or a sound shorter than one.
    """
    if window % 2 or window < 4 or sound.shape[-1] < window:
        raise AbpropError(f"spectra: window {window} of a sound of {sound.shape[-1]} samples")
    frames = sound.double().unfold(1, window, window // 2) * _window(window)
    return torch.fft.rfft(frames).movedim(1, 2)


def _window(length: int) -> Tensor:
    return torch.sin(torch.pi * (torch.arange(length, dtype=torch.float64) + 0.5) / length)
