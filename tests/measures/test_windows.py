"""Clicks want short windows, tones long ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from abprop.errors import UserError
from abprop.measures import windows
from abprop.run.recipe import compose
from abprop.run.split import resolve
from abprop.sources import read

RATE = 8000
TRIED = (32, 128)


def clicks(seconds: float = 4.0) -> np.ndarray:
    """Short decays at random times, (1, T)."""
    random = np.random.default_rng(0)
    x = np.zeros(round(seconds * RATE))
    x[random.integers(0, len(x), round(40 * seconds))] = random.exponential(1, round(40 * seconds))
    decay = np.exp(-np.arange(40) / 8) * random.normal(size=40)
    return np.convolve(x, decay)[None, : len(x)] + 1e-3 * random.normal(size=(1, len(x)))


def tones(seconds: float = 4.0) -> np.ndarray:
    """A chord whose notes swell."""
    time = np.arange(round(seconds * RATE)) / RATE
    notes = [(1 + np.sin((3 + i) * time)) * np.sin(2 * np.pi * f * time)
             for i, f in enumerate((440, 554, 659, 1100))]  # fmt: skip
    return np.sum(notes, 0)[None]


@pytest.mark.parametrize(("sound", "best"), [(clicks(), 32), (tones(), 128)])
def test_the_window_that_leaves_most(sound: np.ndarray, best: int) -> None:
    told = windows.told(torch.from_numpy(sound), RATE, TRIED)
    other = sum(TRIED) - best
    assert told[best] < 0.8 * told[other]


def test_it_is_chosen_and_said_unless_one_was_asked_for() -> None:
    signals = read(clicks().astype(np.float32), kind="sound", rate=RATE)
    said: list[str] = []
    chosen = resolve(compose("sound"), signals, said.append)[0].data
    assert chosen.window == 26 and said[0].startswith("windows of 26 samples: resynthesis ")
    kept, _ = resolve(compose("sound", ["data.window=64"]), signals, pytest.fail)
    assert kept.data.window == 64 and kept.data.crop == 8192 // 32


def test_a_short_clip_has_the_middle_one() -> None:
    with pytest.raises(UserError, match="too short to be judged"):
        windows.told(torch.from_numpy(clicks(1.0)), RATE, TRIED)
    signals = read(clicks(1.0).astype(np.float32), kind="sound", rate=RATE)
    assert resolve(compose("sound"), signals, pytest.fail)[0].data.window == 52
