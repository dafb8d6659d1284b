"""log p(y) by annealed importance sampling: exact, its error honest, the same in any company."""

from __future__ import annotations

import math

import pytest
import torch
from models import conv_model
from torch import Tensor

from abprop import tasks
from abprop.annealing import (
    COURSES,
    annealed,
    annealed_back,
    courses,
    estimate,
    everywhere,
    near,
    reversed_estimate,
    temperatures,
)
from abprop.errors import AbpropError
from abprop.inference import solve
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity, Operator, Projection, for_many, observe, written_out
from abprop.priors import PRIORS

FACTORS, NUMBERS = 3, 10


def normal(stream: str, rows: int, *shape: int) -> Tensor:
    return Noise(3, stream).at(torch.arange(rows)).normal(shape).float()


def linear(prior: str = "standard", sigma: float = 0.5) -> Model:
    f = LinearGenerator((FACTORS,), (NUMBERS,))
    f.weight.data, f.bias.data = normal("W", NUMBERS, FACTORS), normal("b", 1, NUMBERS)[0]
    law = PRIORS[prior]((FACTORS,))
    law.update(1.5 * normal("z of others", 50, FACTORS) @ normal("mix", FACTORS, FACTORS) + 1, 1.0)
    return Model(f, law, Gaussian(sigma)).requires_grad_(False)


def observed(model: Model, count: int, how: str) -> tuple[Tensor, Operator]:
    """Signals of the model seen whole, in part or through projections."""
    z = model.prior.draw_each(Noise(3, "z").at(torch.arange(count))).float()
    x, e = model.network(z), model.likelihood.sigma * normal("e", count, NUMBERS)
    if how == "projected":
        A = for_many(Projection(normal("A", 4, NUMBERS) / 3, 1), count)
        return A(x) + e[:, :4], A
    return observe(x + e, normal("hidden", count, NUMBERS) < 0 if how == "masked" else None)


def exact(model: Model, y: Tensor, A: Operator) -> Tensor:
    """log N(y; A (W mu + b), A W S W^T A^T + sigma^2 I) of what is observed, float64 (B,)."""
    folded = model.folded()
    W, b = folded.network.weight.double(), folded.network.bias.double()
    found = []
    for i in range(len(y)):
        one = A[torch.tensor([i])]
        matrix = written_out(one, (NUMBERS,)).double()
        kept = matrix.abs().sum(1) > 0
        matrix, seen = matrix[kept], y[i].flatten()[kept].double()
        root = matrix @ W
        covariance = root @ root.T + folded.likelihood.sigma.double() ** 2 * torch.eye(len(root))
        law = torch.distributions.MultivariateNormal(matrix @ b, covariance)
        found.append(law.log_prob(seen))
    return torch.stack(found)


def anneal(model: Model, y: Tensor, A: Operator, course: str, steps: int, **more: int):
    mode, _ = solve(model, y, A, steps=400, chunk=16)
    way = COURSES[course](model, A, mode, steps)
    return annealed(model, y, A, way, torch.arange(len(y)), more.pop("seed", 0), **more)


@pytest.mark.parametrize("prior", ["standard", "gaussian"])
@pytest.mark.parametrize("how", ["whole", "masked", "projected"])
@pytest.mark.parametrize("sigma", [0.2, 1.0])
def test_exact_answers_on_a_linear_generator(prior: str, how: str, sigma: float):
    model = linear(prior, sigma)
    y, A = observed(model, 6, how)
    found = anneal(model, y, A, "near", 12).found
    off = found.nats - exact(model, y, A)
    assert (off.abs() < 4 * found.se + 1e-3).all()
    assert abs(off.mean()) < 0.1 and found.mean_se < 0.1
    assert (found.ess > 10).all() and (found.ess <= 16).all()


@pytest.mark.parametrize("prior", ["standard", "gaussian"])
def test_from_the_prior(prior: str):
    model = linear(prior)
    y, A = observed(model, 4, "masked")
    found = anneal(model, y, A, "prior", 150).found
    off = found.nats - exact(model, y, A)
    assert abs(off.mean()) < 3 * found.mean_se + 0.02 and found.mean_se < 0.15


@pytest.mark.parametrize("course, steps", [("near", 2), ("prior", 25)])
def test_weights_are_unbiased_however_few_the_temperatures(course: str, steps: int):
    """The mean of many chains' weights is p(y); log-mean-exp of few is below its logarithm."""
    model, chains = linear(), 2000
    y, A = observed(model, 2, "whole")
    found = anneal(model, y, A, course, steps, chains=chains, chunk=1024)
    w = (found.log_weights - exact(model, y, A)[:, None]).exp()
    off, se = w.mean(1) - 1, w.std(1) / math.sqrt(chains)
    assert (off.abs() < 3.5 * se).all() and (se < 0.2).all()
    few = estimate(found.log_weights.reshape(-1, 4)).nats.reshape(2, -1).mean(1)
    assert (few < exact(model, y, A)).all()


def test_the_stated_error_is_that_of_the_estimate():
    """Over many problems: |error| below 3 se in nearly all, and about as large as se says."""
    model = linear()
    y, A = observed(model, 60, "masked")
    found = anneal(model, y, A, "near", 3, chains=12).found
    off = (found.nats - exact(model, y, A)) / found.se
    assert (off.abs() < 3).double().mean() >= 0.95
    assert 0.7 < off.square().mean().sqrt() < 1.5


def test_backwards_bounds_from_above():
    model = linear()
    ids = torch.arange(24)
    A: Operator = Identity(len(ids), (NUMBERS,))
    z, y = tasks.simulated(model, A, ids, 0)
    course = everywhere(model, A, solve(model, y, A, steps=100)[0], 12)
    below, truth = annealed(model, y, A, course, ids, 0, chains=4).found, exact(model, y, A)
    above = annealed_back(model, y, A, z, course, ids, 0, chains=4).found
    assert below.mean < truth.mean() < above.mean
    fine = everywhere(model, A, solve(model, y, A, steps=100)[0], 100)
    near_above = annealed_back(model, y, A, z, fine, ids, 0, chains=4).found
    assert near_above.mean - truth.mean() < (above.mean - truth.mean()) / 2


@pytest.mark.parametrize("course", COURSES)
def test_an_answer_has_the_same_bits_in_any_company(course: str):
    model = conv_model().requires_grad_(False)
    ids = torch.arange(5)
    A: Operator = Identity(5, (3, 32, 32))
    y = tasks.simulated(model, A, ids, 0)[1]
    how = tasks.Annealing(course, 4, 3, chunk=16)
    whole = tasks.log_likelihood(model, y, A, ids, how)
    for rows in (torch.tensor([3]), torch.tensor([4, 1]), torch.tensor([2, 3, 4, 0, 1])):
        some = tasks.log_likelihood(model, y[rows], A[rows], ids[rows], how)
        assert torch.equal(some.log_weights, whole.log_weights[rows])
    other = tasks.log_likelihood(model, y, A, ids, how._replace(seed=1))
    assert not (other.log_weights == whole.log_weights).any()


def test_a_sandwich_on_a_network():
    model = conv_model().requires_grad_(False)
    ids = torch.arange(6)
    hidden = normal("veil", 6, 1, 32, 32) < 0
    A: Operator = observe(torch.zeros(6, 3, 32, 32), hidden)[1]
    below, above = tasks.sandwich(model, A, ids, tasks.Annealing(temperatures=20))
    gap = above.found.mean - below.found.mean
    assert abs(gap) < 0.3 + 3 * math.hypot(below.found.mean_se, above.found.mean_se)
    assert (below.accepted > 0.5).all() and (below.found.ess > 2).all()
    y = tasks.simulated(model, A, ids, 0)[1]
    assert (y[hidden.expand_as(y)] == 0).all()


def test_a_map_and_its_own_prior():
    f = ConvGenerator((2, 4, 4), (1, 10, 10), channels=4)
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    prior = PRIORS["markov"]((2, 4, 4))
    prior.update(1 + 2 * normal("maps", 20, 2, 4, 4), 1.0)
    model, ids = Model(f, prior, Gaussian(1.0)).requires_grad_(False), torch.arange(4)
    how, A = tasks.Annealing("prior", 200), Identity(4, (1, 10, 10))
    below, above = (told.found for told in tasks.sandwich(model, A, ids, how))
    se = math.hypot(below.mean_se, above.mean_se)
    assert abs(above.mean - below.mean) < 0.3 + 3 * se and se < 0.3


def test_temperatures_rise_and_are_many_where_much_happens():
    stiff, apart = torch.tensor([[1e4, 1.0], [1.2, 1.2]]), torch.zeros(2, 2)
    far, short = temperatures(stiff, apart, 100)
    assert (far.diff() > 0).all() and far[0] == short[0] == 0 and far[-1] == short[-1] == 1
    assert far[50] == pytest.approx(1e-2, rel=0.1)  # geometric: half of the way in log b
    assert short[50] == pytest.approx(0.5, abs=0.05)
    assert torch.equal(temperatures(stiff, apart, 1), torch.tensor([[0.0, 1], [0, 1]]).double())


def test_what_weights_say():
    same = estimate(torch.full((2, 5), -1e6))
    assert same.nats.tolist() == [-1e6] * 2 and same.ess.tolist() == pytest.approx([5, 5])
    assert same.se.abs().max() < 1e-6
    one = estimate(torch.tensor([[0.0, -800.0, -900.0]]))
    assert one.nats.item() == pytest.approx(-math.log(3)) and one.ess.item() == pytest.approx(1)
    assert one.se.item() > 100  # a single chain says it all
    assert reversed_estimate(torch.tensor([[-2.0, -2.0]])).nats.item() == pytest.approx(2)
    with pytest.raises(AbpropError, match="at least 2"):
        estimate(torch.zeros(3, 1))


def test_near_is_the_posterior_of_a_linear_generator_but_wider():
    model = linear()
    y, A = observed(model, 2, "masked")
    mode, _ = solve(model, y, A, steps=200)
    law = near(model, A, mode, 5).start
    z = normal("anywhere", 2, FACTORS)
    flat = model.log_joint(y, mode + z, A) - model.log_joint(y, mode, A)
    apart = (law.score(mode + z)[0] - law.score(mode)[0]) * courses.WIDER
    torch.testing.assert_close(apart, flat, rtol=5e-3, atol=5e-3)
