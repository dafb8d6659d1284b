"""R-hat and effective sample size of chains whose mixing is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from abprop.diagnostics import Health, Trace, advice, health, leading, watch
from abprop.inference import KERNELS, Langevin, LeimkuhlerMatthews, Metric, State
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.priors import StandardNormal

RANDOM = np.random.default_rng(0)


def autoregressive(rho: float, visits: int, count: int) -> np.ndarray:
    x = RANDOM.normal(size=(1, count, 4))
    rows = [x]
    for _ in range(visits - 1):
        rows.append(rho * rows[-1] + np.sqrt(1 - rho**2) * RANDOM.normal(size=x.shape))
    return np.stack(rows, 1)  # (1, visits, count, 4)


@pytest.mark.parametrize("rho, low, high", [(0.0, 15, 30), (0.6, 4, 12), (0.97, 1, 4)])
def test_effective_sample_size_falls_as_chains_remember(rho: float, low: float, high: float):
    told = health(Trace(autoregressive(rho, 30, 64), 1.0, 1.0))
    assert low <= told.ess <= high
    assert (told.rhat < 1.2) == (rho < 0.9)


def test_chains_that_stand_still_or_drift_are_found():
    still = health(Trace(np.ones((1, 30, 5, 4)), 1.0, 1.0))
    assert still.rhat > 1.1 and still.ess <= 1
    drift = np.linspace(0, 1, 30)[None, :, None, None] * np.ones((1, 30, 5, 4))
    assert health(Trace(drift + 0.01 * RANDOM.normal(size=drift.shape), 1.0, 1.0)).rhat > 1.5


def test_chains_that_disagree_are_found_though_each_stands_well():
    apart = RANDOM.normal(size=(2, 30, 9, 4)) + np.array([0, 5])[:, None, None, None]
    assert health(Trace(apart, 1.0, 1.0)).rhat > 2


def linear() -> tuple[Model, torch.Tensor, Identity]:
    f = LinearGenerator((3,), (20,))
    f.weight.data = Noise(0).at(torch.arange(20)).normal((3,)).float()
    model = Model(f, StandardNormal((3,)), Gaussian(0.5)).requires_grad_(False)
    return model, Noise(1).at(torch.arange(8)).normal((20,)).float(), Identity(8, (20,))


@pytest.mark.parametrize("name", [name for name, kernel in KERNELS.items() if kernel.samples])
def test_every_kernel_mixes_where_the_posterior_is_simple(name: str):
    model, y, A = linear()
    metric, noise = Metric(0.1 * torch.eye(3)), Noise(2).at(torch.arange(8))
    told = health(watch(model, y, A, State.begin(torch.zeros(8, 3)), KERNELS[name](), metric,
                        torch.eye(3), noise, steps=10, visits=40))  # fmt: skip
    assert told.rhat < 1.2 and told.ess > 8 and told.stable == 1
    assert 0.5 < told.accepted <= 1 and "Chains mix:" in advice(told)


def test_steps_that_are_too_long_or_too_short_are_told_apart():
    model, y, A = linear()

    def told(s: float) -> Health:
        return health(watch(model, y, A, State.begin(torch.zeros(8, 3)), Langevin(s),
                            Metric(torch.eye(3)), torch.eye(3), Noise(2).at(torch.arange(8)),
                            steps=5))  # fmt: skip

    assert "infer.step_size=adapt" in advice(told(0.6)) and told(0.6).stable < 0.99
    assert "mix slowly" in advice(told(0.004))
    assert "learning_rate" in advice(told(0.1), put_back=3)


def test_a_second_chain_of_an_example_is_its_own_row():
    model, y, A = linear()
    rows = torch.arange(8).repeat_interleave(2)
    noise = Noise(2).at(rows, chain=torch.arange(2).repeat(8))
    trace = watch(model, y[rows], A[rows], State.begin(torch.zeros(16, 3)), LeimkuhlerMatthews(),
                  Metric(0.1 * torch.eye(3)), torch.eye(3),
                  noise, chains=2, steps=5, visits=12)  # fmt: skip
    assert trace.watched.shape == (2, 12, 8, 4)
    assert not np.allclose(trace.watched[0, -1], trace.watched[1, -1])


def test_the_leading_direction_is_that_of_the_largest_variance():
    z = torch.randn(500, 5, 3, 3) * torch.tensor([1.0, 1, 4, 1, 2])[:, None, None]
    found = leading(z)
    assert found.shape == (5, 3) and found[2, 0].abs() > 0.98 and found[4, 1].abs() > 0.95
    assert leading(torch.randn(9, 2)).shape == (2, 2)
