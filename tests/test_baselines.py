"""Baselines against scikit-learn and against answers known beforehand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from abprop.baselines import BASELINES, baseline
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
    assert set(BASELINES) == {"mean", "pca"}
