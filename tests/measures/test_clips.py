"""Statistics of sounds: known answers, what they ignore, the order they put sounds in."""

from __future__ import annotations

import math

import pytest
import torch

from abprop.errors import UserError
from abprop.measures import Clip
from abprop.measures.cochlea import (
    BANDS,
    COMPRESSION,
    LOWEST,
    MODULATIONS,
    RATE,
    SLOWEST,
    envelopes,
    erb_rate,
    statistics,
)

SAMPLES = 8000  # a second


def tone(hertz: float, seconds: float = 2.0) -> torch.Tensor:
    t = torch.arange(round(seconds * SAMPLES), dtype=torch.float64) / SAMPLES
    return torch.sin(2 * math.pi * hertz * t)


def bubbling(seconds: float = 8.0, seed: int = 0) -> torch.Tensor:
    """Noise that comes in decaying bursts, a few in a second."""
    random = torch.Generator().manual_seed(seed)
    count = round(seconds * SAMPLES)
    burst = (torch.rand(count, generator=random) < 6 / SAMPLES).double()
    fade = torch.exp(-torch.arange(SAMPLES // 4, dtype=torch.float64) / (0.03 * SAMPLES))
    loud = torch.fft.irfft(torch.fft.rfft(burst, 2 * count) * torch.fft.rfft(fade, 2 * count))
    return (0.02 + loud[:count]) * torch.randn(count, generator=random, dtype=torch.float64)


def phase_randomised(sound: torch.Tensor) -> torch.Tensor:
    spectrum = torch.fft.rfft(sound)
    turn = torch.rand(len(spectrum), generator=torch.Generator().manual_seed(1))
    return torch.fft.irfft(torch.polar(spectrum.abs(), 2 * math.pi * turn.double()), len(sound))


@pytest.fixture(scope="module")
def clip() -> Clip:
    return Clip(bubbling(), SAMPLES)


def told(sound: torch.Tensor) -> dict[str, torch.Tensor]:
    return statistics(envelopes(sound[None], SAMPLES))


@pytest.mark.parametrize("hertz", [150.0, 1000.0, 3000.0])
def test_a_tone_is_a_constant_envelope_in_its_bands(hertz: float):
    envelope = envelopes(3 * tone(hertz)[None], SAMPLES)[0]
    assert envelope.shape == (BANDS, 2 * RATE)
    edges = torch.linspace(
        *erb_rate(torch.tensor([LOWEST, SAMPLES / 2], dtype=torch.float64)).tolist(), BANDS + 2
    )
    at = erb_rate(torch.tensor(hertz))
    off = (edges[1:-1] - at).abs() / (edges[1] - edges[0])
    expected = (3 * torch.cos(math.pi / 2 * off.clamp(max=1))).clamp_min(0) ** COMPRESSION
    heard = expected > 0.5
    assert 1 <= heard.sum() <= 2
    torch.testing.assert_close(envelope[heard].mean(1), expected[heard].double(), rtol=0.01, atol=0)
    assert (envelope[heard].std(1) < 0.01).all()


@pytest.mark.parametrize("beat", [4.0, 16.0, 60.0])
def test_a_beat_shows_in_the_modulation_of_its_rate(beat: float):
    t = torch.arange(2 * SAMPLES, dtype=torch.float64) / SAMPLES
    sound = tone(1000) * (1 + 0.5 * torch.sin(2 * math.pi * beat * t))
    band = told(sound)["spectrum"][0].argmax()
    power = told(sound)["modulation"].reshape(MODULATIONS, BANDS)[:, band]
    centres = torch.logspace(math.log10(SLOWEST), math.log10(RATE / 2), MODULATIONS)
    assert (centres / beat).log2().abs().argmin() == power.argmax()


def test_level_is_in_the_spectrum_alone():
    quiet, loud = told(bubbling(2)), told(10 * bubbling(2))
    ratio = 10**COMPRESSION
    torch.testing.assert_close(loud["spectrum"], ratio * quiet["spectrum"])
    for name in set(quiet) - {"spectrum"}:
        torch.testing.assert_close(loud[name], quiet[name])


def test_backwards_only_phases_differ():
    forth, back = told(bubbling(2)), told(bubbling(2).flip(0))
    for name in set(forth) - {"phases"}:
        torch.testing.assert_close(back[name], forth[name], atol=5e-3, rtol=1e-2)
    assert (back["phases"] - forth["phases"]).abs().max() > 0.1


def test_silence_has_finite_statistics():
    assert all(torch.isfinite(v).all() for v in told(torch.zeros(2 * SAMPLES)).values())


def test_the_order_of_sounds(clip: Clip):
    real = bubbling()
    piece = real[: SAMPLES // 2].repeat(16)
    noise = torch.randn(len(real), generator=torch.Generator().manual_seed(2)) * real.std()
    made = (bubbling(seed=5), piece, phase_randomised(real), noise)
    told = [clip.ratios(sound) for sound in made]
    ratios = [one["sample_ratio"] for one in told]
    assert ratios[0] < 1.5 and ratios[0] < ratios[1] < ratios[2] < ratios[3]
    assert told[1]["repeat_ratio"] < 0.1 and told[0]["repeat_ratio"] > 0.8


def test_a_copy_is_called_one(clip: Clip):
    assert clip.ratios(bubbling())["copy_ratio"] < 0.01
    assert clip.ratios(bubbling(seed=5))["copy_ratio"] > 0.8


@pytest.mark.parametrize("seconds", [0.1, 1.9])
def test_too_short_to_judge(seconds: float, clip: Clip):
    with pytest.raises(UserError, match="too short to be judged: at least 2 s"):
        Clip(bubbling(seconds), SAMPLES)
    with pytest.raises(UserError, match=r"must last 2\.00 s"):
        clip.ratios(bubbling(seconds))
