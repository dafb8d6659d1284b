import math

import pytest
import torch
from sklearn.decomposition import PCA

from abprop.alternate import Batch, alternate
from abprop.inference import GradientAscent, Kernel, Langevin, State
from abprop.latents import Latents
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import Gaussian as GaussianPrior
from abprop.priors import StandardNormal

LANGEVIN = Langevin()


def normal(shape: tuple[int, ...]) -> torch.Tensor:
    return Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0]


def ppca_data(n: int, d: int, D: int, sigma: float) -> torch.Tensor:
    torch.manual_seed(0)
    W = torch.randn(D, d, dtype=torch.float64) * torch.linspace(1.5, 0.7, d)
    return torch.randn(n, d).double() @ W.T + sigma * torch.randn(n, D).double() + torch.randn(D)


def learn_linear(y: torch.Tensor, hidden: torch.Tensor | None, d: int, iterations: int) -> Model:
    n, D = y.shape
    network = LinearGenerator((d,), (D,)).double()
    network.reset(normal)
    model = Model(network, StandardNormal((d,)), Gaussian(1.0)).double()
    ids = torch.arange(n)
    latents = Latents(ids, State.begin(torch.zeros(n, d).double()))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.05)
    clean, A = observe(y, hidden)
    batches = (Batch(ids, clean, A) for _ in range(iterations))
    for step in alternate(model, latents, batches, Langevin(0.05), optimizer, steps=10,
                          noise=Noise(0), chunk=n):  # fmt: skip
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * 0.5 * (1 + math.cos(math.pi * step.t / iterations)) + 1e-4
        with torch.no_grad():
            residual = clean - A(network(latents.z))
            model.likelihood.update(residual.square().sum() / A.count.sum(), rate=0.05)
    return model


def cosines(model: Model, components: torch.Tensor) -> torch.Tensor:
    q, _ = torch.linalg.qr(model.network.weight.detach())
    return torch.linalg.svdvals(q.T @ components.T)


def test_a_linear_generator_learns_ppcas_subspace_and_likelihood() -> None:
    d, D = 3, 10
    y = ppca_data(1500, d, D, 0.5)
    model, pca = learn_linear(y, None, d, 400), PCA(d).fit(y.numpy())
    assert cosines(model, torch.from_numpy(pca.components_)).min() > 0.995
    W, b = model.network.weight.detach(), model.network.bias.detach()
    C = W @ W.T + model.likelihood.sigma**2 * torch.eye(D)
    learnt = torch.distributions.MultivariateNormal(b, C).log_prob(y).mean().item()
    best = pca.score(y.numpy())
    assert best - 0.01 * D < learnt <= best + 1e-9  # 0.01 nat a dimension from the optimum


def test_the_generating_subspace_is_found_with_two_fifths_hidden() -> None:
    d, D = 3, 12
    y = ppca_data(1500, d, D, 0.3)
    complete = PCA(d).fit(y.numpy())
    hidden = torch.rand(y.shape) < 0.4
    y[hidden] = float("nan")
    model = learn_linear(y, hidden, d, 400)
    assert cosines(model, torch.from_numpy(complete.components_)).min() > 0.99


def small_run(
    passes: list[int] | None = None, chunk: int = 8, kernel: Kernel = LANGEVIN, chains: int = 1
) -> tuple[Model, Latents, list]:
    """Three batches of forty examples, the last four of which are in none."""
    network = ConvGenerator((4,), (1, 16, 16), channels=4)
    network.reset(normal)
    model = Model(network, GaussianPrior((4,)), Gaussian(0.3))
    if passes is not None:
        count_passes(network, passes)
    ids = torch.arange(40)
    start = Noise(0, "start").at(ids).normal((4,)).float()
    latents = Latents(ids, State.begin(start.repeat_interleave(chains, 0)))
    y, A = observe(Noise(0, "y").at(ids).normal((1, 16, 16)).float(), None)
    batches = [Batch(ids[i], y[i], A[i]) for i in (ids[:16], ids[16:32], ids[4:36])]
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    steps = list(alternate(model, latents, batches, kernel, optimizer, steps=5,
                           noise=Noise(0), chunk=chunk))  # fmt: skip
    return model, latents, steps


def count_passes(network: ConvGenerator, passes: list[int]) -> None:
    network.register_forward_hook(lambda *_: passes.append(0))
    freeze = network.freeze

    def counted():
        f = freeze()
        return lambda z: (passes.append(0), f(z))[1]

    network.freeze = counted


def test_an_iteration_is_l_plus_one_passes_and_no_more() -> None:
    passes: list[int] = []
    small_run(passes, chunk=32, kernel=Langevin(0.05))
    assert len(passes) == 3 * (5 + 1)


def test_looking_at_the_curvature_costs_two_passes_and_three_at_a_first_visit() -> None:
    passes: list[int] = []
    small_run(passes, chunk=32)
    assert len(passes) == 3 * (5 + 1) + 3 * 3
    again: list[int] = []
    model, latents, _ = small_run()
    count_passes(model.network, again)
    ids, y = torch.arange(16), torch.zeros(16, 1, 16, 16)
    batches = [Batch(ids, *observe(y, None))]
    optimizer = torch.optim.SGD(model.network.parameters(), lr=0.0)
    list(alternate(model, latents, batches, LANGEVIN, optimizer, steps=5, noise=Noise(0)))
    assert len(again) == (5 + 1) + 2


def test_chains_persist_and_only_those_of_the_batches_move() -> None:
    _, latents, steps = small_run()
    assert [s.t for s in steps] == [0, 1, 2]
    start = Noise(0, "start").at(torch.arange(40)).normal((4,)).float()
    moved = ~torch.isclose(latents.z, start).all(1)
    assert moved[:36].all() and not moved[36:].any()
    assert latents.state.age.tolist() == [5] * 4 + [10] * 28 + [5] * 4 + [0] * 4


def test_modes_do_not_move_the_prior() -> None:
    langevin, _, _ = small_run()
    modes, _, _ = small_run(kernel=GradientAscent())
    assert not torch.equal(langevin.prior.covariance, torch.eye(4))
    assert torch.equal(modes.prior.covariance, torch.eye(4))


def test_learning_averages_over_the_chains_of_an_example() -> None:
    one, _, _ = small_run()
    several, latents, steps = small_run(chains=3)
    assert latents.chains == 3 and len(steps[0].info.s) == 3 * 16 and len(steps[0].ids) == 3 * 16
    z = latents.z.reshape(40, 3, 4)
    assert not torch.isclose(z[:36, 0], z[:36, 1]).all(1).any()  # each has its own noise
    moved = (several.network.dense - one.network.dense).norm()
    fresh = ConvGenerator((4,), (1, 16, 16), channels=4)
    fresh.reset(normal)
    step = (one.network.dense - fresh.dense).norm()
    assert 0 < moved < 0.5 * step  # the same step of learning, of other draws


def test_a_step_tells_the_residual_of_what_was_measured() -> None:
    model, latents, _ = small_run()
    ids = torch.arange(32)
    y, A = observe(normal((32, 1, 16, 16)).float(), torch.rand(32, 1, 16, 16) < 0.5)
    optimizer = torch.optim.SGD(model.network.parameters(), lr=0.0)
    (step,) = alternate(model, latents, [Batch(ids, y, A)], LANGEVIN, optimizer, steps=2,
                        noise=Noise(0), chunk=16)  # fmt: skip
    x = A(model.network(latents[ids].z)).detach()
    torch.testing.assert_close(step.residual, (y - x).square().sum() / A.count.sum())


def test_the_same_run_has_the_same_bits_whatever_the_global_seed() -> None:
    results = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        model, latents, _ = small_run()
        results.append((model.network.dense.detach().clone(), latents.z.clone()))
    assert torch.equal(results[0][0], results[1][0])
    assert torch.equal(results[0][1], results[1][1])


def test_the_learning_gradient_does_not_depend_on_the_chunk() -> None:
    whole, _, _ = small_run(chunk=32)
    split, _, _ = small_run(chunk=16)  # the third batch goes through in two parts
    torch.testing.assert_close(split.network.dense, whole.network.dense, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("chunk, parts", [(16, 3), (32, 2), (48, 1)])
def test_ws_gradient_is_that_of_the_mean_log_joint_in_however_many_chunks(
    chunk: int, parts: int
) -> None:
    model, _, _ = small_run()
    ids, passes = torch.arange(40), []
    hidden = torch.rand(40, 1, 16, 16) < torch.linspace(0, 0.9, 40)[:, None, None, None]
    y, A = observe(Noise(0, "y").at(ids).normal((1, 16, 16)).float(), hidden)
    latents = Latents(ids, State.begin(Noise(0, "z").at(ids).normal((4,)).float()))
    weights = list(model.network.parameters())
    loss = -model.log_joint(y, latents.z, A).sum() / 40
    expected = torch.autograd.grad(loss, weights)
    before = [w.detach().clone() for w in weights]
    count_passes(model.network, passes)
    (step,) = alternate(model, latents, [Batch(ids, y, A)], LANGEVIN,
                        torch.optim.SGD(weights, lr=1e-3), steps=0, noise=Noise(0),
                        chunk=chunk)  # fmt: skip
    assert len(passes) == parts
    for w, old, grad in zip(weights, before, expected, strict=True):
        moved = (old - w.detach()) / 1e-3
        torch.testing.assert_close(moved, grad, atol=2e-3 * grad.abs().max().item(), rtol=0)
    torch.testing.assert_close(step.loss, loss.detach())
