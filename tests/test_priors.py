import pytest
import torch
from torch.distributions import MultivariateNormal

from abprop.errors import UserError
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.priors import PRIORS, Gaussian, Shaped

SHAPES = [(1,), (5,), (3, 4, 4), (2, 7), (2, 3, 3, 3)]


def fitted(name: str, shape: tuple[int, ...]) -> torch.nn.Module:
    if name == "markov" and (len(shape) == 1 or min(shape[1:]) < 4):
        pytest.skip("no neighbours")
    if issubclass(PRIORS[name], Shaped) and len(shape) > 1:
        pytest.skip("over vectors only")
    prior = PRIORS[name](shape).double()
    torch.manual_seed(0)
    z = torch.randn(50, *shape, dtype=torch.float64) * 1.7 + 0.4
    prior.update(z, 0.8)
    prior.remember(z, None)
    return prior


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_score_is_the_gradient_of_log_prob(name: str, shape: tuple[int, ...]) -> None:
    prior, z = fitted(name, shape), torch.randn(4, *shape, dtype=torch.float64)
    z.requires_grad_(True)
    log_p = prior.log_prob(z)
    assert log_p.shape == (4,)
    (grad,) = torch.autograd.grad(log_p.sum(), z)
    torch.testing.assert_close(prior.score(z.detach())[1], grad)


@pytest.mark.parametrize("name", [name for name in PRIORS if name != "learned"])
@pytest.mark.parametrize("shape", SHAPES)
def test_log_prob_is_torchs(name: str, shape: tuple[int, ...]) -> None:
    prior, z = fitted(name, shape), torch.randn(4, *shape, dtype=torch.float64)
    mean = getattr(prior, "mean", torch.zeros(shape[0]).double())
    root = getattr(prior, "root", torch.eye(shape[0]).double())
    exact = MultivariateNormal(mean, scale_tril=root).log_prob(z.movedim(1, -1))
    torch.testing.assert_close(prior.log_prob(z), exact.reshape(4, -1).sum(1))


@pytest.mark.parametrize("shape", SHAPES)
def test_gaussian_update_is_the_sample_mean_and_covariance(shape: tuple[int, ...]) -> None:
    prior, z = Gaussian(shape).double(), torch.randn(60, *shape, dtype=torch.float64) * 2 - 1
    prior.update(z, 1.0)
    rows = z.movedim(1, -1).reshape(-1, shape[0])
    torch.testing.assert_close(prior.mean, rows.mean(0))
    torch.testing.assert_close(
        prior.covariance, torch.cov(rows.T, correction=0).reshape(2 * shape[:1])
    )


def test_gaussian_draws_have_its_moments() -> None:
    prior = fitted("gaussian", (4,))
    x = prior.draw_each(Noise(0).at(torch.arange(200_000)))
    assert (x.mean(0) - prior.mean).abs().max() < 0.02
    assert (torch.cov(x.T) - prior.root @ prior.root.T).abs().max() < 0.06


def test_what_gaussian_remembers_is_of_examples_and_not_of_their_copies() -> None:
    torch.manual_seed(0)
    z = torch.cat((torch.randn(10, 3) * 2 + 1, torch.randn(30, 3)))
    prior, own = Gaussian((3,)), Gaussian((3,))
    prior.update(z, 1.0)
    own.update(z[:10], 1.0)
    both = prior.covariance.clone()
    prior.remember(z, None, 40)  # there are no copies
    prior.remember(z, None, 5)  # too few to tell a covariance of three factors
    prior.remember(z)
    assert torch.equal(prior.covariance, both)
    prior.remember(z, None, 10)
    assert torch.equal(prior.covariance, own.covariance) and torch.equal(prior.mean, own.mean)


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_a_vectors_normal_law_may_be_wider(name: str, shape: tuple[int, ...]) -> None:
    prior = fitted(name, shape)
    before = {key: value.clone() for key, value in prior.state_dict().items()}
    wider = prior.widened(1.5)
    assert prior.width == 1 and prior.widened(1.0) is prior
    assert all(torch.equal(value, before[key]) for key, value in prior.state_dict().items())
    if name not in ("gaussian", "mixture") or len(shape) > 1:
        assert wider is prior and not prior.widens
        return
    one, two = (p.draw(Noise(0), 50) - prior.mean for p in (prior, wider))
    assert prior.widens and wider.width == 1.5 and torch.allclose(1.5 * one, two)
    z = prior.mean + torch.randn(20, *shape, dtype=torch.float64)
    law = MultivariateNormal(prior.mean, scale_tril=1.5 * prior.root)
    assert torch.allclose(wider.log_prob(z), law.log_prob(z))
    assert torch.allclose(wider.widened(3.0).root, 3 * prior.root)  # of 1, not of 1.5
    assert torch.allclose(wider.covariance, 1.5**2 * prior.covariance)
    assert wider.widened(0.0).root.diagonal().min() > 0  # a damaged manifest may say anything


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_own_latents_tell_the_shape_of_a_prior_whose_width_was_told(name: str) -> None:
    torch.manual_seed(0)
    spread = torch.tensor([1.5, 0.5])
    z = torch.cat((torch.randn(300, 2) * spread, torch.randn(600, 2)))
    prior = PRIORS[name]((2,))
    prior.update(z, 1.0)
    wider, all_of_them = prior.widened(1.5), prior.root.clone()
    wider.remember(z, None, 300)
    draws = (wider.draw(Noise(0), 4000) - wider.mean).float()
    shape, own = torch.cov(draws.T), torch.cov(z[:300].T)
    assert torch.allclose(shape / shape.trace(), own / own.trace(), atol=0.02)
    white = torch.linalg.solve_triangular(all_of_them, draws.T, upper=False)
    assert white.square().mean().sqrt() == pytest.approx(1.5, rel=0.05)
    assert prior.width == 1


def test_maps_stay_as_they_were_learned() -> None:
    prior, z = Gaussian((2, 4, 4)), torch.randn(40, 2, 4, 4)
    prior.update(z, 1.0)
    before = {key: value.clone() for key, value in prior.state_dict().items()}
    prior.remember(2 * z, None, 20)
    assert all(torch.equal(value, before[key]) for key, value in prior.state_dict().items())


@pytest.mark.parametrize("name", ["mixture", "learned"])
def test_shaped_priors_remember_as_gaussian_does(name: str) -> None:
    torch.manual_seed(0)
    z = torch.cat((torch.randn(60, 2) * 2 + 1, torch.randn(120, 2)))
    prior, gaussian = PRIORS[name]((2,)), Gaussian((2,))
    for one in (prior, gaussian):
        one.update(z, 1.0)
    state = {key: value.clone() for key, value in prior.state_dict().items()}
    for one in (prior, gaussian):
        one.remember(z, None, 60)
    moments = gaussian.state_dict()
    for key, value in prior.state_dict().items():
        assert torch.equal(value, moments.get(key, state[key])), key
    draws = prior.draw(Noise(0), 4000)
    assert (draws.std(0) > 1.5).all(), "as wide as the examples, without their copies"


def test_gaussian_running_average_forgets_the_start() -> None:
    prior = Gaussian((3,)).double()
    scale = torch.tensor([0.5, 2.0, 1.0], dtype=torch.float64)
    for i in range(400):
        torch.manual_seed(i)
        prior.update(torch.randn(64, 3, dtype=torch.float64) * scale + 1, 0.05)
    assert (prior.mean - 1).abs().max() < 0.15
    assert (prior.covariance.diagonal().sqrt() / scale - 1).abs().max() < 0.1


@pytest.mark.parametrize("name", PRIORS)
@pytest.mark.parametrize("shape", SHAPES)
def test_draws_are_of_the_shape_and_expected_is_their_mean(name: str, shape: tuple[int, ...]):
    prior = fitted(name, shape)
    assert prior.draw(Noise(0), 3).shape == (3, *shape)
    many = prior.draw_each(Noise(0).at(torch.arange(4000)))
    assert (many.mean(0) - prior.expected(1)[0]).abs().max() < 0.15
    assert torch.equal(prior.draw(Noise(0), 2), prior.draw(Noise(0), 3)[:2])


@pytest.mark.parametrize("name", PRIORS)
def test_folding_moves_the_prior_into_f_and_leaves_draws_as_they_are(name: str) -> None:
    prior, f = fitted(name, (3,)), LinearGenerator((3,), (5,)).double()
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    z = prior.draw(Noise(1), 500)
    x, u = f(z), prior.folded(z)
    left = prior.fold(f)
    torch.testing.assert_close(f(u), x)
    torch.testing.assert_close(left.draw(Noise(1), 500), u)
    torch.testing.assert_close(left.spread * torch.ones(3).double(), torch.ones(3).double())
    torch.testing.assert_close(prior.draw(Noise(1), 500), z)  # who is folded stays
    apart = prior.log_prob(z) - left.log_prob(u)  # densities differ by the volume, a constant
    torch.testing.assert_close(apart, apart[:1].expand(500))


@pytest.mark.parametrize("name", [name for name in PRIORS if issubclass(PRIORS[name], Shaped)])
def test_a_prior_over_vectors_refuses_maps(name: str) -> None:
    with pytest.raises(UserError, match=f"model.prior={name}: needs a vector of latents, not a ma"):
        PRIORS[name]((3, 4, 4))


@pytest.mark.parametrize("name", PRIORS)
def test_a_larger_map_contains_the_smaller_one(name: str):
    prior = fitted(name, (3, 4, 4))
    small, large = prior.draw(Noise(0), 1), prior.draw(Noise(0), 1, (6, 9))
    torch.testing.assert_close(large[:, :, :4, :4], small)
