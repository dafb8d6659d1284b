"""Statistics of a sound that the ear keeps: two sounds that agree on them sound like one material.

    bands        s_k = g_k * x, BANDS filters, half a cosine wide on the ERB-rate scale
    envelopes    e_k = |s_k + i H(s_k)|^0.3, at RATE a second
    spectrum     mean of e_k
    moments      deviation / mean, skewness, kurtosis of e_k
    modulation   mean (m_j * e_k)^2 / var e_k, MODULATIONS filters m_j, half a cosine wide in log f
    correlation  of e_k and e_l
    together     of m_j * e_k and m_j * e_(k + 1), e_(k + 2), m_j an octave wide
    phases       mean conj(a_j^2 / |a_j|) a_(j + 1) / (rms |a_j| rms |a_(j + 1)|), a_j the analytic
                 signal of m_j * e_k: quick to rise and slow to fall, or the other way

J. H. McDermott, E. P. Simoncelli: Sound Texture Perception via Statistics of the Auditory
Periphery, Neuron 2011. B. R. Glasberg, B. C. J. Moore: Derivation of Auditory Filter Shapes from
Notched-Noise Data, Hearing Research 1990 (the ERB-rate scale).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

BANDS, LOWEST, HIGHEST = 30, 20.0, 10_000.0  # filters, and Hz they reach from and to
COMPRESSION = 0.3
RATE = 400  # values of an envelope a second
MODULATIONS, SLOWEST = 20, 0.5  # filters of envelopes, and the lowest frequency in Hz
OCTAVES = (3.125, 6.25, 12.5, 25.0, 50.0, 100.0)  # Hz, of wider ones
QUIET = 1e-9  # below this an envelope is constant

Statistics = dict[str, Tensor]


def erb_rate(hertz: Tensor) -> Tensor:
    """Frequency on the ERB-rate scale."""
    return 9.265 * torch.log1p(hertz / (24.7 * 9.265))


def envelopes(sound: Tensor, rate: float) -> Tensor:
    """Compressed envelopes of mono sounds.

    Args:
        sound: (n, T), any level.
        rate: samples a second.

    Returns:
        float64 (n, BANDS, about RATE T / rate).
    """
    x = sound.double()
    length, frames = x.shape[-1], round(x.shape[-1] * RATE / rate)
    hertz = torch.linspace(0, rate / 2, length // 2 + 1, dtype=x.dtype)
    top = min(HIGHEST, rate / 2)
    low, high = erb_rate(torch.tensor([LOWEST, top], dtype=x.dtype)).tolist()
    edges = torch.linspace(low, high, BANDS + 2, dtype=x.dtype)
    gains = _half_cosines(erb_rate(hertz), edges[1:-1], float(edges[1] - edges[0]))
    spectrum = torch.fft.rfft(x)
    found = [_analytic(spectrum * gain, length).abs() ** COMPRESSION for gain in gains]
    return torch.stack([_resampled(e, frames) for e in found], 1)


def statistics(envelope: Tensor) -> Statistics:
    """By name, (n, statistics) each, of envelopes (n, BANDS, frames); see the module."""
    mean = envelope.mean(-1, keepdim=True)
    centred = envelope - mean
    deviation = centred.square().mean(-1, keepdim=True).sqrt().clamp_min(QUIET)
    unit = centred / deviation
    return {
        "spectrum": mean[..., 0],
        "moments": torch.cat([(deviation / mean.clamp_min(QUIET))[..., 0], unit.pow(3).mean(-1),
                              unit.pow(4).mean(-1)], 1),
        "modulation": _modulation(unit),
        "correlation": _correlations(unit),
        **_octaves(unit),
    }  # fmt: skip


def _modulation(unit: Tensor) -> Tensor:
    power = torch.stack([_filtered(unit, g).real.square().mean(-1) for g in _modulators(unit)], 1)
    return power.flatten(1).clamp_min(QUIET).sqrt()


def _correlations(unit: Tensor) -> Tensor:
    every = unit @ unit.mT / unit.shape[-1]
    above = torch.triu_indices(BANDS, BANDS, 1)
    return every[:, above[0], above[1]]


def _octaves(unit: Tensor) -> Statistics:
    frequency = _frequencies(unit)
    centres = torch.tensor(OCTAVES, dtype=unit.dtype).log2()
    gains = _half_cosines(frequency.clamp_min(1e-9).log2(), centres, 1.0)
    waves = [_filtered(unit, gain) for gain in gains]
    sizes = [wave.abs().square().mean(-1).sqrt().clamp_min(QUIET) for wave in waves]
    together, phases = [], []
    for wave, size in zip(waves, sizes, strict=True):
        scaled = wave.real / (size[..., None] / math.sqrt(2))
        together += [(scaled[:, :-lag] * scaled[:, lag:]).mean(-1) for lag in (1, 2)]
    for slow, fast, one, other in zip(waves, waves[1:], sizes, sizes[1:], strict=False):
        twice = slow.square() / slow.abs().clamp_min(QUIET)
        product = (twice.conj() * fast).mean(-1) / (one * other)
        phases += [product.real, product.imag]
    return {"together": torch.cat(together, 1), "phases": torch.cat(phases, 1)}


# Filters --------------------------------------------------------------------------------------


def _half_cosines(at: Tensor, centres: Tensor, width: float) -> Tensor:
    """cos(pi (at - c) / (2 width)) within `width` of each centre, (centres, len(at))."""
    off = ((at - centres[:, None]) / width).clamp(-1, 1)
    return torch.cos(math.pi / 2 * off)


def _modulators(unit: Tensor) -> Tensor:
    frequency = _frequencies(unit).clamp_min(1e-9).log2()
    low, high = math.log2(SLOWEST), math.log2(RATE / 2)
    centres = torch.linspace(low, high, MODULATIONS, dtype=unit.dtype)
    return _half_cosines(frequency, centres, (high - low) / (MODULATIONS - 1))


def _frequencies(unit: Tensor) -> Tensor:
    frames = unit.shape[-1]
    return torch.linspace(0, RATE / 2, frames // 2 + 1, dtype=unit.dtype)


def _filtered(x: Tensor, gain: Tensor) -> Tensor:
    return _analytic(torch.fft.rfft(x) * gain, x.shape[-1])


def _analytic(half: Tensor, length: int) -> Tensor:
    """x + i H(x) from the half spectrum of x, whose mean counts once."""
    whole = torch.zeros(*half.shape[:-1], length, dtype=half.dtype)
    whole[..., : half.shape[-1]] = 2 * half
    whole[..., 0] = half[..., 0]
    return torch.fft.ifft(whole)


def _resampled(x: Tensor, count: int) -> Tensor:
    """`count` values of x (n, T) over the same time, without the frequencies they cannot hold."""
    half = torch.fft.rfft(x)[..., : count // 2 + 1]
    return torch.fft.irfft(half, count) * (count / x.shape[-1])
