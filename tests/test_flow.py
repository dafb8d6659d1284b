"""The flow that is learned with the network: exact density, exact draws, and what it finds."""

from __future__ import annotations

import pytest
import torch
from test_mixture import clusters
from torch import Tensor

from abprop.distributed import Shards
from abprop.noise import Noise
from abprop.priors import Flow, Gaussian
from abprop.priors.shaped.flow import Couplings
from abprop.priors.shaped.splines import BOUND, NUMBERS, bent, straightened


def uneven(d: int) -> Couplings:
    """A law that is far from normal."""
    begun = Flow((d,)).double()
    normal = Noise(4, "uneven").at(torch.zeros(1)).normal((len(begun.weights),))[0]
    return Couplings(0.2 * normal, begun.turns)


def learned(z: Tensor, iterations: int) -> Flow:
    prior, order = Flow(z.shape[1:]), Noise(0, "order")
    prior.update(z, 1.0)
    for t in range(iterations):
        prior.update(z[order.permutation(len(z), t)[:64]], 64 / len(z))
    return prior


# Curves ---------------------------------------------------------------------------------------


def test_curves_rise_and_have_inverses_and_slopes() -> None:
    x = torch.linspace(-5, 5, 1001).double().requires_grad_(True)
    numbers = 2 * Noise(0, "curve").at(torch.zeros(1)).normal((NUMBERS,))
    y, slope = bent(x, numbers.expand(1001, -1))
    (grad,) = torch.autograd.grad(y.sum(), x)
    assert (y.diff() > 0).all()
    torch.testing.assert_close(slope.exp(), grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(straightened(y, numbers.expand(1001, -1)), x, rtol=0, atol=1e-8)
    outside = x.abs() >= BOUND
    assert torch.equal(y[outside], x[outside]) and (y - x).abs().max() > 0.1


def test_curves_of_zeros_are_straight() -> None:
    x = torch.linspace(-5, 5, 101).double()
    y, slope = bent(x, torch.zeros(101, NUMBERS).double())
    torch.testing.assert_close(y, x)
    torch.testing.assert_close(slope, torch.zeros(101).double(), atol=1e-12, rtol=0)


# Density and draws ----------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 2, 5])
def test_at_first_it_is_the_gaussian(d: int) -> None:
    z = 2 * torch.randn(50, d, generator=torch.Generator().manual_seed(0)).double() + 1
    plain, flow = Gaussian((d,)).double(), Flow((d,)).double()
    for prior in (plain, flow):
        Gaussian.update(prior, z, 1.0)  # type: ignore[arg-type]
    torch.testing.assert_close(flow.log_prob(z), plain.log_prob(z))
    torch.testing.assert_close(flow.score(z)[1], plain.score(z)[1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_the_density_is_that_of_the_draws(d: int) -> None:
    q, normal = uneven(d), Noise(0).at(torch.arange(300)).normal((d,))
    z = q.draw_each(Noise(0).at(torch.arange(300)))
    n, volume = q.whitened(z)
    torch.testing.assert_close(n, normal, atol=1e-6, rtol=0)
    jacobians = torch.autograd.functional.jacobian(lambda v: q.whitened(v)[0].sum(0), z)
    torch.testing.assert_close(volume, torch.linalg.det(jacobians.movedim(1, 0)).abs().log())
    assert torch.equal(q.draw_each(Noise(0).at(torch.arange(100, 200))), z[100:200])


def test_the_density_is_one() -> None:
    q, axis = uneven(2), torch.linspace(-6, 6, 401).double()
    z = torch.cartesian_prod(axis, axis)
    assert abs(q.log_prob(z).exp().sum() * (axis[1] - axis[0]) ** 2 - 1) < 5e-3


# Learning -------------------------------------------------------------------------------------


def test_two_clusters_are_found() -> None:
    z, unseen = clusters(1200).float(), clusters(500, seed=1).float()
    flow, plain = learned(z, 700), Gaussian((3,))
    plain.update(z, 1.0)
    assert flow.log_prob(unseen).mean() > plain.log_prob(unseen).mean() + 0.4

    def between(prior: Gaussian) -> float:
        return (prior.draw(Noise(3), 2000)[:, 0].abs() < 0.7).double().mean().item()

    assert between(flow) < 0.4 * between(plain)


def test_what_is_gaussian_stays_so() -> None:
    z = Noise(0, "round").at(torch.arange(300)).normal((20,)).float()
    unseen = Noise(1, "round").at(torch.arange(1000)).normal((20,)).float()
    flow, plain = learned(z, 400), Gaussian((20,))
    plain.update(z, 1.0)
    assert flow.log_prob(unseen).mean() > plain.log_prob(unseen).mean() - 0.5


def test_shards_sum_exactly_in_any_order() -> None:
    z = clusters(64).float()

    def stepped(rows: Tensor) -> Tensor:
        prior, shards = Flow((3,)), Shards(64, 4, exact=True)
        for _ in range(3):
            prior.update(rows, 0.5, whole=shards.every())
        return prior.weights

    turned = z.view(4, 16, 3).flip(0).reshape(64, 3)
    assert torch.equal(stepped(z), stepped(turned))


def test_its_state_is_all_in_its_tensors() -> None:
    z = clusters(64).float()
    whole, begun = learned(z, 6), learned(z, 3)
    other = Flow((3,))
    other.load_state_dict(begun.state_dict())
    order = Noise(0, "order")
    for t in range(3, 6):
        other.update(z[order.permutation(64, t)[:64]], 1.0)
    assert all(map(torch.equal, other.state_dict().values(), whole.state_dict().values()))
