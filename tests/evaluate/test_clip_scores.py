"""Samples of a run held against its clip, in `evaluate`; and the rivals' sounds."""

from __future__ import annotations

import numpy as np
import pytest

import abprop
from abprop import baselines
from abprop.errors import UserError
from abprop.run import Layers, fit

RATE = 8000
SETS = ("run.precision=float32", "model.channels=8", "train.batch=8", "train.iterations=60",
        "data.crops=20", "data.window=64", "data.kind=sound", f"data.rate={RATE}",
        "data.crop=32")  # fmt: skip


def puffs(seconds: float = 4.0) -> np.ndarray:
    """Low noise in puffs, a few in a second, in each of which it becomes brighter: (1, T)."""
    random = np.random.default_rng(0)
    noise = random.normal(size=round(seconds * RATE))
    time = np.arange(len(noise)) / RATE
    low = np.convolve(noise, np.ones(8) / 8, "same")
    shape = (1 + np.sin(2 * np.pi * 5 * time + 3 * np.sin(time))) ** 2
    return (0.05 * shape * (low + 0.2 * shape * noise))[None].astype(np.float32)


def fitted(folder, clip: np.ndarray):
    fit(folder, Layers(None, SETS, {"data.source": "<array>"}), source=clip)
    return abprop.load(folder, data=clip)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return fitted(tmp_path_factory.mktemp("sound") / "run", puffs())


def test_ratios_and_those_of_rivals(run) -> None:
    found = run.evaluate(against="phase,repetition,white")
    assert found["scored"] == "samples" and "mse" not in found
    assert found["sample_ratio"] == max(found["ratios"].values())
    beside = {name: row["sample_ratio"] for name, row in found["baselines"].items()}
    assert found["sample_ratio"] < beside["phase"] < beside["white"]
    assert 0 < found["noise_ratio"] < 1
    assert found["baselines"]["repetition"]["repeat_ratio"] < 0.2 < found["repeat_ratio"]
    assert found["copy_ratio"] > 0.3


def test_what_is_no_sounds_is_refused(run) -> None:
    with pytest.raises(UserError, match="not for a clip; there are phase"):
        run.evaluate(against="pca")
    with pytest.raises(UserError, match="its own clip only"):
        run.evaluate(puffs())


def test_a_short_clip_is_said_not_to_be_judged(tmp_path) -> None:
    told: list[str] = []
    run = fitted(tmp_path / "run", puffs(1.0))
    assert "sample_ratio" not in run.evaluate(progress=told.append)
    assert any("too short to be judged" in line for line in told)


@pytest.mark.parametrize("name", baselines.SOUNDS)
def test_rivals_are_as_long_and_as_loud_as_asked(name: str) -> None:
    clip = np.concatenate([puffs(), 0.5 * puffs()])
    made = [baselines.sound(name, clip, RATE, 50_000, seed) for seed in (0, 0, 1)]
    assert made[0].shape == (2, 50_000) and made[0].dtype == np.float32
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2]) == (name == "repetition")
    assert made[0].std() == pytest.approx(clip.std(), rel=0.3)


def test_phases_keep_the_spectrum() -> None:
    clip = puffs()
    made = baselines.sound("phase", clip, RATE, clip.shape[1], 0)

    def bands(x: np.ndarray) -> np.ndarray:
        power = np.abs(np.fft.rfft(x[0])) ** 2
        return power[: 16_000 // 50 * 50].reshape(50, -1).mean(1)

    assert np.abs(np.log(bands(made) / bands(clip))).mean() < 0.3


def test_an_unknown_rival_is_named() -> None:
    with pytest.raises(UserError, match="'brown'"):
        baselines.sound("brown", puffs(), RATE, 100, 0)
