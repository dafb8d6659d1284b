"""One large signal with holes: learned as crops, recovered whole, at its own and any other size."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import TEXTURE, Command

from abprop.errors import UserError
from abprop.run import Layers, Run, fit, load

RNG = np.random.default_rng(0)
TALL, WIDE = 53, 61  # no multiples of a cell
CHANNELS = 6  # of a stack of maps, more than colours


def stack(height: int, width: int) -> np.ndarray:
    """Smooth float maps that resemble each other."""
    y, x = np.mgrid[:height, :width] / 9.0
    return np.stack([20 + np.sin(y + x / 2 + c / 3) + c / 9 for c in range(CHANNELS)]).astype("f4")


@pytest.fixture(scope="module")
def maps() -> np.ndarray:
    values = stack(TALL, WIDE)
    values[:, 20:30, 15:28] = np.nan  # on all of them
    values[2, 40:, :9] = np.nan  # on one alone
    return values


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory, maps: np.ndarray) -> Run:
    folder = tmp_path_factory.mktemp("cut") / "run"
    sets = (*TEXTURE, "data.kind=texture", "data.crop=20", "model.sigma=0.3")
    fit(folder, Layers(None, sets, {"data.source": "<array>"}), source=maps)
    return load(folder, data=maps)


def test_the_whole_is_recovered_from_crops(cut: Run, maps: np.ndarray) -> None:
    answer = cut.recover(draws=3)
    gone = np.isnan(maps)
    assert answer.mean.shape == (1, *maps.shape) and answer.mean.dtype == np.float32
    np.testing.assert_array_equal(answer.mean[0][~gone], maps[~gone])
    np.testing.assert_array_equal(answer.hidden[0], gone)
    assert np.isfinite(answer.mean).all() and (answer.std[0][gone] > 0).all()
    assert (answer.std[0][~gone] == 0).all()


def test_another_size_is_recovered(cut: Run) -> None:
    for height, width in ((31, 40), (12, 70)):
        other = stack(height, width)
        mask = RNG.random(other.shape) < 0.3
        answer = cut.recover(other, mask, draws=2)
        assert answer.mean.shape == (1, *other.shape)
        np.testing.assert_array_equal(answer.mean[0][~mask], other[~mask])
        spoilt = np.where(mask, np.float32(np.nan), other)
        again = cut.recover(spoilt, draws=2)
        np.testing.assert_array_equal(again.mean, answer.mean)


def test_other_channels_are_refused(cut: Run) -> None:
    with pytest.raises(UserError, match="5x31x40, but this run learned 6xanyxany"):
        cut.recover(stack(31, 40)[:5], draws=2)
    with pytest.raises(UserError, match="masks and hide need a SOURCE"):
        cut.recover(hide="P.5", draws=2)


def test_what_was_hidden_on_purpose_is_scored_on_the_whole(
    tmp_path: Path, run_dir: Path, abprop: Command
) -> None:
    values = stack(TALL, WIDE)
    np.savez(tmp_path / "maps.npz", maps=values, hidden=RNG.random(values.shape) < 0.1)
    sets = [
        word for key in (*TEXTURE, "data.kind=texture", "data.crop=20") for word in ("--set", key)
    ]
    source, masks = f"{tmp_path / 'maps.npz'}:maps", f"{tmp_path / 'maps.npz'}:hidden"
    assert abprop("fit", source, "--run", run_dir, "--masks", masks, *sets).code == 0
    words = ("--draws", 3, "--against", "mean,biharmonic", "--json")
    done = abprop("evaluate", run_dir, *words)
    assert done.code == 0, done.err
    told = json.loads(done.out)
    assert told["n"] == 1 and told["scored"] == "hidden"
    assert 0 < told["rmse_data"] < 5 and {"mean", "biharmonic"} == set(told["baselines"])
    assert told["baselines"]["biharmonic"]["mse"] < told["baselines"]["mean"]["mse"]
