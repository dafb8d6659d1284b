"""Errors against numpy, nearest neighbours against a search."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from abprop.evaluate import errors, nearest

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
