"""The scikit-learn faces: its own checks, pipelines, and what both promise beyond them."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny import blobs

from abprop import Generator, Imputer

FAST: dict[str, Any] = {"max_iter": 3, "random_state": 0}
RANDOM = np.random.default_rng(0)
PLANE = RANDOM.normal(size=(120, 2)) @ RANDOM.normal(size=(2, 6)) * 5 + 100  # two factors
HOLES = np.where(RANDOM.random(PLANE.shape) < 0.15, np.nan, PLANE)


@parametrize_with_checks([Generator(max_iter=3)])
def test_scikit_learns_own_checks_of_the_generator(estimator: Any, check: Any):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([Imputer(max_iter=3, n_draws=2)])
def test_scikit_learns_own_checks_of_the_imputer(estimator: Any, check: Any):
    check(estimator)


# Generator ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plane() -> Generator:
    """Learned from a plane; only to be read."""
    return Generator(2, max_iter=100, random_state=0).fit(PLANE)


def test_latents_and_back(plane: Generator):
    z = plane.transform(PLANE)
    assert z.shape == (120, 2) and z.dtype == np.float64 and plane.n_components_ == 2
    back = plane.inverse_transform(z)
    assert np.mean((back - PLANE) ** 2) < 0.1 * PLANE.var(0).mean()
    assert plane.noise_variance_.shape == (6,) and (plane.noise_variance_ > 0).all()
    assert 1 <= plane.n_iter_ <= 100


def test_a_row_has_one_latent_whatever_its_company():
    found = Generator(2, **FAST).fit(HOLES)
    z = found.transform(HOLES)
    assert np.array_equal(found.transform(HOLES[:7]), z[:7])
    assert np.array_equal(found.transform(HOLES[::-1]), z[::-1])
    assert np.isfinite(z).all()


def test_random_state_says_everything():
    fits = [Generator(2, max_iter=3, random_state=seed).fit(PLANE) for seed in (0, 0, 1)]
    first, same, other = (f.transform(PLANE) for f in fits)
    assert np.array_equal(first, same) and not np.array_equal(first, other)
    assert np.array_equal(fits[0].sample(5), fits[1].sample(5))
    assert not np.array_equal(fits[0].sample(5), fits[0].sample(5, random_state=3))
    assert fits[0].sample(5).shape == (5, 6)


def test_a_fitted_one_survives_pickle_and_a_clone_is_bare():
    found = Generator(2, **FAST).fit(PLANE)
    again = pickle.loads(pickle.dumps(found))
    assert np.array_equal(again.transform(PLANE), found.transform(PLANE))
    with pytest.raises(NotFittedError):
        clone(found).transform(PLANE)


@pytest.mark.slow
def test_score_says_how_well_features_are_foretold(plane: Generator):
    one = Generator(1, max_iter=30, random_state=0).fit(PLANE)
    assert one.score(PLANE[:40]) < plane.score(PLANE[:40]) < 0
    # What the others do not tell is foretold no better than by the mean.
    shuffled = np.stack([np.random.default_rng(j).permutation(c) for j, c in enumerate(PLANE.T)], 1)
    assert plane.score(shuffled[:40]) < 5 * plane.score(PLANE[:40])


def test_in_a_pipeline_and_a_grid_with_missing_values():
    steps = make_pipeline(StandardScaler(), Generator(**FAST), Ridge())
    grid = GridSearchCV(steps, {"generator__n_components": [1, 2]}, cv=2)
    grid.fit(HOLES, np.nanmean(HOLES, 1))
    assert grid.best_params_["generator__n_components"] in (1, 2)
    assert np.isfinite(grid.cv_results_["mean_test_score"]).all()
    names = grid.best_estimator_[:-1].get_feature_names_out()
    assert names[0] == "generator0"


def test_rows_that_are_pictures():
    X = blobs(60).reshape(60, 64).astype(np.float64)
    found = Generator(3, shape=(1, 8, 8), channels=8, **FAST).fit(X)
    assert found.transform(X).shape == (60, 3)
    assert found.sample(2).shape == (2, 64)
    assert found.score(X) < 0


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "another shape": ({"shape": (1, 3, 3)}, "has 9 numbers, X has 6 features"),
    "no factor": ({"n_components": 0}, "model.latent"),
    "no step": ({"max_iter": 0}, "train.iterations"),
    "a rate below nothing": ({"learning_rate": -1.0}, "train.learning_rate"),
    "no such device": ({"device": "abacus"}, "abacus"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_parameter_is_one_line(case: str):
    keys, told = BAD[case]
    with pytest.raises(ValueError, match=told) as caught:
        Generator(**(FAST | keys)).fit(PLANE)
    assert "\n" not in str(caught.value)


def test_latents_of_another_number_are_refused():
    with pytest.raises(ValueError, match="X has 5 columns, there are 2 latents"):
        Generator(2, **FAST).fit(PLANE).inverse_transform(np.zeros((3, 5)))


# Imputer --------------------------------------------------------------------------------------


@pytest.mark.slow
def test_what_is_missing_is_told_and_the_rest_stays():
    found = Imputer(2, max_iter=200, random_state=0).fit(HOLES)
    full, gone = found.transform(HOLES), np.isnan(HOLES)
    assert np.array_equal(full[~gone], HOLES[~gone])
    by_mean = np.broadcast_to(np.nanmean(HOLES, 0), HOLES.shape)
    errors = [np.mean((x[gone] - PLANE[gone]) ** 2) for x in (full, by_mean)]
    assert errors[0] < 0.2 * errors[1]


def test_draws_differ_where_something_is_missing_and_nowhere_else():
    found = Imputer(2, **FAST).fit(HOLES)
    draws, gone = found.draws(HOLES, 5), np.isnan(HOLES)
    assert draws.shape == (5, *HOLES.shape)
    assert (draws.std(0)[gone] > 0).all() and (np.ptp(draws, 0)[~gone] == 0).all()
    drawn = Imputer(2, sample_posterior=True, **FAST).fit(HOLES).transform(HOLES)
    assert np.isfinite(drawn).all() and not np.array_equal(drawn, found.transform(HOLES))
    assert np.array_equal(found.draws(PLANE, 3)[1], PLANE)


def test_complete_rows_come_back_as_they_are():
    found = Imputer(2, **FAST).fit(HOLES)
    assert np.array_equal(found.transform(PLANE), PLANE)


@pytest.mark.parametrize("keep", [False, True])
def test_features_that_nothing_was_seen_of(keep: bool):
    X = np.insert(HOLES, 2, np.nan, axis=1)
    found = Imputer(2, keep_empty_features=keep, add_indicator=True, **FAST).fit(X)
    full = found.transform(X)
    names = found.get_feature_names_out()
    assert full.shape == (120, len(names)) and np.isfinite(full).all()
    assert list(names[:7] if keep else names[:6]) == [f"x{i}" for i in range(7) if keep or i != 2]
    assert "missingindicator_x0" in names
    if keep:
        assert not full[:, 2].any()
    assert found.draws(X, 2).shape == (2, 120, 7 if keep else 6)


def test_nothing_seen_at_all():
    X = np.full((5, 3), np.nan)
    assert Imputer(**FAST).fit(X).transform(X).shape == (5, 0)
    assert not Imputer(keep_empty_features=True, **FAST).fit(X).transform(X).any()


def test_learned_from_complete_rows_it_tells_of_others():
    found = Imputer(2, **FAST).fit(PLANE[:30])
    assert np.isfinite(found.transform(HOLES[:30])).all()


@pytest.mark.slow
def test_another_mark_for_what_is_missing():
    X = np.where(np.isnan(HOLES), -1, HOLES)
    one = Imputer(2, missing_values=-1, **FAST).fit(X).transform(X)
    assert np.array_equal(one, Imputer(2, **FAST).fit(HOLES).transform(HOLES))
    drawn = Imputer(2, missing_values=-1, sample_posterior=True, **FAST).fit(X)
    assert np.array_equal(drawn.transform(X), drawn.draws(X, 2)[0])
    with pytest.raises(ValueError, match="NaN"):
        Imputer(2, missing_values=-1, **FAST).fit(HOLES)


def test_in_a_pipeline_before_a_regression():
    y = np.nan_to_num(HOLES).sum(1)
    told = make_pipeline(Imputer(2, **FAST), Ridge()).fit(HOLES, y).predict(HOLES)
    assert told.shape == (120,) and np.isfinite(told).all()
