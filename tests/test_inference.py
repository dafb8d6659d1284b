import copy
import inspect

import pytest
import torch
from scipy.stats import chi2
from torch import Tensor

from abprop.inference import KERNELS, GradientAscent, Langevin, State, chunks, infer, solve
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity, Operator, observe
from abprop.priors import StandardNormal

D, N = 4, 12


def linear_model(sigma: float = 0.5) -> Model:
    f = LinearGenerator((D,), (N,)).double()
    f.reset(lambda shape: 10 * Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    return Model(f, StandardNormal((D,)), Gaussian(sigma)).double()


def conv_model(dtype: torch.dtype = torch.float32) -> Model:
    f = ConvGenerator((6,), (3, 32, 32), channels=8, dtype=dtype)
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    return Model(f, StandardNormal((6,)), Gaussian(0.3))


def exact_posterior(model: Model, y: Tensor, A: Operator) -> tuple[Tensor, Tensor]:
    """Mean (D,) and covariance (D, D) of z given one example's y."""
    W = (
        A[torch.zeros(N, dtype=torch.int64)](torch.eye(N, dtype=torch.float64))
        @ model.network.weight
    )
    precision = torch.eye(D) + W.T @ W / model.likelihood.sigma**2
    covariance = torch.linalg.inv(precision)
    return covariance @ W.T @ y / model.likelihood.sigma**2, covariance


@pytest.mark.parametrize("hide", [False, True])
def test_langevin_samples_the_exact_posterior_of_a_linear_generator(hide: bool) -> None:
    model, chains, visits = linear_model(), 600, 30
    y = torch.randn(1, N, dtype=torch.float64)
    hidden = (torch.arange(N) % 3 == 0)[None] if hide else None
    y, A = observe(y, hidden)
    mean, covariance = (v.detach() for v in exact_posterior(model, y[0], A))
    state = State(torch.zeros(chains, D, dtype=torch.float64), torch.full((chains,), 0.08).double())
    rows, kernel, kept = torch.zeros(chains, dtype=torch.int64), Langevin(step_size=0.08), []
    for t in range(2 * visits):
        noise = Noise(1).at(torch.arange(chains), t)
        state, _ = infer(model, y[rows], A[rows], state, kernel, steps=60, noise=noise, chunk=600)
        kept += [state.z] if t >= visits else []
    z = torch.cat(kept)
    error, n = z.mean(0) - mean, len(z) / 2  # successive visits are nearly independent
    assert n * error @ torch.linalg.solve(covariance, error) < chi2.ppf(0.9999, D)
    # The unadjusted chain's own bias is about s^2 |H| / 4 of the variance.
    assert (torch.cov(z.T) - covariance).abs().max() < 0.05 * covariance.diagonal().max()


def test_gradient_ascent_and_the_solver_find_the_exact_mode() -> None:
    model = linear_model()
    y, A = torch.randn(7, N, dtype=torch.float64), Identity(7, (N,))
    modes = torch.stack([exact_posterior(model, v, A)[0] for v in y]).detach()
    state = State(torch.zeros(7, D, dtype=torch.float64), torch.full((7,), 0.1).double())
    noise = Noise(0).at(torch.arange(7))
    state, _ = infer(model, y, A, state, GradientAscent(), steps=800, noise=noise, chunk=16)
    torch.testing.assert_close(state.z, modes, atol=1e-4, rtol=1e-3)
    z, log_p = solve(model, y, A, steps=300, chunk=16)
    torch.testing.assert_close(z, modes, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(log_p, model.log_joint(y, modes, A).detach(), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_follow_the_protocol(name: str) -> None:
    kernel = KERNELS[name](step_size=0.1)
    assert list(inspect.signature(kernel.move).parameters) == ["z", "grad", "s", "noise", "k"]
    z = torch.randn(3, 2, 5)
    s, noise = torch.full((3, 1, 1), 0.1), Noise(0).at(torch.arange(3))
    assert kernel.move(z, torch.zeros_like(z), s, noise, 0).shape == z.shape
    still = kernel.move(z, torch.ones_like(z), torch.zeros_like(s), noise, 0)
    assert torch.equal(still, z)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", KERNELS)
def test_an_answer_has_the_same_bits_whatever_its_company(name: str, dtype: torch.dtype) -> None:
    model, kernel, ids = conv_model(dtype), KERNELS[name](), torch.arange(40)
    y, z = torch.randn(40, 3, 32, 32), torch.randn(40, 6)

    def answer(order: Tensor) -> State:
        state = State(z[order], torch.full((len(order),), 0.02))
        noise = Noise(0).at(ids[order], t=3)
        A = Identity(len(order), (3, 32, 32))
        return infer(model, y[order], A, state, kernel, steps=4, noise=noise, chunk=16)[0]

    whole = answer(ids)
    for order in (ids.flip(0), torch.tensor([7]), torch.tensor([30, 7, 2]), ids[3:36]):
        part = answer(order)
        assert torch.equal(part.z, whole.z[order]) and torch.equal(part.s, whole.s[order])


def test_the_step_size_finds_the_stable_range_from_either_side() -> None:
    model, y = linear_model(0.2), torch.randn(5, N, dtype=torch.float64)
    W = model.network.weight.detach()
    curvature = 1 + torch.linalg.matrix_norm(W, 2) ** 2 / 0.2**2
    for start in (1e-3, 3.0):
        state = State(torch.zeros(5, D).double(), torch.full((5,), start).double())
        for t in range(60):
            noise = Noise(0).at(torch.arange(5), t)
            A = Identity(5, (N,))
            state, info = infer(model, y, A, state, Langevin(), steps=10, noise=noise, chunk=5)
        assert not info.diverged.any()
        ratio = state.s**2 * curvature / 4
        assert (ratio > 0.2).all() and (ratio < 1).all()


@pytest.mark.parametrize("name", KERNELS)
def test_a_chain_that_diverges_is_put_back_named_and_slowed_alone(name: str) -> None:
    model, y = conv_model(), torch.rand(4, 3, 32, 32)
    y[2] = float("nan")
    A, z = Identity(4, (3, 32, 32)), torch.randn(4, 6)
    state, kernel, noise = (
        State(z, torch.full((4,), 0.02)),
        KERNELS[name](),
        Noise(0).at(torch.arange(4)),
    )
    after, info = infer(model, y, A, state, kernel, steps=3, noise=noise, chunk=16)
    assert info.diverged.tolist() == [False, False, True, False]
    assert torch.equal(after.z[2], z[2]) and after.s[2] < 0.02
    y[2] = 0
    healthy, _ = infer(model, y, A, state, kernel, steps=3, noise=noise, chunk=16)
    for i in (0, 1, 3):
        assert torch.equal(after.z[i], healthy.z[i])


def test_a_finite_but_absurd_latent_counts_as_diverged() -> None:
    model, noise = linear_model(), Noise(0).at(torch.arange(2))
    y, s = torch.zeros(2, N, dtype=torch.float64), torch.tensor([0.05, 1e6], dtype=torch.float64)
    state = State(torch.ones(2, D, dtype=torch.float64), s)
    after, info = infer(
        model, y, Identity(2, (N,)), state, Langevin(), steps=1, noise=noise, chunk=16
    )
    assert info.diverged.tolist() == [False, True]
    assert torch.equal(after.z[1], state.z[1]) and after.s[1] < s[1]


@pytest.mark.parametrize("count, size", [(1, 4), (16, 16), (40, 16), (3, 64)])
def test_chunks_cover_everything_once(count: int, size: int) -> None:
    parts = list(chunks(count, size))
    assert {len(rows) for rows, _ in parts} == {-(-size // 16) * 16}
    assert torch.cat([rows[:n] for rows, n in parts]).tolist() == list(range(count))


def test_every_device_gives_the_cpus_answer(device: torch.device) -> None:
    model, ids = conv_model(), torch.arange(20)
    y, A = observe(torch.rand(20, 3, 32, 32) * 2 - 1, torch.rand(20, 1, 32, 32) < 0.3)
    state = State(torch.randn(20, 6), torch.full((20,), 0.02))
    noise, kernel = Noise(0).at(ids), Langevin()
    here, _ = infer(model, y, A, state, kernel, steps=5, noise=noise, chunk=16)
    moved = State(*(v.to(device) for v in state))
    there, info = infer(
        copy.deepcopy(model).to(device),
        y.to(device),
        A.to(device),
        moved,
        kernel,
        steps=5,
        noise=Noise(0).at(ids.to(device)),
        chunk=16,
    )
    assert there.z.device.type == device.type and not info.diverged.any()
    torch.testing.assert_close(there.z.cpu(), here.z, atol=1e-3, rtol=1e-3)
