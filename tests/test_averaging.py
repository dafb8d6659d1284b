"""Averages over the path of learning: their reach, and that a run answers with them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import FACES, blobs, learned

from abprop import checkpoint
from abprop.averaging import Average, exponent
from abprop.learning.learning import WALKING
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.priors import StandardNormal
from abprop.run import Layers, fit, load

SETS = (*FACES, "model.latent=2", "data.mirror=no", "model.sigma=0.3", "train.average=0.1")


@pytest.mark.parametrize(("share", "known"), [(0.05, 16.97), (0.1, 6.94)])
def test_the_exponent_is_that_of_the_paper(share: float, known: float) -> None:
    assert exponent(share) == pytest.approx(known, abs=0.01)


def test_it_reaches_back_over_that_share_of_any_path() -> None:
    """The mean of t and of t^2 under the weights say their spread."""
    network = LinearGenerator((1,), (2,))
    assert not network.weight.any(), "not what happened to be in memory"
    average = Average(Model(network, StandardNormal((1,)), Gaussian(1.0)), 0.09)
    for t in range(1, 3001):
        network.weight.data = torch.tensor([[t / 100.0], [(t / 100.0) ** 2]])
        average.update(t)
        if t == 1:
            assert torch.equal(average.model.network.weight, network.weight)
        if t in (300, 3000):
            mean, square = average.model.network.weight.flatten().double().tolist()
            g = average.exponent
            assert mean == pytest.approx(t / 100 * (g + 1) / (g + 2), rel=0.01)
            assert (square - mean**2) ** 0.5 == pytest.approx(0.09 * t / 100, rel=0.05)


def fitted(folder: Path, name: str, *sets: str) -> Path:
    np.save(folder / "faces.npy", blobs(60))
    return learned(folder / name, folder / "faces.npy", (*SETS, *sets))


def newest(run: Path) -> checkpoint.Checkpoint:
    found = checkpoint.latest(run / "checkpoints", print)
    assert found is not None
    return found


def test_a_run_answers_with_the_average_and_learns_on_from_where_it_walked(tmp_path: Path) -> None:
    run, plain = fitted(tmp_path, "run"), fitted(tmp_path, "plain", "train.average=0")
    saved, walked = newest(run).tensors, newest(plain).tensors["network"]
    assert WALKING in saved and WALKING not in newest(plain).tensors
    for name, values in saved[WALKING].items():
        assert torch.equal(values, walked["network." + name]), "an average moves nothing"
    assert any(not torch.equal(v, walked[name]) for name, v in saved["network"].items())
    answers = load(run, last=True).learned.network.state_dict()
    for name, values in answers.items():
        assert torch.equal(values, saved["network"]["network." + name]), name
    scores = [newest(r).meta["scores"][-1][1] for r in (run, plain)]
    assert scores[0] != scores[1]


def test_a_stopped_run_has_the_same_average(tmp_path: Path) -> None:
    whole = newest(fitted(tmp_path, "whole"))
    run = tmp_path / "run"
    fit(run, Layers(None, SETS, {"data.source": str(tmp_path / "faces.npy")}), stop_at=5)
    fit(run, Layers())
    for group in ("network", WALKING, "optimizer"):
        for name, values in newest(run).tensors[group].items():
            assert torch.equal(values, whole.tensors[group][name]), (group, name)


def test_planning_leaves_it_as_it_is(tmp_path: Path) -> None:
    """Runs that are planned and that are not learn the same."""
    from abprop.distributed import ALONE
    from abprop.learning.plan import rehearse
    from abprop.run.fitting.preparing import prepared
    from abprop.run.fitting.session import Progress

    np.save(tmp_path / "faces.npy", blobs(60))
    asked = Layers(None, SETS, {"data.source": str(tmp_path / "faces.npy")})
    learning = prepared(tmp_path / "run", asked, None, Progress(), ALONE).learning
    before = {g: {k: v.clone() for k, v in t.items()} for g, t in learning.tensors().items()}
    rehearse(learning, at_least=3)
    for group, tensors in learning.tensors().items():
        for name, values in tensors.items():
            assert torch.equal(values, before[group][name]), (group, name)
