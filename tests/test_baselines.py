"""Baselines against scikit-learn and against answers known beforehand."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import torch
from scipy.fft import idctn
from sklearn.decomposition import PCA
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer

from abprop.baselines import BASELINES, FILLERS, Filled, baseline, fill, recover
from abprop.errors import UserError

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(7, 3, 4, 5)).astype(np.float32)
Y = RANDOM.normal(size=(7, 3, 4, 5)).astype(np.float32)


def test_mean():
    answer = baseline("mean", X, Y[:2], 3)
    assert answer.dtype == torch.float32
    assert np.allclose(answer, np.broadcast_to(X.mean(0), (2, 3, 4, 5)))


@pytest.mark.parametrize("d", [1, 3, 6, 7])
def test_pca_is_scikit_learns(d: int):
    pca = PCA(d, svd_solver="full").fit(X.reshape(7, -1))
    expected = pca.inverse_transform(pca.transform(Y.reshape(7, -1))).reshape(Y.shape)
    assert np.allclose(baseline("pca", X, Y, d), expected, atol=1e-5)


def test_pca_of_all_components_knows_what_it_saw():
    assert np.allclose(baseline("pca", X, X, 7), X, atol=1e-4)


def test_pca_of_a_table():
    assert baseline("pca", X[:, :, 0, 0], Y[:2, :, 0, 0], 2).shape == (2, 3)


@pytest.mark.parametrize(("train", "d"), [(X, 8), (X[:, :1, :1, :2], 3)])
def test_too_many_components(train: np.ndarray, d: int):
    with pytest.raises(UserError, match=f"d = {d}; leave pca out"):
        baseline("pca", train, train, d)


def test_an_unknown_baseline():
    with pytest.raises(UserError, match="did you mean 'pca'"):
        baseline("pac", X, Y, 2)
    assert set(BASELINES) == {"mean", "pca", "mirrored"}


def test_pca_with_mirror_images_knows_both_ways() -> None:
    twice = baseline("mirrored", X, X[..., ::-1].copy(), 14)
    assert np.allclose(twice, X[..., ::-1], atol=1e-4), "all that it saw"
    assert np.allclose(
        baseline("mirrored", X, Y, 5), baseline("pca", np.concatenate([X, X[..., ::-1]]), Y, 5)
    )
    with pytest.raises(UserError, match="only pictures"):
        baseline("mirrored", X[:, :, 0, 0], Y[:2, :, 0, 0], 2)


# Signals with hidden entries ------------------------------------------------------------------


def smooth(n: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Three slow waves in random proportions: what every method can go by."""
    random = np.random.default_rng(seed)
    grids = np.meshgrid(*(np.linspace(0, 1, k) for k in shape[1:]), indexing="ij")
    waves = [np.cos(2 * sum(grids)), np.sin(3 * grids[0]), grids[-1] - 0.5]
    weights = random.normal(size=(n, shape[0], 3)) * 0.4
    return np.tensordot(weights, np.stack(waves), 1).astype(np.float32)


def holes(shape: tuple[int, ...], share: float = 0.3, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < share


def off(answer: Filled, truth: np.ndarray, hidden: np.ndarray) -> float:
    """Root mean squared error where hidden, in standard deviations of the truth there."""
    where = np.broadcast_to(hidden, truth.shape)
    return float(np.sqrt(np.mean((answer.mean - truth)[where] ** 2)) / truth[where].std())


IMAGE = (2, 9, 8)
TRAIN, TEST = smooth(60, IMAGE), smooth(12, IMAGE, seed=5)
GONE, ASKED = holes((60, 1, 9, 8), seed=2), holes((12, 1, 9, 8), seed=3)
FEW = {"iterative": np.s_[:, :, ::3, ::3]}  # it is slow
# How far off each may be: the mean is no better than a standard deviation, interpolation of waves
# with a third hidden misses by their curvature, regressions on low rank by next to nothing.
BOUNDS = {"mean": 1.2, "pca": 0.1, "biharmonic": 0.2, "linear": 0.2, "knn": 0.8, "iterative": 0.3}


def data(name: str) -> tuple[np.ndarray, ...]:
    """Training and test pictures with what is hidden of them."""
    train, gone, test, asked = (x[FEW.get(name, ...)].copy() for x in (TRAIN, GONE, TEST, ASKED))
    return train, gone, test, asked


def test_every_filler_has_a_bound():
    assert set(BOUNDS) == set(FILLERS)


@pytest.mark.parametrize("name", FILLERS)
def test_fillers_on_smooth_pictures(name: str):
    train, gone, test, asked = data(name)
    answer = fill(name, train, gone, test, asked, 6)
    assert answer.mean.dtype == np.float32 and answer.mean.shape == test.shape
    where = np.broadcast_to(asked, test.shape)
    assert np.array_equal(answer.mean[~where], test[~where]), "observed entries are as they were"
    assert off(answer, test, asked) < BOUNDS[name]


@pytest.mark.parametrize("name", FILLERS)
def test_what_is_hidden_says_nothing_to_fillers(name: str):
    train, gone, test, asked = data(name)
    one = fill(name, train, gone, test, asked, 6)
    train, test = np.where(gone, np.float32(1e6), train), np.where(asked, np.nan, test)
    two = fill(name, train, gone, test, asked, 6)
    assert np.array_equal(one.mean, two.mean) and np.isfinite(one.mean).all()
    for sd in (one.sd, two.sd):
        assert sd is None or (np.array_equal(sd, one.sd) and np.isfinite(sd).all())


@pytest.mark.parametrize("name", ["pca", "biharmonic", "linear"])
def test_channels_may_lie_last_in_memory(name: str):
    train, gone, test, asked = data(name)
    last = [np.ascontiguousarray(np.moveaxis(x, 1, -1)) for x in (train, test)]
    there = [np.moveaxis(x, -1, 1) for x in last]
    one = fill(name, train, gone, test, np.broadcast_to(asked, test.shape), 6)
    two = fill(name, there[0], gone, there[1], np.broadcast_to(asked, test.shape), 6)
    assert np.array_equal(one.mean, two.mean)


@pytest.mark.parametrize("name", FILLERS)
def test_channels_with_masks_of_their_own(name: str):
    train, gone, test, _ = data(name)
    asked = holes(test.shape, seed=4)
    answer = fill(name, train, gone, test, asked, 6)
    assert np.array_equal(answer.mean[~asked], test[~asked])
    assert off(answer, test, asked) < BOUNDS[name]


@pytest.mark.parametrize("name", FILLERS)
def test_nothing_hidden_comes_back(name: str):
    train, _, test, _ = data(name)
    assert np.array_equal(fill(name, train, None, test, None, 6).mean, test)


@pytest.mark.parametrize("name", FILLERS)
def test_signals_that_show_nothing_and_entries_that_no_one_shows(name: str):
    train, gone, test, asked = data(name)
    gone[..., 1, 1], asked[0] = True, True
    answer = fill(name, train, gone, test, asked, 6)
    assert np.isfinite(answer.mean).all()
    if name != "iterative":  # regressions on columns that are nearly one may go far astray
        assert np.abs(answer.mean).max() < 3 * np.abs(test).max()


def test_mean_knows_its_uncertainty():
    answer = fill("mean", TRAIN, GONE, TEST, ASKED, 6)
    column = np.ma.masked_array(TRAIN, np.broadcast_to(GONE, TRAIN.shape))
    where = np.broadcast_to(ASKED, TEST.shape)
    assert answer.sd is not None
    expected = (
        np.broadcast_to(column.mean(0), TEST.shape),
        np.broadcast_to(column.std(0, ddof=1), TEST.shape),
    )
    assert np.allclose(answer.mean[where], expected[0][where], atol=1e-6)
    assert np.allclose(answer.sd[where], expected[1][where], atol=1e-6)


def test_pca_knows_its_uncertainty():
    random = np.random.default_rng(0)
    truth = smooth(400, IMAGE) + random.normal(0, 0.05, (400, *IMAGE)).astype(np.float32)
    hidden = holes((400, 1, 9, 8))
    answer = fill("pca", truth, hidden, truth, hidden, 6)
    assert answer.sd is not None
    where = np.broadcast_to(hidden, truth.shape)
    w = ((answer.mean - truth) / answer.sd)[where]
    # 17,000 entries: standard errors are .003 and .01, twice that for entries of one signal.
    assert np.mean(np.abs(w) < 1.645) == pytest.approx(0.9, abs=0.015)
    assert np.mean(w**2) == pytest.approx(1, abs=0.05)


def test_linear_interpolation_of_a_ramp_is_exact():
    ramp = np.add.outer(np.arange(9.0), 2 * np.arange(8.0))[None, None].astype(np.float32)
    hidden = np.zeros((1, 1, 9, 8), bool)
    hidden[..., 2:7, 1:6] = True
    assert np.allclose(fill("linear", ramp, None, ramp, hidden, 1).mean, ramp, atol=1e-4)
    along = ramp[:, :, 0]
    assert np.allclose(fill("linear", along, None, along, hidden[:, :, 4], 1).mean, along)
    hidden = np.arange(8)[None, None] > 5
    answer = fill("linear", along, None, along, hidden, 1).mean
    assert answer[0, 0, 6:].tolist() == [10, 10], "beyond the last one its value"


@pytest.mark.parametrize("shape", [(2, 30), (1, 5, 6, 7)], ids=str)
def test_linear_along_any_number_of_axes(shape: tuple[int, ...]):
    truth, hidden = smooth(6, shape), holes((6, 1, *shape[1:]))
    assert off(fill("linear", truth, hidden, truth, hidden, 2), truth, hidden) < 0.3
    with pytest.raises(UserError, match="biharmonic: it fills pictures only"):
        fill("biharmonic", truth, hidden, truth, hidden, 2)


@pytest.mark.parametrize("name", [name for name in FILLERS if name not in ("linear", "biharmonic")])
def test_tables(name: str):
    random = np.random.default_rng(0)
    truth = (random.normal(size=(200, 2)) @ random.normal(size=(2, 6))).astype(np.float32)
    hidden = holes(truth.shape, 0.15)
    answer = fill(name, truth, hidden, truth, hidden, 2)
    assert np.array_equal(answer.mean[~hidden], truth[~hidden])
    # Two of the six columns tell all others: pca knows it. Ten rounds of regressions that start
    # from means do not get there, nor do neighbours.
    assert off(answer, truth, hidden) < {"mean": 1.1, "pca": 0.35}.get(name, 0.8)


@pytest.mark.parametrize("name, imputer", [("knn", KNNImputer), ("iterative", IterativeImputer)])
def test_what_is_not_finite_is_told_by_the_answer_and_not_by_a_flag(
    name: str, imputer: type, monkeypatch: pytest.MonkeyPatch
):
    table = X[:, :, 0, 0]
    hidden = holes(table.shape)
    transform = imputer.transform

    def flagged(self, x: np.ndarray) -> np.ndarray:
        np.sqrt(np.float32(-1))  # warns, as a BLAS does now and then over finite products
        return transform(self, x)

    with monkeypatch.context() as patched:
        patched.setattr(imputer, "transform", flagged)
        assert np.isfinite(fill(name, table, hidden, table, hidden, 2).mean).all()
        patched.setattr(imputer, "transform", lambda self, x: transform(self, x) * np.nan)
        with pytest.raises(UserError, match=f"--against {name}: its answer is not finite"):
            fill(name, table, hidden, table, hidden, 2)


def test_what_fillers_refuse():
    table = X[:, :, 0, 0]
    hidden = holes(table.shape)
    with pytest.raises(UserError, match="linear: a table has no neighbours"):
        fill("linear", table, hidden, table, hidden, 2)
    with pytest.raises(UserError, match="biharmonic: it fills pictures only"):
        fill("biharmonic", table, hidden, table, hidden, 2)
    with pytest.raises(UserError, match="pca: 7 components at most from 7 training signals"):
        fill("pca", X, None, Y, None, 8)
    with pytest.raises(UserError, match="iterative: it does not finish with 363 columns"):
        fill("iterative", np.zeros((2, 3, 11, 11)), None, np.zeros((2, 3, 11, 11)), None, 1)
    with pytest.raises(UserError, match="mean: everything is hidden in the training signals"):
        fill("mean", X, np.ones(X.shape, bool), Y, None, 2)
    with pytest.raises(UserError, match="did you mean 'biharmonic'"):
        fill("biharmonc", X, None, Y, None, 2)


# Indirect measurements ------------------------------------------------------------------------


@pytest.mark.parametrize("count", [5, 60, 90])
def test_minnorm_is_the_pseudoinverse(count: int):
    A = RANDOM.normal(size=(count, 60)).astype(np.float32)
    x = RANDOM.normal(size=(4, 60))
    y = (x @ A.T).astype(np.float32)
    answer = recover("minnorm", y, A, (3, 4, 5))
    assert answer.mean.shape == (4, 3, 4, 5) and answer.mean.dtype == np.float32
    flat = answer.mean.reshape(4, 60)
    # float32 measurements and answers; a square matrix of noise has a condition number of 100s.
    assert np.allclose(flat, y @ np.linalg.pinv(A.astype(np.float64)).T, atol=2e-3)
    assert np.allclose(flat @ A.T, y, atol=2e-3), "it agrees with what was measured"
    if count > 60:
        assert np.allclose(flat, x, atol=1e-4)


def test_minnorm_of_measurements_that_repeat_each_other():
    A = np.repeat(RANDOM.normal(size=(5, 60)), 3, 0).astype(np.float32)
    y = (RANDOM.normal(size=(4, 60)) @ A.T).astype(np.float32)
    flat = recover("minnorm", y, A, (60,)).mean
    assert np.allclose(flat @ A.T, y, atol=1e-4)
    assert np.allclose(flat, y @ np.linalg.pinv(A.astype(np.float64)).T, atol=1e-4)


@pytest.mark.parametrize("shape", [(1, 12, 12), (3, 7, 8), (1, 150)], ids=str)
def test_lasso_finds_signals_of_few_waves(shape: tuple[int, ...]):
    random = np.random.default_rng(0)
    D = int(np.prod(shape))
    c = np.zeros((6, D))
    for row in c:
        row[random.choice(D, 5, replace=False)] = random.choice([-1, 1], 5) * random.uniform(
            1, 2, 5
        )
    x = idctn(c.reshape(6, *shape), axes=range(1, 1 + len(shape)), norm="ortho")
    A = random.normal(size=(60, D)) / np.sqrt(D)
    y = (x.reshape(6, D) @ A.T).astype(np.float32)
    errors = {
        name: np.linalg.norm(recover(name, y, A, shape).mean - x) / np.linalg.norm(x)
        for name in ("minnorm", "lasso")
    }
    # 60 of 150 numbers, 5 waves: compressed sensing. What is left is lambda's shrinking, some
    # hundredths of the largest coefficient; the least signal misses 90 of 150 directions.
    assert errors["lasso"] < 0.1
    assert errors["minnorm"] > 0.6


def test_lasso_of_nothing_is_nothing():
    A = RANDOM.normal(size=(9, 60))
    assert not recover("lasso", np.zeros((3, 9), np.float32), A, (60,)).mean.any()
    assert recover("lasso", np.ones((1, 9), np.float32), A, (3, 4, 5)).mean.shape == (1, 3, 4, 5)


def test_total_variation_finds_pictures_of_few_edges():
    pytest.importorskip("deepinv", reason="total variation is deepinv's; it is not installed")
    x = np.zeros((2, 1, 16, 16), np.float32)
    x[0, 0, 3:11, 5:12], x[1, 0, :, 9:] = 1, -0.5
    A = np.random.default_rng(0).normal(size=(110, 256)).astype(np.float32) / 16
    y = x.reshape(2, 256) @ A.T
    errors = {name: np.abs(recover(name, y, A, (1, 16, 16)).mean - x).mean()
              for name in ("minnorm", "tv")}  # fmt: skip
    assert errors["tv"] < 0.2 * errors["minnorm"]


def test_what_recoveries_refuse():
    if find_spec("deepinv") is None:
        with pytest.raises(UserError, match="tv: needs deepinv; pip install deepinv"):
            recover("tv", np.zeros((2, 5)), np.zeros((5, 48)), (3, 4, 4))
    with pytest.raises(UserError, match="tv: for pictures"):
        recover("tv", np.zeros((2, 5)), np.zeros((5, 60)), (60,))
    with pytest.raises(UserError, match="minnorm: A is 5x60, but y has 4 numbers and a signal 60"):
        recover("minnorm", np.zeros((2, 4)), np.zeros((5, 60)), (60,))
    with pytest.raises(UserError, match="lasso: A is 5x60, but y has 5 numbers and a signal 30"):
        recover("lasso", np.zeros((2, 5)), np.zeros((5, 60)), (30,))
    with pytest.raises(UserError, match="did you mean 'lasso'"):
        recover("laso", np.zeros((2, 5)), np.zeros((5, 60)), (60,))
