"""The most probable latents: what the solver finds, and from where it starts."""

import math

import pytest
import torch
from memory import grown
from models import conv_model, normal
from torch import Tensor

from abprop.inference import (
    nearest,
    solve,
)
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity, Operator, observe
from abprop.priors import Gaussian as GaussianPrior
from abprop.priors import StandardNormal


def adam(model: Model, y: Tensor, A: Operator, steps: int, rate: float) -> Tensor:
    """Adam as Kingma and Ba write it, with a rate in the prior's standard deviations."""
    score, z = model.score(y, A), model.mean_latent(len(y))
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for k in range(steps):
        grad = score(z)[1]
        mean, square = 0.9 * mean + 0.1 * grad, 0.99 * square + 0.01 * grad**2
        length = rate * model.prior.spread * 0.5 * (1 + math.cos(math.pi * k / steps))
        bias = (1 - 0.99 ** (k + 1)) ** 0.5 / (1 - 0.9 ** (k + 1))
        z = z + length * bias * mean / (square.sqrt() + 1e-8)
    return z


def test_the_solver_is_adam_in_the_priors_own_units() -> None:
    model, y = conv_model(torch.float64).double(), normal((16, 3, 32, 32)).double()
    model.prior = GaussianPrior((6,)).double()
    model.prior.update(normal((200, 6)).double() @ torch.diag(torch.logspace(-1, 1, 6).double()), 1)
    A = Identity(16, (3, 32, 32))
    found, _ = solve(model, y, A, steps=12, chunk=16)
    expected = adam(model, y, A, 12, 0.3)
    assert (expected - model.mean_latent(16)).abs().max() > 0.1
    torch.testing.assert_close(found / model.prior.spread, expected / model.prior.spread,
                               atol=1e-5, rtol=1e-5)  # fmt: skip


@pytest.mark.parametrize("d", [5, 6, 33])
def test_a_solved_latent_has_the_same_bits_whatever_its_company(d: int) -> None:
    f = ConvGenerator((d,), (3, 16, 16), channels=8)
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    model, y = Model(f, GaussianPrior((d,)), Gaussian(0.3)), normal((40, 3, 16, 16))

    def answer(order: Tensor) -> Tensor:
        return solve(model, y[order], Identity(len(order), (3, 16, 16)), steps=20, chunk=16)[0]

    whole = answer(torch.arange(40))
    for order in (torch.arange(40).flip(0), torch.tensor([7]), torch.tensor([30, 7, 2])):
        assert torch.equal(answer(order), whole[order])


def test_the_nearest_known_latent_is_a_start_where_it_is_better_than_the_mean() -> None:
    model = conv_model()
    known = normal((9, 6)) * 3
    y, A = observe(model.network(known[[4, 7, 0]]).detach(), torch.rand(3, 1, 32, 32) < 0.3)
    found = nearest(model, y, A, known, chunk=16)
    assert torch.equal(found, known[[4, 7, 0]])
    y = model.network(torch.zeros(2, 6)).detach()
    assert torch.equal(nearest(model, y, Identity(2, (3, 32, 32)), known), torch.zeros(2, 6))
    z, _ = solve(model, y, Identity(2, (3, 32, 32)), start=torch.zeros(2, 6), steps=3)
    assert z.abs().max() < 0.5


class Wavy(LinearGenerator):
    """x = z + sin(8 z): rising on the whole, with dips that stop who comes from below."""

    def forward(self, z: Tensor) -> Tensor:
        return z + torch.sin(8 * z)

    def freeze(self):
        return lambda z: (self(z), lambda v: v * (1 + 8 * torch.cos(8 * z)))


def test_from_the_nearest_the_solver_finds_a_mode_that_it_misses_from_the_mean() -> None:
    model = Model(Wavy((1,), (1,)), StandardNormal((1,)), Gaussian(0.05))
    y, A = torch.tensor([[2.5], [-2.8], [3.0]]), Identity(3, (1,))
    blind, low = solve(model, y, A, rate=0.02)
    start = nearest(model, y, A, torch.linspace(-4, 4, 81)[:, None])
    found, high = solve(model, y, A, start=start, rate=0.02)
    assert (model.network(found) - y).abs().max() < 0.05
    assert (model.network(blind) - y).abs().min() > 0.5 and (high > low).all()


MANY = """
from abprop.inference import nearest
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.operators import Identity
from abprop.priors import StandardNormal

signal = (3, 64, 64)
network = LinearGenerator((2,), signal)
network.reset(torch.randn)
model = Model(network.requires_grad_(False), StandardNormal((2,)), Gaussian(1.0))
y, z = torch.randn(60, *signal), torch.randn(512, 2)
"""


def test_choosing_a_start_takes_no_more_memory_for_more_signals():
    """Each one is compared with 25 MB of candidates; what is freed must leave no holes."""
    few, many = (f"nearest(model, y[:{n}], Identity({n}, signal), z)" for n in (2, 60))
    assert grown(MANY, few, many) < 100  # MiB; 58 signals more left 1.1 GB of holes
