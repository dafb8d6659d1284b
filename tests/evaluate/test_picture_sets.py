"""Samples of a run held against unseen pictures, in `evaluate`."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import FACES, Command, blobs

from abprop import load
from abprop.run import Layers, fit

SETS = (*FACES, "data.holdout=0.4", "model.latent=4")
DISTANCES = {"frechet", "wasserstein", "coherence", "completeness"}


def fitted(folder, pictures: np.ndarray, *sets: str):
    fit(folder, Layers(None, (*SETS, *sets), {"data.source": "<array>"}), source=pictures)
    return load(folder, data=pictures)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return fitted(tmp_path_factory.mktemp("pictures") / "run", blobs(80))


def test_ratios_stand_beside_errors_and_those_of_reconstructions(run) -> None:
    found = run.evaluate(against="pca")
    assert found["mse"] > 0 and found["baselines"].keys() == {"pca"}
    assert found["ratios"].keys() == DISTANCES
    assert found["sample_ratio"] == max(found["ratios"].values()) > 1.5, "eight iterations are few"
    assert found["reconstruction_ratio"] > 1 and found["copy_ratio"] > 0
    assert 0.5 < found["over_reconstructions"] < found["sample_ratio"]
    assert 0.3 < found["over_unseen"] < found["sample_ratio"]
    assert run.evaluate()["ratios"] == found["ratios"]


def test_other_pictures_are_scored_without_ratios(run) -> None:
    found = run.evaluate(blobs(30, seed=5))
    assert "sample_ratio" not in found and found["mse"] > 0


def test_the_command_shows_them(run, abprop: Command) -> None:
    shown = abprop("evaluate", str(run.folder), "--data", _saved(run))
    assert shown.code == 0 and "reconstruction" in shown.out


def _saved(run) -> str:
    path = run.folder.parent / "pictures.npy"
    np.save(path, blobs(80))
    return str(path)


@pytest.mark.parametrize(
    ("pictures", "sets", "why"),
    [
        (blobs(80), ("data.holdout=0.0",), "nothing was held out"),
        (blobs(80), ("data.holdout=0.1",), "72 pictures learned from and 8 unseen ones are too"),
        (blobs(80), ("data.measure=down:2",), "not known in full"),
        (np.where(blobs(80) > 250, np.nan, blobs(80)), ("data.range=0:255",), "not known in full"),
    ],
)
def test_what_cannot_be_judged_is_said(tmp_path, pictures, sets, why: str) -> None:
    told: list[str] = []
    found = fitted(tmp_path / "run", pictures, *sets).evaluate(progress=told.append)
    assert "sample_ratio" not in found
    assert any("samples are not judged" in line and why in line for line in told)
