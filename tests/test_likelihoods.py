import math

import pytest
import torch
from torch.distributions import Gamma, Normal

from abprop.errors import AbpropError
from abprop.likelihoods import LIKELIHOODS, RANGE, Gaussian, Spectral, spread


def test_log_prob_is_summed_within_an_example() -> None:
    y, x = (
        torch.randn(3, 2, 4, 4, dtype=torch.float64),
        torch.randn(3, 2, 4, 4, dtype=torch.float64),
    )
    likelihood = Gaussian(0.4).double()
    got = likelihood.log_prob(y, x, torch.full((3,), 32.0))
    exact = Normal(x, likelihood.sigma).log_prob(y).flatten(1).sum(1)
    torch.testing.assert_close(got, exact)


def test_score_is_the_gradient_of_log_prob() -> None:
    y, x = torch.randn(3, 7, dtype=torch.float64), torch.randn(3, 7, dtype=torch.float64)
    x.requires_grad_(True)
    likelihood, count = Gaussian(0.3).double(), torch.full((3,), 7.0)
    log_p, grad = likelihood.score(y, x.detach(), count)
    expected = likelihood.log_prob(y, x, count)
    torch.testing.assert_close(log_p, expected.detach())
    torch.testing.assert_close(grad, torch.autograd.grad(expected.sum(), x)[0])


def test_unequal_shapes_are_refused_not_broadcast() -> None:
    with pytest.raises(AbpropError, match=r"y has shape \(3, 1\) but A\(x\) has \(3, 4\)"):
        Gaussian().log_prob(torch.zeros(3, 1), torch.zeros(3, 4), torch.ones(3))


def test_sigma_step_is_the_root_mean_square_and_is_floored() -> None:
    likelihood = Gaussian(1.0, floor=0.1)
    likelihood.update(0.25)
    assert math.isclose(likelihood.sigma.item(), 0.5, rel_tol=1e-6)
    likelihood.update(0.09, rate=0.5)
    assert math.isclose(likelihood.sigma.item(), math.sqrt(0.17), rel_tol=1e-6)
    likelihood.update(0.0)
    assert math.isclose(likelihood.sigma.item(), 0.1, rel_tol=1e-6)


def test_a_sigma_in_double_precision_takes_its_step_in_it() -> None:
    likelihood = Gaussian(1.0).double()
    likelihood.update(0.1)
    assert math.isclose(likelihood.sigma.item(), math.sqrt(0.1), rel_tol=1e-14)


def test_a_power_over_its_variance_is_gamma() -> None:
    """Exact check: the density of y is that of the logarithm of a Gamma variable."""
    for k in (0.5, 1.0, 3.0):
        likelihood = Spectral(spread(k)).double()
        torch.testing.assert_close(likelihood.k, torch.tensor(k).double(), rtol=1e-6, atol=0)
        y = torch.randn(4, 3, dtype=torch.float64) / 3
        x = torch.randn(4, 3, dtype=torch.float64) / 3
        power = torch.exp(RANGE * (y - x))
        density = Gamma(k, k, validate_args=False).log_prob(power) + RANGE * (y - x)
        exact = (density + math.log(RANGE)).sum(1)
        got = likelihood.log_prob(y, x, torch.full((4,), 3.0))
        torch.testing.assert_close(got, exact, rtol=1e-6, atol=1e-6)


def test_the_spread_of_a_logarithm_of_a_power() -> None:
    g = torch.distributions.Exponential(1.0).sample((200_000,)).log() / RANGE
    assert math.isclose(g.std().item(), spread(1.0), rel_tol=0.01)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_every_score_is_the_gradient(name: str) -> None:
    y, x = (torch.randn(3, 7, dtype=torch.float64) / 2 for _ in range(2))
    likelihood, count = LIKELIHOODS[name](0.3).double(), torch.full((3,), 7.0)
    grad = likelihood.score(y, x, count)[1]
    x.requires_grad_(True)
    torch.testing.assert_close(
        grad, torch.autograd.grad(likelihood.log_prob(y, x, count).sum(), x)[0]
    )
    y[:, 3:], x = 0, x.detach().clone()
    x[:, 3:] = 0  # nothing was measured there
    some, grad = likelihood.score(y, x, torch.full((3,), 3.0))
    torch.testing.assert_close(some, likelihood.log_prob(y[:, :3], x[:, :3], torch.full((3,), 3.0)))
    assert not grad[:, 3:].any()


def test_a_known_spread_stays() -> None:
    likelihood = Spectral(spread(0.5))
    likelihood.update(0.01)
    assert math.isclose(likelihood.sigma.item(), spread(0.5), rel_tol=1e-6)
