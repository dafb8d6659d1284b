"""Signals behind linear measurements: exact conditionals, and spectra that y alone tells of."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from abprop import tasks
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.operators import measure, white, written_out
from abprop.priors import StandardNormal
from abprop.residuals import Completion, Indirect, Known, Loose, Stationary, fit, fit_power

SHAPES = [(1, 12), (2, 5, 4), (1, 3, 4, 3)]


def covariance(shape: tuple[int, ...]) -> Stationary:
    """Of smooth signals whose channels go together."""
    x = torch.randn(400, *shape)
    for axis in range(2, x.ndim):
        x = x + 0.8 * x.roll(1, axis)
    return fit(x + 0.5 * x.flip(1), torch.ones_like(x, dtype=torch.bool))


def dense(C: Stationary) -> Tensor:
    """The covariance of a flattened signal, entry by entry from the table of lags."""
    places = torch.cartesian_prod(*(torch.arange(n) for n in C.shape)).reshape(-1, len(C.shape))
    lag = places[None, :, 1:] - places[:, None, 1:]
    channels = places[:, None, 0].expand(lag.shape[:2]), places[None, :, 0].expand(lag.shape[:2])
    found = C.table[(*channels, *lag.unbind(-1))]
    turn = torch.kron(C.turn.contiguous(), torch.eye(len(places) // C.shape[0]))
    return (turn @ found @ turn.T).double()


def measured(C: Stationary, count: int = 7) -> tuple[Tensor, Indirect, float]:
    matrix, nugget = torch.randn(count, len(dense(C))), 0.05
    return matrix, Indirect(C, matrix, nugget), nugget


@pytest.mark.parametrize("shape", SHAPES)
def test_a_stationary_covariance_multiplies_as_its_table_says(shape: tuple[int, ...]):
    C, x = covariance(shape), torch.randn(3, *shape)
    torch.testing.assert_close(
        C.times(x).flatten(1).double(), x.flatten(1).double() @ dense(C), atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_draws_of_a_stationary_law_have_its_covariance(shape: tuple[int, ...]):
    C = covariance(shape)
    e = C.drawn(torch.randn(20_000, *C.torus)).flatten(1).double()
    # A sample covariance of n draws is off by sqrt(2 / n) of the variance, at most 5 times here.
    assert (e.T @ e / len(e) - dense(C)).abs().max() < 5 * dense(C).max() * (2 / len(e)) ** 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_the_conditional_is_exact(shape: tuple[int, ...]):
    C = covariance(shape)
    A, law, nugget = measured(C)
    S, A64 = dense(C), A.double()
    G = A64 @ S @ A64.T + nugget * torch.eye(len(A))
    x, y = torch.randn(1, 1, *shape), torch.randn(1, len(A))
    gain = torch.linalg.solve(G, A64 @ S)
    mean = x.flatten().double() + (y[0].double() - A64 @ x.flatten().double()) @ gain
    count = 20_000
    many = law.on(1).complete(
        x.expand(1, count, *shape), y, torch.randn(1, count, *law.normals(shape))
    )
    torch.testing.assert_close(law.expected(x, y).flatten().double(), mean, atol=1e-4, rtol=1e-4)
    drawn = many[0].flatten(1).double()
    posterior = S - S @ A64.T @ gain
    assert (torch.cov(drawn.T) - posterior).abs().max() < 5 * S.max() * (2 / count) ** 0.5
    assert (drawn.mean(0) - mean).abs().max() < 5 * (S.max() / count) ** 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_measured_is_white_under_the_law(shape: tuple[int, ...]):
    C = covariance(shape)
    A, law, nugget = measured(C)
    x = torch.randn(5, *shape)
    torch.testing.assert_close(law.on(5).A(x), law.seen(x.flatten(1) @ A.T), atol=1e-4, rtol=1e-4)
    G = (A.double() @ dense(C) @ A.double().T + nugget * torch.eye(len(A))).float()
    torch.testing.assert_close(law.seen(law.seen(G).T), torch.eye(len(A)), atol=1e-3, rtol=0)


def field(shape: tuple[int, ...], count: int, slope: float, seed: int = 0) -> Tensor:
    """Stationary signals whose spectrum falls as |k|^slope, of unit variance in each channel."""
    random = torch.Generator().manual_seed(seed)
    twice = [2 * n for n in shape[1:]]
    along = [torch.fft.fftfreq(n) for n in twice]
    k = torch.stack(torch.meshgrid(*along, indexing="ij")).square().sum(0).sqrt()
    amplitude = k.clamp_min(0.5 / max(shape[1:])) ** (slope / 2)
    axes = tuple(range(2, 2 + len(twice)))
    wave = torch.fft.fftn(torch.randn(count, shape[0], *twice, generator=random), dim=axes)
    x = torch.fft.ifftn(wave * amplitude, dim=axes).real
    x = x[(..., *(slice(n) for n in shape[1:]))]
    return x / x.std()


@pytest.mark.parametrize("rule", ["projection:100", "down:2", "blur:1"])
@pytest.mark.parametrize("slope", [-2.0, -3.0])
def test_measurements_tell_the_spectrum(rule: str, slope: float):
    shape = (1, 16, 16)
    x = field(shape, 200, slope)
    A = measure(rule, shape, 1, 0)
    matrix = written_out(A, shape)
    power = fit_power(x.flatten(1) @ matrix.T, matrix, shape)
    rings = power.rings
    some = rings.at[1:] < (-1.4 if rule.startswith("projection") else -1.9)  # what A sees well
    found = power.log_power[0, 1:].diff() / rings.at[1:].diff()
    assert (found[some[1:]] - slope).abs().mean() < 0.6
    assert power.covariance.variance.item() == pytest.approx(1, rel=0.15)
    assert power.nugget < 0.01


def test_the_noise_of_measurements_is_told_from_the_signal():
    shape = (1, 16, 16)
    x, matrix = field(shape, 200, -3.0), white(150, shape, 0)
    y = x.flatten(1) @ matrix.T + 0.3 * torch.randn(200, 150)
    assert fit_power(y, matrix, shape).nugget == pytest.approx(0.09, rel=0.2)


def test_completed_signals_are_nearer_than_the_least_ones():
    shape = (3, 12, 12)
    x, matrix = field(shape, 150, -2.5) + 0.3, white(100, shape, 0)
    y = x.flatten(1) @ matrix.T
    completion = Completion(Known.of(y, matrix, shape), matrix)
    least = (y @ torch.linalg.pinv(matrix).T).reshape(x.shape)
    off, of_least = ((v - x).square().mean() for v in (completion(y), least))
    assert off < 0.8 * of_least
    # What it says of its own error is true.
    normal = torch.randn(1, 200, *completion.law.normals(shape))
    drawn = completion.law.complete(completion.mean.expand(1, 200, *shape), y[:1], normal)
    assert drawn.var(1).mean() == pytest.approx(off.item(), rel=0.15)


# Posterior draws ------------------------------------------------------------------------------


def linear(shape: tuple[int, ...], sigma: float) -> Model:
    network = LinearGenerator((2,), shape)
    random = torch.Generator().manual_seed(1)
    network.reset(lambda size: torch.randn(size, generator=random))
    return Model(network, StandardNormal((2,)), Gaussian(sigma)).requires_grad_(False)


def test_draws_of_a_linear_model_have_the_exact_posterior():
    shape, count = (1, 4, 3), 1500
    C, model = covariance(shape), linear(shape, 0.3)
    A, law, nugget = measured(C, 5)
    W = model.network(torch.eye(2)).flatten(1) - model.network(torch.zeros(1, 2)).flatten(1)
    b = model.network(torch.zeros(1, 2)).flatten().double()
    W, A64 = W.double(), A.double()
    S = W.T @ W + dense(C)  # of x
    G = A64 @ S @ A64.T + nugget * torch.eye(5)
    y = torch.randn(1, 5)
    gain = torch.linalg.solve(G, A64 @ S)
    mean, posterior = b + (y[0].double() - A64 @ b) @ gain, S - S @ A64.T @ gain
    block = next(tasks.recover_measured(
        model, y, law, draws=count, ids=torch.arange(1), steps=60, chunk=64
    ))  # fmt: skip
    drawn = block.draws[0].flatten(1).double()
    spread = posterior.diagonal().max().sqrt()
    assert (block.mean[0].flatten() - mean).abs().max() < 5 * spread / count**0.5
    assert (torch.cov(drawn.T) - posterior).abs().max() < 6 * spread**2 * (2 / count) ** 0.5


def test_a_loose_law_is_the_generator_and_white_noise():
    shape, model = (1, 4, 4), linear((1, 4, 4), 0.02)
    law = Loose(measure("down:2", shape, 1, 0), 0.02)
    x = model.network(3 * torch.randn(3, 2))
    y = measure("down:2", shape, 3, 0)(x)
    block = next(tasks.recover_measured(model, y, law, draws=200, ids=torch.arange(3)))
    noise = block.draws - block.draws.mean(1, keepdim=True)
    assert noise.std().item() > 0.019
    assert (block.generated - x).square().mean().sqrt() < 0.3 * x.std()
