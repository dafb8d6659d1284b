"""Chains sample what they should, in the same bits in any company; the lost are put back."""

import copy
import inspect
import math

import pytest
import torch
from models import D, N, conv_model, linear_model, normal
from scipy.stats import chi2
from torch import Tensor

from abprop.inference import (
    KERNELS,
    Chain,
    GradientAscent,
    Langevin,
    LeimkuhlerMatthews,
    Metric,
    State,
    adapt,
    calibrate,
    chunks,
    due,
    infer,
    solve,
)
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity, Operator, observe
from abprop.priors import StandardNormal


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
    state = State.begin(torch.zeros(chains, D, dtype=torch.float64), 0.08)
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
    state, noise = State.begin(torch.zeros(7, D, dtype=torch.float64)), Noise(0).at(torch.arange(7))
    state, _ = infer(model, y, A, state, GradientAscent(), steps=800, noise=noise, chunk=16)
    torch.testing.assert_close(state.z, modes, atol=1e-4, rtol=1e-3)
    z, log_p = solve(model, y, A, steps=300, chunk=16)
    torch.testing.assert_close(z, modes, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(log_p, model.log_joint(y, modes, A).detach(), atol=1e-3, rtol=1e-5)


@pytest.mark.parametrize("name", KERNELS)
def test_kernels_follow_the_protocol(name: str) -> None:
    kernel = KERNELS[name](step_size=0.1)
    assert list(inspect.signature(kernel.step).parameters) == ["score", "chain", "noise"]
    z = torch.randn(3, 2, 5)

    def score(z: Tensor) -> tuple[Tensor, Tensor]:
        return -z.square().flatten(1).sum(1) / 2, -z

    chain = Chain(z, torch.full((3,), 0.1), Metric.plain(z))
    moved, told = kernel.step(score, chain, Noise(0).at(torch.arange(3)))
    assert moved.z.shape == z.shape and not torch.equal(moved.z, z)
    assert told.log_p.shape == told.accepted.shape == told.stable.shape == (3,)
    torch.testing.assert_close(told.log_p, score(z)[0])
    still, _ = kernel.step(score, chain._replace(s=torch.zeros(3)), Noise(0).at(torch.arange(3)))
    assert torch.equal(still.z, z)
    assert 0 < kernel.aim(100) <= kernel.aim(4) <= 0.5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", KERNELS)
def test_an_answer_has_the_same_bits_whatever_its_company(name: str, dtype: torch.dtype) -> None:
    model, kernel, ids = conv_model(dtype), KERNELS[name](), torch.arange(40)
    y, z = torch.randn(40, 3, 32, 32), torch.randn(40, 6)

    def answer(order: Tensor) -> State:
        noise, metric = Noise(0).at(ids[order], t=3), Metric(torch.eye(6) + 0.1)
        A, state = Identity(len(order), (3, 32, 32)), State.begin(z[order], 0.02)
        for look in (False, True):
            state, _ = infer(model, y[order], A, state, kernel, steps=3, noise=noise,
                             metric=metric, look=look, chunk=16)  # fmt: skip
        return state

    whole = answer(ids)
    for order in (ids.flip(0), torch.tensor([7]), torch.tensor([30, 7, 2]), ids[3:36]):
        part = answer(order)
        assert all(torch.equal(a, b[order]) for a, b in zip(part, whole, strict=True))


@pytest.mark.parametrize("start", [1e-3, 3.0, 0.0])
@pytest.mark.parametrize("kernel", [Langevin(), LeimkuhlerMatthews(), GradientAscent()])
def test_the_step_size_fits_the_curvature_at_the_first_visit(kernel, start: float) -> None:
    model, y = linear_model(0.2), torch.randn(5, N, dtype=torch.float64)
    W, state = model.network.weight.detach(), State.begin(torch.zeros(5, D).double(), start)
    stiffest = 1 + torch.linalg.matrix_norm(W, 2) ** 2 / 0.2**2
    noise, A = Noise(0).at(torch.arange(5)), Identity(5, (N,))
    for _ in range(8):
        state, info = infer(model, y, A, state, kernel, steps=1, noise=noise, look=True, chunk=5)
        aimed = state.s**2 * stiffest / 4 / kernel.aim(D)
        assert not info.diverged.any()
        # Power iteration comes from below: at worst twice the step that was aimed at, at first.
        assert ((aimed > 0.99) & (aimed < 2)).all()
    torch.testing.assert_close(aimed, torch.ones_like(aimed), rtol=0.02, atol=0)


@pytest.mark.parametrize("shape", [(4,), (64,), (3, 5, 7)])
@pytest.mark.parametrize("name", KERNELS)
def test_the_aim_of_a_step_knows_how_many_numbers_a_latent_has(
    name: str, shape: tuple[int, ...]
) -> None:
    kernel, stiffest, numbers = KERNELS[name](), 100.0, math.prod(shape)
    curvature = torch.linspace(0, 1, numbers).double().square().reshape(shape) * stiffest

    def score(z: Tensor) -> tuple[Tensor, Tensor]:
        return -(z.square() * curvature).flatten(1).sum(1) / 2, -z * curvature

    z = torch.zeros(5, *shape, dtype=torch.float64)
    state, noise = State.begin(z), Noise(0).at(torch.arange(5))
    for k in range(40):
        chain = Chain(z, state.s, Metric.plain(z), *score(z))
        found = adapt.look(kernel, score, state, chain, noise.later(k))
        state = state._replace(s=found.s, axis=found.axis)
    expected = torch.full_like(state.s, 2 * math.sqrt(kernel.aim(numbers) / stiffest))
    torch.testing.assert_close(state.s, expected, rtol=0.02, atol=0)
    if kernel.adjusted:  # their acceptance falls with the number of latent factors
        assert kernel.aim(1000) < 0.6 * kernel.aim(4)


def test_a_step_that_meets_more_curvature_than_was_known_is_shortened_at_once() -> None:
    model, y = linear_model(0.2), torch.randn(3, N, dtype=torch.float64)
    state, noise = State.begin(torch.zeros(3, D).double()), Noise(0).at(torch.arange(3))
    state, _ = infer(model, y, Identity(3, (N,)), state, Langevin(), steps=1, noise=noise)
    long = state._replace(s=3 * state.s)
    after, info = infer(model, y, Identity(3, (N,)), long, Langevin(), steps=8, noise=noise)
    assert (after.s < long.s).all() and (after.s > state.s / 2).all() and not info.diverged.any()


def test_looks_are_dense_at_first_and_then_cost_three_in_a_hundred_passes() -> None:
    assert all(due(t, 5) for t in range(16))
    for steps in (1, 5, 30):
        looks = sum(due(t, steps) for t in range(1000, 11000))
        assert 0.5 * 0.03 < 2 * looks / (10000 * (steps + 1)) <= 0.03


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "gradient"])
def test_every_kernel_samples_a_stiff_posterior_of_many_dimensions(name: str) -> None:
    d, chains = 40, 1500
    f = LinearGenerator((d,), (60,))
    U, V = (torch.linalg.qr(normal((n, d)))[0] for n in (60, d))
    spectrum = 300 / torch.arange(1, d + 1)  # of W'W / sigma^2: stiffest over loosest about 40
    f.weight.data = 0.5 * U @ torch.diag(spectrum.sqrt()) @ V.T
    model = Model(f, StandardNormal((d,)), Gaussian(0.5))
    y, A = normal((1, 60)).expand(chains, -1), Identity(chains, (60,))
    metric, ids, kept = Metric(0.05 * torch.eye(d)), torch.arange(chains), []
    z, kernel = normal((chains, d)), KERNELS[name]()
    calibrate(model, y, A, z, metric, Noise(1).at(ids), chunk=chains)
    state = State.begin(z)
    for t in range(48):
        state, info = infer(model, y, A, state, kernel, steps=2, noise=Noise(2).at(ids),
                            metric=metric, look=due(t, 2), chunk=chains)  # fmt: skip
        metric.update(info.bent)
        kept += [state.z] if t >= 24 else []
    z = torch.cat(kept) @ V  # along the eigen-directions
    ratio = z.var(0) * (1 + spectrum)
    # Langevin's own bias at its aim, and four standard deviations of so many dependent draws.
    bias = 1 / (1 - kernel.aim(d)) if name == "langevin" else 1.0
    assert ratio.max() < bias * 1.05 and ratio.min() > 0.95
    assert not info.diverged.any()


def test_the_default_kernels_covariance_is_exact_in_many_dimensions() -> None:
    d, numbers, chains, kept = 64, 160, 1200, 24
    f = LinearGenerator((d,), (numbers,))
    U, V = (torch.linalg.qr(normal((n, d)))[0] for n in (numbers, d))
    f.weight.data = U @ torch.diag((1000 / torch.arange(1, d + 1)).sqrt()) @ V.T
    model = Model(f, StandardNormal((d,)), Gaussian(1.0)).requires_grad_(False)
    hidden = torch.arange(numbers)[None] % 3 == 0
    y, A = observe(normal((1, numbers)), hidden)
    W = f.weight.double()[~hidden[0]]
    precision = torch.eye(d).double() + W.T @ W
    mean = torch.linalg.solve(precision, W.T @ y[0, ~hidden[0]].double())
    rows, ids = torch.zeros(chains, dtype=torch.int64), torch.arange(chains)
    y, A, z = y[rows], A[rows], normal((chains, d))
    metric, state, kernel = Metric.plain(z, 0.05), State.begin(z), LeimkuhlerMatthews()
    calibrate(model, y[:300], A[rows[:300]], z[:300], metric, Noise(1).at(ids[:300]), chunk=300)
    visits = []
    for t in range(24 + kept):
        state, info = infer(model, y, A, state, kernel, steps=2, noise=Noise(2).at(ids),
                            metric=metric, look=due(t, 2), chunk=chains)  # fmt: skip
        metric.update(info.bent)
        visits += [state.z.double()] if t >= 24 else []
    off = (torch.cat(visits) - mean) @ torch.linalg.cholesky(precision)  # N(0, I) if exact
    found = off.T @ off / len(off)
    worth = len(off) / 2  # independent draws, about
    assert (off.mean(0).square().sum() * worth) < chi2.ppf(0.9999, d)
    # Entries of so many draws, five standard deviations; and all together, along any direction.
    assert (found - torch.eye(d)).abs().max() < 5 * math.sqrt(2 / worth)
    values = torch.linalg.eigvalsh(found)
    assert (values - 1).abs().max() < 3 * math.sqrt(d / worth)
    assert abs(values.mean() - 1) < 0.01


@pytest.mark.parametrize("name", KERNELS)
def test_a_chain_that_diverges_is_put_back_named_and_slowed_alone(name: str) -> None:
    model, y = conv_model(), torch.rand(4, 3, 32, 32)
    y[2] = float("nan")
    A, z = Identity(4, (3, 32, 32)), torch.randn(4, 6)
    state, kernel, noise = (
        State.begin(z, 0.02),
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
    z = torch.ones(2, D, dtype=torch.float64)
    state = State.begin(z, s)._replace(axis=z / 2)  # looked at already
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
    state = State.begin(torch.randn(20, 6), 0.02)
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


def test_a_chain_is_not_looked_at_because_another_is_new() -> None:
    model, ids = conv_model(), torch.arange(16)
    y, A = normal((16, 3, 32, 32)), Identity(16, (3, 32, 32))
    metric, kernel = Metric(0.1 * torch.eye(6)), LeimkuhlerMatthews()
    old = infer(model, y, A, State.begin(normal((16, 6))), kernel, steps=2,
                noise=Noise(0).at(ids), metric=metric)[0]  # fmt: skip
    mixed = old._replace(axis=torch.where(ids[:, None] < 3, 0.0, old.axis))
    alone, info = infer(model, y, A, old, kernel, steps=2, noise=Noise(0).at(ids), metric=metric)
    beside, told = infer(model, y, A, mixed, kernel, steps=2, noise=Noise(0).at(ids), metric=metric)
    assert all(torch.equal(a[3:], b[3:]) for a, b in zip(alone, beside, strict=True))
    assert (
        info.bent.isnan().all() and told.bent[3:].isnan().all() and told.bent[:3].isfinite().all()
    )
