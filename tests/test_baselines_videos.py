"""Rivals' videos: what is known of each."""

from __future__ import annotations

import numpy as np
import pytest

from abprop.baselines import VIDEOS, video
from abprop.errors import UserError


def swinging(frames: int = 60, side: int = 8) -> np.ndarray:
    """Two patterns that swing a quarter apart, (1, T, H, W): an exact linear system of order 1."""
    rng = np.random.default_rng(0)
    a, b, mean = rng.standard_normal((3, side, side)) * 0.2
    t = np.arange(frames)[:, None, None] * 2 * np.pi / 12
    return (mean + a * np.cos(t) + b * np.sin(t)).astype(np.float32)[None]


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize("frames", [10, 60, 100])
def test_shapes_seeds_and_lengths(name: str, frames: int) -> None:
    clip = swinging() + 0.05 * np.random.default_rng(1).standard_normal((1, 60, 8, 8))
    made = video(name, clip, frames, 0, d=3)
    assert made.shape == (1, frames, 8, 8) and made.dtype == np.float32
    np.testing.assert_array_equal(made, video(name, clip, frames, 0, d=3))
    if name != "loop":
        assert not np.array_equal(made, video(name, clip, frames, 1, d=3))


def test_a_linear_system_goes_on_with_an_exact_one() -> None:
    made = video("lds", swinging(), 120, 0, d=2)
    np.testing.assert_allclose(made, swinging(120), atol=2e-3 + 0.06)  # scaled back: .999^120
    np.testing.assert_allclose(made[:, :12], swinging()[:, :12], atol=6e-3)


def test_a_linear_system_does_not_blow_up() -> None:
    growing = swinging() * 1.05 ** np.arange(60)[None, :, None, None]
    assert np.abs(video("lds", growing, 1000, 0, d=4)).max() < 100 * np.abs(growing).max()


def test_random_phases_keep_mean_and_spread() -> None:
    rng = np.random.default_rng(0)
    clip = swinging() + 0.3 * rng.standard_normal((1, 60, 8, 8))
    made = video("phase", clip, 60, 0)
    np.testing.assert_allclose(made.mean(), clip.mean(), atol=0.1)
    rest, real = made - clip.mean(1, keepdims=True), clip - clip.mean(1, keepdims=True)
    assert abs(rest.std() / real.std() - 1) < 0.1


def test_a_loop_repeats_its_beginning() -> None:
    made = video("loop", swinging(), 40, 0)
    np.testing.assert_array_equal(made[:, 16:32], swinging()[:, :16])
    np.testing.assert_array_equal(made[:, :16], swinging()[:, :16])


def test_an_unknown_rival_is_refused() -> None:
    with pytest.raises(UserError, match="lds"):
        video("ldz", swinging(), 10, 0)
