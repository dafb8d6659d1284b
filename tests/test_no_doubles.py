"""Sums in 64 bits of what lives on a device that has no 64-bit floats: the CPU's numbers."""

from __future__ import annotations

import math

import pytest
import torch
from elsewhere import AWAY, elsewhere, moved
from torch import Tensor

from abprop import noise as noises
from abprop.data.examples import Examples, Same
from abprop.diagnostics import leading, watch
from abprop.evaluate.scores import Scores
from abprop.inference import KERNELS, Metric, State
from abprop.learning import Learning, Score
from abprop.learning.settings import InferSettings, ModelSettings, Settings, TrainSettings
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.operators import Identity, observe
from abprop.priors import PRIORS
from abprop.tasks import Annealing, Modes, log_likelihood

N, D, SHAPE = 12, 4, (2, 8, 8)
SETTINGS = Settings(ModelSettings((D,), channels=4), InferSettings(), TrainSettings(batch=6))


@pytest.fixture(autouse=True)
def no_doubles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noises, "WITHOUT_DOUBLES", {AWAY.type})


def normal(*shape: int, seed: int = 3) -> Tensor:
    return Noise(seed, "test").at(torch.zeros(1)).normal(shape)[0].float()


def make() -> Model:
    network = ConvGenerator((D,), SHAPE, channels=4)
    network.reset(lambda shape: normal(*shape))
    return Model(network, PRIORS["gaussian"]((D,)), Gaussian(0.3))


def test_the_spread_of_posteriors() -> None:
    def told(model: Model, device: torch.device) -> float:
        y, A = observe(normal(N, *SHAPE).to(device), (normal(N, *SHAPE) < 0).to(device))
        z, noise = normal(N, D).to(device), Noise(0).at(torch.arange(N, device=device))
        return Modes(y, A, z, Metric.plain(z, 0.1), noise, 8).spread(model)

    here = told(make(), torch.device("cpu"))
    with elsewhere(doubles=False):
        assert told(moved(make()), AWAY) == pytest.approx(here, rel=1e-4)


def test_the_likelihood_by_annealing() -> None:
    def told(model: Model, device: torch.device) -> Tensor:
        y, A = observe(normal(N, *SHAPE).to(device), (normal(N, *SHAPE) < 0).to(device))
        ids, how = torch.arange(N, device=device), Annealing(temperatures=3, chains=2, chunk=16)
        return log_likelihood(model, y, A, ids, how).found.nats

    here = told(make(), torch.device("cpu"))
    with elsewhere(doubles=False):
        torch.testing.assert_close(told(moved(make()), AWAY), here, rtol=1e-3, atol=0.05)


@pytest.mark.parametrize("known", ["draws", "sd", "nothing"])
def test_scores(known: str) -> None:
    x, y, scored = normal(N, *SHAPE), normal(N, *SHAPE, seed=4), normal(N, *SHAPE, seed=5) > 0
    more = {"draws": {"draws": normal(N, 5, *SHAPE)}, "sd": {"sd": normal(N, *SHAPE).abs() + 0.1}}
    given = more.get(known, {})
    here = Scores(2.0)
    here.add(x, y, scored, **given)
    with elsewhere(doubles=False):
        there = Scores(2.0)
        away = {k: v.to(AWAY) for k, v in given.items()}
        there.add(x.to(AWAY), y.to(AWAY), scored.to(AWAY), **away)
        there_all = Scores(2.0)
        there_all.add(x.to(AWAY), y.to(AWAY))
    assert there.result() == here.result()
    assert math.isfinite(there_all.result()["mse"])


def test_what_is_watched_of_chains() -> None:
    def told(model: Model, device: torch.device) -> tuple[Tensor, Tensor]:
        y, A = observe(normal(N, *SHAPE).to(device), None)
        z, noise = normal(N, D).to(device), Noise(0).at(torch.arange(N, device=device))
        directions = leading(z)
        trace = watch(model, y, A, State.begin(z, 0.1), KERNELS["langevin"](0.1), Metric.plain(z),
                      directions, noise, steps=1, visits=2, chunk=8)  # fmt: skip
        return directions, torch.from_numpy(trace.watched)

    here = told(make(), torch.device("cpu"))
    with elsewhere(doubles=False):
        directions, watched = told(moved(make()), AWAY)
        assert directions.device == AWAY
        torch.testing.assert_close(directions.cpu(), here[0])
    torch.testing.assert_close(watched, here[1], rtol=1e-4, atol=1e-4)


def examples(count: int) -> Examples:
    return Examples(normal(count, *SHAPE), Same(Identity(1, SHAPE)), torch.arange(count), SHAPE)


def test_held_out_scores() -> None:
    def told(device: torch.device) -> Score:
        learning = Learning(SETTINGS, examples(N), examples(4))
        if device == AWAY:
            learning.model, learning.device = moved(learning.model), AWAY
            learning.latents = learning.latents.to(AWAY)
        return learning.score_heldout(steps=2)

    here = told(torch.device("cpu"))
    with elsewhere(doubles=False):
        assert told(AWAY) == pytest.approx(here, rel=1e-3)
