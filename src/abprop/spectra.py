"""Short-time spectra of a sound: how its variance goes, and noise that has it.

    X(f, t) = sum_n w(n) s(n + t H) e^(-2 pi i f n / N),    w(n) = sin(pi (n + 1/2) / N),  H = N / 2
    E X X^H = S(f, t) C(f),                  C (channels, channels): the sound's colour
    y       = log(X^H C^+ X / r) / RANGE,    r = rank C; at least -1, at most 1

    noise e with spectra E:          s(n + t H) += w(n) y(n),
    y the inverse transform of       Y(f, t) = sqrt(S(f, t) / H) C(f)^(1/2) E(f, t)

w^2 sums to one over frames, so with S = 1 all of e comes through, coloured. e itself is white noise
through one long filter: what the sound has in the long run over what would come of white noise, so
that lines and slopes which are finer than a band are there too. Given S the power is Gamma(r, mean
S), all that the channels tell of S (compare `likelihoods.Spectral`): phases are noise and are
drawn, not told. Channels keep how they go together (N. Duong, E. Vincent, R. Gribonval,
Under-determined reverberant audio source separation using a full-rank spatial covariance model,
2010, with C the same at all times).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.likelihoods import RANGE

SILENT = 1e-12  # of the loudest band's power: what is below is no sound
LONG = 4096  # samples that a long filter reaches, each way
LEAST, MOST = 1e-8, 1e4  # of a long filter's power


@dataclass(frozen=True, eq=False)
class Colour:
    """The covariance of channels in each band, mean over time.

    Args:
        matrices: C, complex128 (N / 2 + 1, channels, channels), Hermitian.
        fine: power of the long filter at M + 1 frequencies from 0 to half the rate, M a multiple
            of H; none if None.

    Raises:
        AbpropError: of another shape.
    """

    matrices: Tensor
    fine: Tensor | None = None

    def __post_init__(self) -> None:
        shape = self.matrices.shape
        if len(shape) != 3 or shape[1] != shape[2] or shape[0] < 2:
            raise AbpropError(f"colour: matrices of shape {tuple(shape)}, not (bands, C, C)")
        if self.fine is not None and (self.fine.ndim != 1 or (len(self.fine) - 1) % self.hop):
            raise AbpropError(f"colour: a long filter of shape {tuple(self.fine.shape)}")

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

    @property
    def loudness(self) -> Tensor:
        """Power of all channels together in each band, (bands,)."""
        return self.matrices.diagonal(dim1=1, dim2=2).real.sum(1)

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
        """C^(1/2) E of spectra (C, bands, frames)."""
        return torch.einsum("fca,aft->cft", self._root, E)

    @property
    def reach(self) -> int:
        """Hops of white noise before and after, that the long filter looks at."""
        return 0 if self.fine is None else (len(self.fine) - 1) // self.hop

    def excited(self, e: Tensor) -> Tensor:
        """White noise (C, (hops + 2 reach) H) through the long filter, (C, hops H)."""
        if self.fine is None:
            return e
        around, size = len(self.fine) - 1, e.shape[1]
        taps = torch.fft.irfft(self.fine.sqrt(), 2 * around).roll(around)
        taps = taps * torch.hann_window(2 * around, dtype=taps.dtype)
        whole = torch.fft.rfft(e, size) * torch.fft.rfft(taps, size)
        return torch.fft.irfft(whole, size)[:, 2 * around :]

    @cached_property
    def _root(self) -> Tensor:
        """C^(1/2), (bands, C, C): Hermitian, so that bands beside each other go together."""
        values, vectors = self._axes
        return (vectors * values.sqrt()[:, None]) @ vectors.mH

    def through(self, size: int) -> Tensor:
        """The power spectrum, of all channels, that becomes of white noise: (size / 2 + 1,).

        C^(1/2) is a circular filter between two windows, so its response is cut short by their
        overlap.
        """
        length = 2 * self.hop
        lags = torch.arange(size)
        lags = torch.where(lags < size // 2, lags, lags - size)
        power = torch.fft.fft(_window(length), 2 * length).abs().square()
        overlap = torch.fft.ifft(power).real / self.hop  # of the window with itself, by lag
        overlap = torch.where(lags.abs() < length, overlap[lags % (2 * length)], 0.0)
        response = torch.fft.irfft(self._root, length, dim=0)[lags % length] / self.hop**0.5
        whole = torch.fft.rfft(response * overlap[:, None, None], dim=0)
        return whole.abs().square().sum((1, 2))


def colour(sound: Tensor, window: int) -> Colour:
    """That of a sound (C, T), with the long filter for it; of several (n, C, T) that of the median.

    Of several sounds some are much louder than others: about the mean of their powers most would
    be below what [-1, 1] spans.

    Raises:
        AbpropError: an odd window, or sounds shorter than one.
    """
    several = sound if sound.ndim == 3 else sound[None]
    found = Colour(torch.stack([_covariance(spectra(one, window)) for one in several]).mean(0))
    around = min(-(-LONG // window), sound.shape[-1] // (2 * window)) * window
    if len(several) > 1:
        power = torch.cat([found.power(spectra(one, window)) for one in several], 1)
        middle = power.median(1).values.clamp_min(math.exp(-RANGE))
        return Colour(found.matrices * middle[:, None, None])
    if not found.rank or not around:
        return found
    # As much as comes of white noise has no long filter's power to bring: both through one window.
    power = spectra(sound.flatten(0, -2), 2 * around).abs().square().mean(2).sum(0) / around
    fine = (power / found.through(2 * around).clamp_min(1e-300)).clamp(LEAST, MOST)
    return Colour(found.matrices, fine)


def _covariance(X: Tensor) -> Tensor:
    return torch.einsum("cft,dft->fcd", X, X.conj()) / X.shape[2]


def of_mean(colour: Colour) -> Colour:
    """The colour by which x, the mean of y, tells the variance.

    E y = (log S + psi(r) - log r) / RANGE: the logarithm of a power is less than that of its mean.
    """
    rank = torch.tensor(float(max(1, colour.rank)), dtype=torch.float64)
    return replace(colour, matrices=colour.matrices * torch.exp(rank.log() - torch.digamma(rank)))


def levels(sound: Tensor, colour: Colour) -> Tensor:
    """y of a sound (C, T): float32 (bands, frames) in [-1, 1]."""
    power = colour.power(spectra(sound, 2 * colour.hop))
    return (power.clamp_min(1e-30).log() / RANGE).clamp(-1, 1).float()


def noise_with(x: Tensor, e: Tensor, colour: Colour) -> Tensor:
    """Noise given a variance.

    Args:
        x: log S / RANGE, (bands, frames).
        e: what excites it, (C, (frames + 1) H); see `Colour.excited`.
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
