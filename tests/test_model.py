import pytest
import torch

from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import PRIORS, Shaped


def build(network: str, prior: str) -> Model:
    signal = (2, 16, 16)
    if network == "linear":
        f = LinearGenerator((4,), signal)
    else:
        f = ConvGenerator((4,) if network == "conv" else (3, 4, 4), signal, channels=4,
                          dtype=torch.float64)  # fmt: skip
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    model = Model(f, PRIORS[prior](f.latent_shape), Gaussian(0.3)).double()
    model.prior.update(torch.randn(99, *f.latent_shape, dtype=torch.float64) * 1.5 + 0.3, 1.0)
    return model


@pytest.mark.parametrize("hide", [False, True])
@pytest.mark.parametrize("prior", [name for name in PRIORS if name != "markov"])
@pytest.mark.parametrize("network", ["linear", "conv", "map"])
def test_score_equals_autograd_of_log_joint(network: str, prior: str, hide: bool) -> None:
    if network == "map" and issubclass(PRIORS[prior], Shaped):
        pytest.skip("over vectors only")
    model = build(network, prior)
    z = torch.randn(5, *model.network.latent_shape, dtype=torch.float64, requires_grad=True)
    y = torch.randn(5, 2, 16, 16, dtype=torch.float64)
    y, A = observe(y, torch.rand(5, 1, 16, 16) < 0.5 if hide else None)
    log_p = model.log_joint(y, z, A)
    assert log_p.shape == (5,)
    (grad,) = torch.autograd.grad(log_p.sum(), z)
    fast_log_p, fast_grad = model.score(y, A)(z.detach())
    torch.testing.assert_close(fast_log_p, log_p.detach())
    torch.testing.assert_close(fast_grad, grad)


@pytest.mark.parametrize("network", ["linear", "conv", "map"])
def test_folding_keeps_the_signal_and_gives_back_a_standard_prior(network: str) -> None:
    model = build(network, "gaussian")
    z = model.prior.draw(Noise(0, "draws"), 4000)
    folded, white = model.folded(), model.fold_latents(z)
    torch.testing.assert_close(folded.network(white[:5]), model.network(z[:5]))
    if network != "map":
        assert (torch.cov(white.T) - torch.eye(4)).abs().max() < 0.1
        assert white.mean(0).abs().max() < 0.1
