"""Short-time spectra: what goes in comes out, and noise has the variance it was given."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.likelihoods import RANGE
from abprop.spectra import Colour, colour, levels, noise_with, spectra

WINDOWS = (16, 64)


def white(channels: int, length: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(channels, length, generator=random, dtype=torch.float64)


def flat(channels: int, window: int) -> Colour:
    """White: every band has the power that white noise of variance one has in it."""
    matrix = torch.eye(channels, dtype=torch.complex128) * window / 2
    return Colour(matrix.expand(window // 2 + 1, -1, -1).contiguous())


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_white_noise_of_variance_one_comes_through_as_it_is(window: int, channels: int) -> None:
    hop, frames = window // 2, 9
    e = white(channels, (frames + 1) * hop)
    made = noise_with(torch.zeros(hop + 1, frames), e, flat(channels, window))
    torch.testing.assert_close(made, e[:, hop:-hop], rtol=1e-9, atol=1e-9)


def test_of_variance_S_it_has_it() -> None:
    window, frames = 32, 20_000
    x = torch.linspace(-0.5, 0.5, 17)[:, None].expand(-1, frames)
    made = noise_with(x, white(1, (frames + 1) * 16), flat(1, window))
    power = spectra(made, window).abs().square().mean(2)[0] / (window / 2)
    # The window looks at neighbouring bands too: within a tenth.
    torch.testing.assert_close(power[2:-2].log(), RANGE * x[2:-2, 0].double(), rtol=0, atol=0.1)


def excited(colour: Colour, frames: int, seed: int = 1) -> Tensor:
    e = white(colour.channels, (frames + 1 + 2 * colour.reach) * colour.hop, seed)
    return colour.excited(e)


@pytest.mark.parametrize("channels", [1, 2])
def test_noise_has_the_spectrum_of_the_sound(channels: int) -> None:
    """Over 40 dB, with a line much narrower than a band."""
    length, window = 2**17, 64
    f = torch.fft.rfftfreq(length, dtype=torch.float64)
    size = 1 / (1 + (f / 0.05) ** 2) + 20 * torch.exp(-(((f - 0.3) / 0.001) ** 2))
    sound = torch.fft.irfft(torch.fft.rfft(white(channels, length)) * size.sqrt())
    if channels == 2:
        sound = torch.tensor([[1, 0.0], [0.6, 0.8]], dtype=torch.float64) @ sound
    found = colour(sound, window)
    made = noise_with(torch.zeros(33, 4000), excited(found, 4000), found)
    for again in (window, 1024):
        powers = [spectra(s, again).abs().square().mean(2).sum(0) for s in (made, sound)]
        decibels = 10 * (powers[0] / powers[1]).log10()
        assert decibels.square().mean().sqrt() < 0.8, (again, decibels)
        assert abs(decibels.mean()) < 0.1
    if channels == 2:
        assert math.isclose(torch.corrcoef(made)[0, 1].item(), 0.6, abs_tol=0.05)


def test_what_excites_is_the_same_in_pieces() -> None:
    found = colour(white(1, 4000), 16)
    e = white(1, (40 + 2 * found.reach) * 8)
    whole, part = found.excited(e), found.excited(e[:, 15 * 8 :])
    torch.testing.assert_close(whole[:, 15 * 8 :], part, rtol=0, atol=1e-9)


def test_levels_are_logarithms_of_powers_about_the_mean() -> None:
    sound = 7e-3 * white(1, 64 * 4000)
    found = levels(sound, colour(sound, 64)).double()
    power = torch.exp(RANGE * found)
    torch.testing.assert_close(power.mean(1), torch.ones(33).double(), rtol=0, atol=0.05)
    inside = found[1:-1]  # E log of an exponential is minus Euler's constant
    assert math.isclose(inside.mean().item(), -0.5772 / RANGE, abs_tol=0.01)
    assert math.isclose(inside.std().item(), math.pi / math.sqrt(6) / RANGE, rel_tol=0.05)


def test_channels_keep_how_they_go_together() -> None:
    e = white(2, 64 * 3000)
    sound = torch.stack([e[0], 0.6 * e[0] + 0.8 * e[1]])
    found = colour(sound, 64)
    assert found.rank == 2
    made = noise_with(torch.zeros(33, 2999), excited(found, 2999), found)
    assert math.isclose(torch.corrcoef(made)[0, 1].item(), 0.6, abs_tol=0.03)


@pytest.mark.parametrize("lost", [torch.zeros, None])
def test_channels_that_say_nothing_new_take_nothing_away(lost: object) -> None:
    e = white(1, 6400)
    other = e if lost is None else torch.zeros_like(e)
    one, two = (levels(s, colour(s, 64)) for s in (e, torch.cat([e, other])))
    assert colour(torch.cat([e, other]), 64).rank == 1
    torch.testing.assert_close(one, two, rtol=0, atol=1e-4)


def test_silence_is_the_least_level_and_makes_none() -> None:
    silence = torch.zeros(1, 640)
    found = colour(silence, 64)
    assert found.rank == 0
    assert (levels(silence, found) == -1).all()
    assert not noise_with(torch.zeros(33, 3), white(1, 128), found).any()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(AbpropError, match="window 7"):
        spectra(white(1, 100), 7)
    with pytest.raises(AbpropError, match="sound of 10 samples"):
        spectra(white(1, 10), 16)
    with pytest.raises(AbpropError, match=r"not \(bands, C, C\)"):
        Colour(torch.zeros(3, 2, 1))
    with pytest.raises(AbpropError, match="3 frames of 8"):
        noise_with(torch.zeros(9, 3), white(1, 5), flat(1, 16))
