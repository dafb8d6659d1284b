"""Chains, learning and recovery on another device: the CPU's answer, and nothing left behind."""

from __future__ import annotations

import copy

import pytest
import torch
from elsewhere import AWAY, elsewhere, moved
from torch import Tensor

from abprop import noise as noises
from abprop import residuals
from abprop.alternate import Batch, alternate
from abprop.inference import KERNELS, Metric, State, calibrate, infer, nearest, solve
from abprop.latents import Latents, Restarted
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import PRIORS
from abprop.residuals import Covariance, White

N, D, SHAPE = 20, 4, (2, 8, 8)


@pytest.fixture(params=[True, False], ids=["doubles", "no doubles"])
def doubles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether there are 64-bit floats elsewhere."""
    if not request.param:
        monkeypatch.setattr(noises, "WITHOUT_DOUBLES", {AWAY.type})
    return request.param


def normal(*shape: int) -> Tensor:
    return Noise(3, "test").at(torch.zeros(1)).normal(shape)[0].float()


def make(prior: str = "gaussian") -> Model:
    network = ConvGenerator((D,), SHAPE, channels=4)
    network.reset(lambda shape: normal(*shape))
    return Model(network, PRIORS[prior]((D,)), Gaussian(0.3))


def problem(hide: bool) -> tuple[Tensor, Tensor | None, Tensor]:
    return normal(N, *SHAPE), normal(N, *SHAPE) < 0 if hide else None, normal(N, D)


def visited(name: str, hide: bool, device: torch.device) -> tuple[State, Tensor]:
    model, (y, hidden, z) = make(), problem(hide)
    model = moved(model) if device == AWAY else model
    y, A = observe(y.to(device), None if hidden is None else hidden.to(device))
    ids, z = torch.arange(N, device=device), z.to(device)
    metric, state, noise = Metric.plain(z, 0.1), State.begin(z), Noise(0).at(ids)
    calibrate(model, y, A, z, metric, noise, chunk=16)
    for _ in range(2):
        state, info = infer(model, y, A, state, KERNELS[name](), steps=2, noise=noise,
                            metric=metric, chunk=16)  # fmt: skip
        metric.update(info.bent)
    return state, metric.root


@pytest.mark.parametrize("hide", [True, False])
@pytest.mark.parametrize("name", KERNELS)
def test_chains_go_where_they_go_on_the_cpu(name: str, hide: bool, doubles: bool) -> None:
    state, root = visited(name, hide, torch.device("cpu"))
    with elsewhere(doubles):
        there, metric = visited(name, hide, AWAY)
        assert all(v.device == AWAY for v in (*there, metric))
        for a, b in zip((*there, metric), (*state, root), strict=True):
            torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-4)


def learned(prior: str, restart: bool, device: torch.device) -> list[Tensor]:
    model, (y, hidden, z) = make(prior), problem(True)
    model = moved(model) if device == AWAY else model
    y, A = observe(y.to(device), hidden.to(device))
    ids, state = torch.arange(N), State.begin(z.repeat_interleave(2, 0))
    latents = Latents(ids, state)
    if restart:
        latents = Restarted(ids, state, None, model.prior, Noise(0, "restart"))
    latents = latents.to(device)
    rows = torch.arange(4, 20).to(device)
    batches = [Batch(ids.to(device)[rows], y[rows], A[rows])] * 2
    optimizer = torch.optim.SGD(model.network.parameters(), lr=1e-3)
    for step in alternate(model, latents, batches, KERNELS["leimkuhler"](), optimizer, steps=2,
                          noise=Noise(0), chunk=16):  # fmt: skip
        model.likelihood.update(step.residual, 0.5)
    return [model.network.dense.detach(), model.likelihood.sigma, latents.z, latents.metric.root]


VECTORS = [name for name in PRIORS if name != "markov"]  # which is over maps


@pytest.mark.parametrize("restart", [True, False])
@pytest.mark.parametrize("prior", VECTORS)
def test_learning_goes_where_it_goes_on_the_cpu(prior: str, restart: bool, doubles: bool) -> None:
    here = learned(prior, restart, torch.device("cpu"))
    with elsewhere(doubles):
        for a, b in zip(learned(prior, restart, AWAY), here, strict=True):
            assert a.device == AWAY
            torch.testing.assert_close(a.cpu(), b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prior", VECTORS)
def test_the_solver_and_its_starts_go_where_they_go_on_the_cpu(prior: str) -> None:
    model, (y, hidden, z) = make(prior), problem(True)
    y, A = observe(y, hidden)
    start = nearest(model, y, A, z, chunk=16)
    here, _ = solve(model, y, A, start=start, steps=5, chunk=16)
    with elsewhere():
        model, y, A = moved(copy.deepcopy(model)), y.to(AWAY), A.to(AWAY)
        start = nearest(model, y, A, z.to(AWAY), chunk=16)
        there, _ = solve(model, y, A, start=start, steps=5, chunk=16)
        torch.testing.assert_close(there.cpu(), here, rtol=1e-4, atol=1e-4)


def test_noise_and_tables_keyed_on_the_cpu_serve_chains_elsewhere() -> None:
    with elsewhere():
        ids, rows = torch.arange(5), torch.tensor([3, 1])
        age, noise = torch.tensor([7, 9]).to(AWAY), Noise(0).at(ids)
        found = noise[rows.to(AWAY)].later(age).normal((3,)).cpu()
        assert torch.equal(found, noise[rows].later(age.cpu()).normal((3,)))
        latents = Latents(ids, State.begin(normal(5, 3))).to(AWAY)
        assert torch.equal(latents[rows].z.cpu(), normal(5, 3)[rows])
        latents[rows] = State.begin(normal(2, 3).to(AWAY))
        assert torch.equal(latents.z[rows].cpu(), normal(2, 3))


@pytest.mark.parametrize("target", [0.04, torch.tensor(0.04), torch.tensor(0.04).double()])
def test_sigma_takes_its_step_wherever_it_lives(target: Tensor | float) -> None:
    with elsewhere():
        likelihood = Gaussian(0.5).to(AWAY)
        for value in (target, target.to(AWAY) if isinstance(target, Tensor) else target):
            likelihood.update(value, 0.5)
        assert likelihood.sigma.device == AWAY
        assert likelihood.sigma.item() == pytest.approx((0.25 / 4 + 0.75 * 0.04) ** 0.5)


@pytest.mark.parametrize("correlated", [True, False])
def test_residuals_are_drawn_where_the_signals_are(correlated: bool, doubles: bool) -> None:
    e, hidden = normal(6, *SHAPE), normal(6, *SHAPE) < 0
    law: Covariance | White = White(0.3)
    if correlated:
        law = residuals.fit(e, ~hidden[:, :1])
    filled = law.on(hidden).fill(e[:, None], e[:, None])
    with elsewhere(doubles):
        laws = [law]
        e, hidden = e.to(AWAY), hidden.to(AWAY)
        if correlated:
            laws.append(residuals.fit(e, ~hidden[:, :1]))
            assert laws[1].table.device == laws[1].turn.device == AWAY
            torch.testing.assert_close(laws[1].table.cpu(), law.table, rtol=1e-4, atol=1e-5)
        for given in laws:
            there = given.on(hidden)
            assert there.A.count.device == there.A[torch.tensor([0, 3])].count.device == AWAY
            found = there.fill(e[:, None], e[:, None])
            torch.testing.assert_close(found.cpu(), filled, rtol=1e-3, atol=1e-3)


def test_whitening_moves_whole() -> None:
    # Its sparse matrices are made where its weights are; there are none on this false device.
    law = residuals.fit(normal(6, *SHAPE), normal(6, 1, *SHAPE[1:]) < 0)
    A = law.on(normal(6, *SHAPE) < 0).A[torch.tensor([0, 0, 3, 3])]
    with elsewhere():
        there = A.to(AWAY)
        assert there.count.device == there.turn.device == AWAY and A.count.device != AWAY
        assert there.fields[0] is there.fields[1] and there.fields[0] is not there.fields[2]
        assert {v.device for f in there.fields for v in (f.near, f.weight, f.deviation)} == {AWAY}
        assert there[torch.tensor([2]).to(AWAY)].fields == [there.fields[2]]
