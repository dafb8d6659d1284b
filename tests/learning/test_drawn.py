"""The term from draws: an exact distance, a gradient for W, and nothing remembered."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tiny import TEXTURE

from abprop.errors import UserError
from abprop.learning.drawn import MOST, _tiled, sliced
from abprop.run import Layers
from abprop.run.fitting import begun
from abprop.run.reading import load_data
from abprop.run.recipe import compose
from abprop.run.split import resolve

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (1, 3, 80, 80)).astype(np.uint8)
SETS = ("model.prior=markov", "train.draws=0.3", "model.latent=8x6x6", "data.crop=24")


def learning(tmp_path, *sets: str, picture: np.ndarray = PICTURE):
    recipe = compose(Layers(preset="texture").over(None), [*TEXTURE, *SETS, *sets])
    signals = load_data(recipe, picture)
    recipe, observed = resolve(recipe, signals)
    return begun(tmp_path, recipe, signals, observed).learning


def test_the_distance_of_sorted_projections_is_exact() -> None:
    a, b = torch.tensor([[0.0], [3.0], [1.0]]), torch.tensor([[5.0], [1.0], [2.0]])
    assert sliced(a, b, torch.ones(1, 1)) == pytest.approx((1 + 1 + 4) / 3)
    many = torch.randn(5 * MOST, 4)
    assert sliced(many, many, torch.eye(4)) == 0


def test_the_term_moves_every_weight_and_only_weights(tmp_path) -> None:
    run = learning(tmp_path)
    before = run.latents.z.clone()
    value = run.drawn(3)
    value.backward()
    assert value > 0 and torch.equal(run.latents.z, before)
    for name, parameter in run.model.network.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


def test_it_is_a_function_of_the_iteration_and_of_the_chains_alone(tmp_path) -> None:
    one, other = learning(tmp_path), learning(tmp_path)
    assert one.drawn(5).item() == other.drawn(5).item() != one.drawn(6).item()
    one.latents.z.add_(1.0)
    assert one.drawn(5).item() != other.drawn(5).item()


def test_what_f_leaves_over_is_laid_over_draws(tmp_path) -> None:
    run = learning(tmp_path)
    rows, like = torch.tensor([3, 5]), torch.zeros(2, 3, 40, 31)
    exact = run.train.batch(rows)[1] - run.model.network(run.latents.z[rows]).detach()
    rest = _tiled(run.train.batch(rows)[1] - run.drawn._explained(rows), like)
    assert rest.shape == like.shape
    torch.testing.assert_close(rest[:, :, :24, :24], exact)
    torch.testing.assert_close(rest[:, :, 24:, 24:], exact[:, :, :16, :7])


def test_its_weight_follows_sigma(tmp_path) -> None:
    run = learning(tmp_path)
    at = run.drawn(0).item()
    run.model.likelihood.sigma.mul_(2)
    assert run.drawn(0).item() == pytest.approx(at / 4, rel=1e-5)


def test_what_is_hidden_has_no_part_in_it_but_holes_leave_something_to_compare(tmp_path) -> None:
    picture = PICTURE.astype(np.float32) / 127.5 - 1
    picture[RNG.random(picture.shape) < 0.1] = np.nan  # hardly a patch is whole
    run = learning(tmp_path, "data.range=-1:1", picture=picture)
    value = run.drawn(0)
    value.backward()
    assert value > 0 and run.model.network.dense.grad.abs().sum() > 0
    everything = torch.ones_like(run.train.batch(torch.arange(12))[1], dtype=torch.bool)
    made = torch.zeros(1, 3, 24, 24, requires_grad=True)
    assert run.drawn._distance(made, torch.zeros(12, 3, 24, 24), everything, 0) == 0


@pytest.mark.parametrize("sets", [("model.prior=gaussian",)])
def test_a_prior_without_neighbours_is_refused(tmp_path, sets) -> None:
    with pytest.raises(UserError, match=r"under model\.prior=markov only; use train\.draws=0"):
        learning(tmp_path, *sets)
