"""Errors against numpy, nearest neighbours against a search."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from memory import grown
from scipy.stats import norm

from abprop.evaluate import Scores, crps, crps_normal, errors, nearest, quantiles

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 3, 4, 5)).astype(np.float32)
Y = RANDOM.normal(size=(7, 3, 4, 5)).astype(np.float32)
KEYS = {"mse", "mae", "error", "rmse_data", "psnr"}


def test_formulae():
    found = errors(torch.from_numpy(X), torch.from_numpy(Y), None, 127.5)
    difference = X.astype(np.float64) - Y
    mse, mae = (difference**2).mean(), np.abs(difference).mean()
    assert set(found) == KEYS
    assert found["mse"] == pytest.approx(mse) and found["mae"] == pytest.approx(mae)
    assert found["error"] == pytest.approx(mae / 2)
    assert found["rmse_data"] == pytest.approx(np.sqrt(mse) * 127.5)
    assert found["psnr"] == pytest.approx(10 * np.log10(4 / mse))


@pytest.mark.parametrize("shape", [(7, 3, 4, 5), (7, 1, 4, 5)])
def test_only_what_is_scored_counts(shape: tuple[int, ...]):
    scored = RANDOM.random(shape) < 0.3
    spoilt = np.where(scored, X, 1e6).astype(np.float32)
    found = errors(torch.from_numpy(spoilt), torch.from_numpy(Y), torch.from_numpy(scored), 2.0)
    difference = (X.astype(np.float64) - Y)[np.broadcast_to(scored, X.shape)]
    assert found["mse"] == pytest.approx((difference**2).mean())
    assert found["rmse_data"] == pytest.approx(2 * np.sqrt((difference**2).mean()))


def test_units_of_columns():
    unit = np.array([1.0, 10.0, 100.0])
    x, y = X[:, :, 0, 0], Y[:, :, 0, 0]
    found = errors(torch.from_numpy(x), torch.from_numpy(y), None, unit)
    in_data = (x.astype(np.float64) - y) * unit
    assert found["rmse_data"] == pytest.approx(np.sqrt((in_data**2).mean()))
    scored = RANDOM.random(x.shape) < 0.6
    found = errors(torch.from_numpy(x), torch.from_numpy(y), torch.from_numpy(scored), unit)
    assert found["rmse_data"] == pytest.approx(np.sqrt((in_data[scored] ** 2).mean()))


def test_no_error_at_all():
    found = errors(torch.from_numpy(X), torch.from_numpy(X), None, 1.0)
    assert found["mse"] == 0 and np.isfinite(found["psnr"])


def test_nearest():
    rows, distances = nearest(torch.from_numpy(X), torch.from_numpy(Y).split(3))
    squared = ((X[:, None].astype(np.float64) - Y[None]) ** 2).mean((2, 3, 4))
    assert np.array_equal(rows, squared.argmin(1))
    assert np.allclose(distances, np.sqrt(squared.min(1)), rtol=1e-4)
    rows, distances = nearest(torch.from_numpy(Y), [torch.from_numpy(Y)])
    assert rows.tolist() == list(range(7)) and distances.max() < 1e-3


# How true the uncertainty is ------------------------------------------------------------------


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=random, dtype=torch.float64)


@pytest.mark.parametrize("count", [2, 3, 16, 50])
def test_quantiles_hold_a_further_draw_as_often_as_they_say(count: int):
    draws, further = normal(200_000, count), normal(200_000, seed=1)
    low, middle, high = quantiles(draws)
    assert (low <= middle).all() and (middle <= high).all()
    inside = ((low <= further) & (further <= high)).double().mean().item()
    # Where .05 (K + 1) is no whole rank, between two draws; few draws end at their extremes.
    expected = min(0.9, (count - 1) / (count + 1))
    assert inside == pytest.approx(expected, abs=4 * 0.3 / np.sqrt(200_000) + 0.004)
    assert (further < middle).double().mean().item() == pytest.approx(0.5, abs=0.006)


def test_quantiles_are_exact_at_whole_ranks():
    draws = normal(5, 19, 2, 3)
    low, middle, high = quantiles(draws)
    ordered = draws.sort(1).values
    for found, rank in ((low, 0), (middle, 9), (high, 18)):
        torch.testing.assert_close(found, ordered[:, rank])
    (between,) = quantiles(torch.tensor([[3.0, 0.0, 1.0]]), [0.375])
    assert between.tolist() == [0.5], "rank 1.5 of 0, 1, 3"


@pytest.mark.parametrize("count", [2, 3, 16])
def test_crps_is_what_its_formula_says(count: int):
    draws, y = normal(40, count), normal(40, seed=1)
    pairs = [(k, l) for k in range(count) for l in range(count) if k < l]
    apart = sum((draws[:, k] - draws[:, l]).abs() for k, l in pairs)
    expected = sum((draws[:, k] - y).abs() for k in range(count)) / count
    expected = expected - apart / (count * (count - 1))
    torch.testing.assert_close(crps(draws, y), expected)


@pytest.mark.parametrize("count", [2, 8])
def test_crps_of_few_draws_has_no_bias(count: int):
    draws, y = normal(200_000, count), normal(200_000, seed=1)
    found, exact = crps(draws, y), crps_normal(-y, torch.ones_like(y))
    error = found.std().item() / np.sqrt(200_000)
    assert found.mean().item() == pytest.approx(exact.mean().item(), abs=4 * error)


def test_crps_of_a_normal_is_the_integral_of_squared_differences():
    t = np.linspace(-30, 30, 600_001)
    for error, sd in ((0.0, 1.0), (1.3, 0.7), (-4.0, 2.0), (0.2, 3.0)):
        squared = (norm.cdf(t, error, sd) - (t >= 0)) ** 2
        expected = squared.sum() * (t[1] - t[0])
        found = crps_normal(torch.tensor(error, dtype=torch.float64), torch.tensor(sd)).item()
        assert found == pytest.approx(expected, abs=1e-4), "a grid of 1e-4"


def test_a_spread_of_nothing_leaves_the_error():
    error, sd = normal(50), torch.full((50,), 1e-9, dtype=torch.float64)
    torch.testing.assert_close(crps_normal(error, sd), error.abs())
    draws = normal(50)[:, None].expand(50, 4)
    torch.testing.assert_close(crps(draws, torch.zeros(50, dtype=torch.float64)), error.abs())


@pytest.mark.parametrize("shape", [(3, 9, 8), (7,)], ids=str)
def test_exact_draws_and_exact_deviations_score_alike(shape: tuple[int, ...]):
    count = 9000 // int(np.prod(shape))
    middle, spread = normal(count, *shape), 0.2 + normal(count, *shape, seed=2).abs()
    y = middle + spread * normal(count, *shape, seed=3)
    draws = middle[:, None] + spread[:, None] * normal(count, 39, *shape, seed=4)
    drawn, told = Scores(1.0), Scores(1.0)
    drawn.add(middle, y, draws=draws)
    told.add(middle, y, sd=spread)
    # 9,000 entries: a standard error of .3 / 95 = .003.
    for scores in (drawn.result(), told.result()):
        assert scores["coverage90"] == pytest.approx(0.9, abs=0.012)
    assert drawn.result()["crps"] == pytest.approx(told.result()["crps"], rel=0.02)
    for factor in (0.5, 2.0):
        wrong = Scores(1.0)
        wrong.add(middle, y, sd=factor * spread)
        assert abs(wrong.result()["coverage90"] - 0.9) > 0.08
        assert wrong.result()["crps"] > told.result()["crps"]


@pytest.mark.parametrize("known", ["nothing", "draws", "sd"])
def test_blocks_add_up(known: str):
    x, y, sd = normal(20, 3, 4, 5), normal(20, 3, 4, 5, seed=1), normal(20, 3, 4, 5, seed=2).abs()
    draws = normal(20, 6, 3, 4, 5, seed=3)
    scored = torch.from_numpy(np.random.default_rng(0).random((20, 1, 4, 5)) < 0.4)
    whole, parts = Scores(2.0), Scores(2.0)
    for scores, blocks in ((whole, [range(20)]), (parts, [range(7), range(7, 8), range(8, 20)])):
        for block in blocks:
            rows = torch.tensor(list(block))
            told = {"draws": draws[rows]} if known == "draws" else {"sd": sd[rows]}
            scores.add(x[rows], y[rows], scored[rows], **({} if known == "nothing" else told))
    assert parts.result() == pytest.approx(whole.result())
    assert set(whole.result()) == (KEYS if known == "nothing" else {*KEYS, "coverage90", "crps"})


@pytest.mark.parametrize("known", ["draws", "sd"])
def test_the_uncertainty_of_what_is_not_scored_does_not_count(known: str):
    x, y, draws = normal(9, 2, 4, 5), normal(9, 2, 4, 5, seed=1), normal(9, 6, 2, 4, 5, seed=3)
    sd = normal(9, 2, 4, 5, seed=2).abs()
    scored = torch.from_numpy(np.random.default_rng(0).random((9, 2, 4, 5)) < 0.4)
    results = []
    for spoil in (lambda v, gone: v, lambda v, gone: v.masked_fill(gone, 1e5)):
        scores = Scores(1.0)
        told = {"draws": spoil(draws, ~scored[:, None])} if known == "draws" else {
            "sd": spoil(sd, ~scored)}  # fmt: skip
        scores.add(spoil(x, ~scored), spoil(y, ~scored), scored, **told)
        results.append(scores.result())
    assert results[0] == results[1]


def test_nothing_scored_is_nan():
    scores = Scores(1.0)
    assert all(np.isnan(value) for value in scores.result().values())
    nothing = torch.zeros(7, 3, 4, 5, dtype=torch.bool)
    scores.add(torch.from_numpy(X), torch.from_numpy(Y), nothing, sd=torch.ones(7, 3, 4, 5))
    assert scores.count == 0 and all(np.isnan(value) for value in scores.result().values())


def test_the_nearest_of_many_blocks_takes_no_more_memory():
    prepare = """from abprop.evaluate import nearest
x = torch.randn(12, 3, 64, 64)
blocks = lambda count: (torch.randn(512, 3, 64, 64) for _ in range(count))
"""
    more = grown(prepare, "nearest(x, blocks(2))", "nearest(x, blocks(40))")
    assert more < 100  # blocks are of 25 MiB


def test_the_nearest_over_blocks_is_the_nearest_of_all():
    random = torch.Generator().manual_seed(0)
    x, train = (torch.randn(n, 3, 4, generator=random) for n in (5, 50))
    rows, apart = nearest(x, train.split(8))
    whole = torch.cdist(x.flatten(1), train.flatten(1))
    assert torch.equal(rows, whole.argmin(1))
    torch.testing.assert_close(apart, whole.min(1).values / math.sqrt(12))
    again, _ = nearest(x, [train, train])  # of equals the first
    assert torch.equal(again, rows)
