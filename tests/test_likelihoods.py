import math

import pytest
import torch
from torch.distributions import Normal

from abprop.errors import AbpropError
from abprop.likelihoods import Gaussian


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
