"""What a fitted model does: draws, spheres, sheets and planes."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abprop import tasks
from abprop.errors import UserError
from abprop.inference import Metric, solve
from abprop.likelihoods import Gaussian as Likelihood
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import Gaussian, Markov, StandardNormal


def model_of(latent: tuple[int, ...], signal: tuple[int, ...], prior=StandardNormal) -> Model:
    network = ConvGenerator(latent, signal, channels=8)
    noise, draws = Noise(0, "weights"), iter(range(100))
    network.reset(lambda size: noise.at(torch.zeros(1).long(), next(draws)).normal(size)[0])
    return Model(network, prior(latent), Likelihood(0.3)).requires_grad_(False)


VECTOR = model_of((5,), (1, 8, 8))
MAP = model_of((4, 3, 3), (1, 8, 8), Gaussian)


# Spheres --------------------------------------------------------------------------------------


@given(st.integers(0, 1000), st.integers(2, 100), st.floats(0, 1))
def test_slerp_is_a_great_circle(seed: int, d: int, t: float):
    a, b = Noise(seed, "test").at(torch.arange(2)).normal((d,))
    middle = tasks.slerp(a, b, t)
    angle = torch.arccos(torch.dot(a, b) / (a.norm() * b.norm()))
    unit = tasks.slerp(a / a.norm(), b / b.norm(), t)
    if 1e-3 < angle < math.pi - 1e-3:
        assert unit.norm().item() == pytest.approx(1, abs=1e-6)
        travelled = torch.arccos((torch.dot(unit, a) / a.norm()).clamp(-1, 1))
        assert travelled.item() == pytest.approx(t * angle.item(), abs=1e-5)
    assert middle.norm() <= max(a.norm(), b.norm()) * 1.5 / max(0.1, torch.sin(angle).item())


def test_slerp_ends_where_it_is_told():
    a, b = Noise(1, "test").at(torch.arange(2)).normal((7,))
    assert torch.allclose(tasks.slerp(a, b, 0), a) and torch.allclose(tasks.slerp(a, b, 1), b)


@pytest.mark.parametrize("factor", [1.0, 2.0, -1.0])
def test_slerp_of_vectors_on_a_line(factor: float):
    a = torch.tensor([3.0, 4.0])
    b = factor * a
    for t in (0.0, 0.25, 1.0):
        assert torch.allclose(tasks.slerp(a, b, t), (1 - t) * a + t * b, atol=1e-5)


def test_a_sheet_has_its_corners_in_the_corners():
    corners = Noise(0, "test").at(torch.arange(4)).normal((5,)).float()
    sheet = tasks.interpolate(VECTOR, corners, 4)
    assert sheet.shape == (16, 1, 8, 8)
    expected = tasks.generate(VECTOR, corners)
    assert torch.allclose(sheet[[0, 3, 12, 15]], expected, atol=1e-5)


def test_a_plane_runs_from_lower_left_to_upper_right():
    network = LinearGenerator((2,), (2,))
    with torch.no_grad():
        network.weight.copy_(torch.eye(2))
    plane = Model(network, StandardNormal((2,)), Likelihood(0.3)).requires_grad_(False)
    x = tasks.latent_grid(plane, 3, extent=2.0)
    assert x[0].tolist() == [-2, 2] and x[2].tolist() == [2, 2]  # the first row is the top one
    assert x[4].tolist() == [0, 0] and x[6].tolist() == [-2, -2] and x[8].tolist() == [2, -2]


def test_a_plane_needs_two_factors():
    with pytest.raises(UserError, match="2"):
        tasks.latent_grid(VECTOR)


# Draws ----------------------------------------------------------------------------------------


def test_draws_are_keyed():
    noise = Noise(3, "draws")
    three, five = tasks.draw(VECTOR, 3, noise), tasks.draw(VECTOR, 5, noise)
    assert torch.equal(three, five[:3])
    assert not torch.equal(three, tasks.draw(VECTOR, 3, Noise(4, "draws")))
    assert not torch.equal(five[0], five[1])


@pytest.mark.parametrize("grid", [(3, 3), (5, 4), (9, 7)])
def test_a_larger_map_contains_the_smaller_draw(grid: tuple[int, int]):
    noise = Noise(0, "draws")
    small, large = tasks.draw(MAP, 2, noise, grid), tasks.draw(MAP, 2, noise, (10, 12))
    assert small.shape == (2, 4, *grid)
    assert torch.equal(large[:, :, : grid[0], : grid[1]], small)


def test_draws_are_of_the_prior():
    prior = Gaussian((3,))
    z = Noise(0, "test").at(torch.arange(4000)).normal((3,)).float()
    z = z @ torch.tensor([[2.0, 0, 0], [1, 1, 0], [0, 0, 0.5]]).T + torch.tensor([1.0, 2, 3])
    prior.update(z, 1.0)
    model = Model(LinearGenerator((3,), (4,)), prior, Likelihood(0.3))
    drawn = tasks.draw(model, 4000, Noise(1, "draws"))
    assert torch.allclose(drawn.mean(0), z.mean(0), atol=0.15)
    assert torch.allclose(drawn.T.cov(), z.T.cov(), atol=0.3)


def test_a_larger_sample_contains_the_smaller_one():
    noise = Noise(0, "draws")
    small = tasks.sample(MAP, 1, noise, size=(11, 14))
    large = tasks.sample(MAP, 1, noise, size=(40, 33))
    assert small.shape == (1, 1, 11, 14) and large.shape == (1, 1, 40, 33)
    assert torch.allclose(large[:, :, :11, :14], small, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (8, 8), (9, 8), (64, 64)])
def test_every_size(size: tuple[int, int]):
    x = tasks.sample(MAP, 2, Noise(0, "draws"), size=size)
    assert x.shape == (2, 1, *size) and torch.isfinite(x).all() and x.abs().max() <= 1


def test_a_signal_of_many_tiles_is_f_of_its_whole_map():
    size = (300, 280)
    x = tasks.sample(MAP, 1, Noise(0, "draws"), size=size)
    z = MAP.prior.draw(Noise(0, "draws"), 1, (160, 160))
    assert torch.allclose(MAP.network(z)[0, :, :300, :280], x[0], atol=1e-5)


def neighbourly() -> Model:
    model = model_of((4, 5, 5), (1, 8, 8), Markov)
    z = Noise(0, "maps").at(torch.arange(20)).normal((4, 5, 5)).float()
    model.prior.update(z, 1.0)
    model.prior.remember(z, None)
    return model


def test_a_seamless_signal_goes_on_at_its_other_edge():
    model = neighbourly()
    step = model.prior.period * 2**model.network.stages
    size = (4 * step, 3 * step)
    (window,) = tasks.seamless(model, 1, Noise(0, "tile"), size)
    once = dict(enumerate(part for _, part in tasks.tiles(model, window, size)))[0]
    twice = dict(enumerate(part for _, part in tasks.tiles(model, window, (8 * step, 3 * step))))[0]
    assert once.shape == (1, *size)
    assert torch.allclose(twice, once.repeat(1, 2, 1), atol=1e-5)
    with pytest.raises(UserError, match=f"multiple of {step} from .* --size {3 * step}x{4 * step}"):
        tasks.seamless(model, 1, Noise(0), (4 * step + 1, step))
    with pytest.raises(UserError, match=r"--tile: needs model\.prior=markov"):
        tasks.seamless(MAP, 1, Noise(0), (64, 64))
    with pytest.raises(UserError, match="vector"):
        tasks.seamless(VECTOR, 1, Noise(0), (64, 64))


def test_a_size_that_does_not_fit():
    with pytest.raises(UserError, match="vector"):
        tasks.sample(VECTOR, 1, Noise(0), size=(16, 16))
    with pytest.raises(UserError, match="--size"):
        tasks.sample(MAP, 1, Noise(0), size=(16, 16, 16))
    table = Model(LinearGenerator((2,), (4,)), StandardNormal((2,)), Likelihood(0.3))
    with pytest.raises(UserError, match="table"):
        tasks.sample(table, 1, Noise(0), size=(16, 16))


# Reconstruction -------------------------------------------------------------------------------


def test_reconstruct_is_generate_of_its_latents():
    y = tasks.sample(VECTOR, 3, Noise(0, "draws"))
    x, z = tasks.reconstruct(VECTOR, *observe(y, None), steps=50)
    assert torch.equal(x, tasks.generate(VECTOR, z)) and z.shape == (3, 5)
    assert (x - y).square().mean() < 0.5 * (y - y.mean(0)).square().mean()


def test_an_examples_answer_does_not_depend_on_its_company():
    y = tasks.sample(VECTOR, 21, Noise(0, "draws"))
    together, _ = tasks.reconstruct(VECTOR, *observe(y, None), steps=10, chunk=16)
    alone, _ = tasks.reconstruct(VECTOR, *observe(y[17:18], None), steps=10, chunk=16)
    assert torch.equal(together[17:18], alone)


def test_what_is_hidden_has_no_say():
    y = tasks.sample(VECTOR, 3, Noise(0, "draws"))
    hidden = torch.zeros(3, 1, 8, 8, dtype=torch.bool)
    hidden[..., :4] = True
    one, _ = tasks.reconstruct(VECTOR, *observe(y, hidden), steps=10)
    two, _ = tasks.reconstruct(VECTOR, *observe(y.masked_fill(hidden, math.nan), hidden), steps=10)
    assert torch.equal(one, two)


def test_the_priors_width_comes_from_draws_and_not_from_the_mode():
    sigma, d, D, n, true = 0.7, 3, 8, 4000, 1.6
    f = LinearGenerator((d,), (D,))
    f.reset(lambda size: 4 * Noise(0, "weights").at(torch.zeros(1)).normal(size)[0])
    model = Model(f, Gaussian((d,)), Likelihood(sigma)).requires_grad_(False)
    ids = torch.arange(n)
    y = f(true * Noise(1).at(ids).normal((d,)).float())
    y = y + sigma * Noise(2).at(ids).normal((D,)).float()
    A, width, precision = observe(y, None)[1], 1.0, f.weight.T @ f.weight / sigma**2
    for step in range(8):  # EM
        answers = model.answering(sigma**2, width)
        z, _ = solve(answers, y, A, chunk=n)
        at_mode = answers.prior.folded(z).square().mean().sqrt().item()
        root = torch.linalg.cholesky(torch.linalg.inv(torch.eye(d) / width**2 + precision))
        modes = tasks.Modes(y, A, z, Metric(root), Noise(3 + step).at(ids), n)
        width = modes.width(answers)
    assert width == pytest.approx(true, rel=4 / math.sqrt(2 * n * d) + 0.01)
    assert at_mode < 0.97
    fixed = Model(f, StandardNormal((d,)), Likelihood(sigma))
    assert modes.width(fixed) == 1


def test_sigma_comes_from_draws_and_not_from_the_mode():
    sigma, d, D, n = 0.7, 3, 8, 4000
    f = LinearGenerator((d,), (D,))
    f.reset(lambda size: 9 * Noise(0, "weights").at(torch.zeros(1)).normal(size)[0])
    model = Model(f, StandardNormal((d,)), Likelihood(sigma)).requires_grad_(False)
    ids = torch.arange(n)
    y = f(Noise(1).at(ids).normal((d,)).float()) + sigma * Noise(2).at(ids).normal((D,)).float()
    A = observe(y, None)[1]
    z, _ = solve(model, y, A, chunk=n)
    at_mode = (f(z) - y).square().mean().item()
    metric = Metric(torch.linalg.cholesky(torch.linalg.inv(
        torch.eye(d) + f.weight.T @ f.weight / sigma**2)))  # fmt: skip
    found = tasks.Modes(y, A, z, metric, Noise(3).at(ids), n).spread(model)
    # Four standard deviations of a mean of n D squares.
    assert found == pytest.approx(sigma**2, rel=4 * math.sqrt(2 / (n * D)))
    assert at_mode < 0.72 * sigma**2
