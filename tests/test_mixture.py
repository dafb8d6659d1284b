"""The mixture fitted to inferred latents."""

from __future__ import annotations

import pytest
import torch
from models import D, N, linear_model
from torch import Tensor
from torch.distributions import MultivariateNormal

from abprop import tasks
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.priors import Mixture
from abprop.priors.shaped.mixture import Components, fitted


def clusters(count: int, d: int = 3, seed: int = 0) -> Tensor:
    """Two clusters along the first axis, four of their deviations from the middle."""
    rows = torch.arange(count)
    z = Noise(seed, "clusters").at(rows).normal((d,))
    z[:, 0] = 0.5 * z[:, 0] + torch.where(rows % 3 == 0, -2.0, 2.0)
    return z


def some() -> Components:
    root = torch.tensor([[[0.5, 0.0], [0.3, 0.4]], [[1.0, 0.0], [-0.5, 0.2]]]).double()
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double()
    return Components(torch.tensor([0.3, 0.7]).double(), means, root @ root.mT)


def test_the_density_is_one_and_its_score_the_gradient() -> None:
    q, axis = some(), torch.linspace(-7, 7, 701).double()
    z = torch.cartesian_prod(axis, axis)
    assert abs(q.log_prob(z).exp().sum() * (axis[1] - axis[0]) ** 2 - 1) < 1e-5
    z = z[::997].requires_grad_(True)
    log_q = q.log_prob(z)
    told, grad = q.score(z.detach())
    torch.testing.assert_close(told, log_q.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(log_q.sum(), z)[0])


def test_draws_are_of_the_density() -> None:
    q = some()
    z = q.draw_each(Noise(0).at(torch.arange(60_000)))
    torch.testing.assert_close(z.mean(0), q.expected(1)[0], atol=0.02, rtol=0)
    share = ((z > 0).all(1)).double().mean()  # of a quadrant, by the density
    axis = torch.linspace(0.005, 7, 700).double()
    inside = q.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert abs(share - inside) < 0.01
    some_rows = torch.arange(100, 300)
    again = q.draw_each(Noise(0).at(some_rows))
    assert torch.equal(again, z[100:300]), "draws do not depend on their company"


def test_clusters_are_found_and_draws_are_in_them() -> None:
    prior = Mixture((3,)).double()
    z = 3 * clusters(1000) + 1
    prior.update(z, 1.0)
    assert between(prior) > 0.15, "a Gaussian has most where nothing is"
    before = prior.score(z)
    prior.remember(z)
    assert between(prior) < 0.02
    left = (drawn(prior)[:, 0] < 1).double().mean()
    assert abs(left - 1 / 3) < 0.03
    assert all(map(torch.equal, before, prior.score(z))), "latents are inferred as before"


@pytest.mark.parametrize("course", ["near", "prior"])
def test_log_p_is_that_of_what_draws_are_of(course: str) -> None:
    model, rows = linear_model(0.5), torch.arange(12)
    prior = Mixture((D,)).double()
    prior.update(2 * clusters(1000, D) + 1, 1.0)
    prior.remember(2 * clusters(1000, D) + 1)
    model.prior = prior
    q = prior.law
    assert isinstance(q, Components) and len(q.weights) > 1
    y = model.network(prior.draw(Noise(3), 12))
    y = y + 0.5 * Noise(4, "noise").at(rows).normal((N,))
    W = model.network(torch.eye(D).double()) - model.network(torch.zeros(1, D).double())
    root = W.T @ prior.root
    each = [
        weight.log() + MultivariateNormal(
            model.network(prior.mean + m @ prior.root.T)[0],
            root @ r @ r.T @ root.T + 0.25 * torch.eye(N),
        ).log_prob(y)
        for weight, m, r in zip(q.weights, q.means[:, None], q.roots, strict=True)
    ]  # fmt: skip
    exact = torch.stack(each).logsumexp(0)
    how = tasks.Annealing(course, {"near": 100, "prior": 400}[course], 16)
    told = tasks.log_likelihood(model, y, Identity(12, (N,)), rows, how).found
    assert (told.nats - exact).abs().mean() < 0.1
    below, above = tasks.sandwich(model, Identity(12, (N,)), rows, how)
    gap = above.found.nats - below.found.nats
    assert abs(gap.mean()) < 3 * (above.found.se + below.found.se).square().mean().sqrt() + 0.02


def drawn(prior: Mixture) -> Tensor:
    return prior.draw(Noise(7), 2000)


def between(prior: Mixture) -> float:
    """Share of the draws that are in the gap."""
    return ((drawn(prior)[:, 0] - 1) / 3).abs().lt(0.5).double().mean().item()


def test_copies_of_an_example_do_not_stand_for_others() -> None:
    u = Noise(0, "few").at(torch.arange(151)).normal((4,)).float()
    copies = torch.cat([u + 0.01 * Noise(k, "copy").at(torch.arange(151)).normal((4,)).float()
                        for k in range(20)])  # fmt: skip
    assert len(fitted(copies, 151).weights) <= 3
    assert len(fitted(copies, len(copies)).weights) > 3, "taken for examples they tell each other"


def test_few_examples_are_told_by_one_gaussian() -> None:
    u = Noise(0, "few").at(torch.arange(12)).normal((40,)).float()
    assert len(fitted(u, 12).weights) == 1
