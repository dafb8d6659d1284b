"""Is a sound tones or noise? How flat its spectrum is from one frequency to the next.

    flatness = geometric / arithmetic mean of the power at AROUND frequencies beside each other,
               of frames of WINDOW seconds; the mean over all, weighted by power

Of Gaussian noise, whatever its spectrum in the large, it is e^-gamma = .56: a power is exponential,
and the mean of its logarithm is minus Euler's constant. A tone stands above its neighbours.

J. D. Johnston: Transform Coding of Audio Signals Using Perceptual Noise Criteria, 1988 (spectral
flatness as a measure of tonality).
"""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 0.1  # seconds
AROUND = 17  # frequencies, a hundred and seventy Hz
NOISE = 0.56


def flatness(sound: Tensor, rate: int) -> float:
    """Of a sound (C, T); NOISE where it is too short to say."""
    hop = max(AROUND, round(rate * WINDOW / 2))
    if sound.shape[1] < 2 * hop:
        return NOISE
    window = torch.hann_window(2 * hop, dtype=torch.float64)
    frames = sound.double().mean(0).unfold(0, 2 * hop, hop) * window
    power = torch.fft.rfft(frames).abs().square()
    around = (power + 1e-12 * power.mean() + 1e-30).unfold(1, AROUND, 1)
    mean = around.mean(-1)
    return float((around.log().mean(-1).exp()).sum() / mean.sum())
