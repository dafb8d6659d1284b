"""The metric learns coordinates in which every direction is about equally stiff."""

import torch
from models import normal

from abprop.inference import (
    Metric,
)
from abprop.noise import Noise


def test_the_metric_makes_a_thousandfold_spectrum_round() -> None:
    d, batch = 20, 500
    U = torch.linalg.qr(normal((d, d)))[0]
    H = U @ torch.diag(torch.logspace(0, 3, d)) @ U.T
    metric = Metric.plain(torch.zeros(1, d), 1e-3)
    for t in range(8):
        metric.looks = torch.zeros(())
        u = Noise(t).at(torch.arange(batch)).normal((d,)).float()
        metric.update(metric.pull(metric.push(u) @ H))
    curvatures = torch.linalg.eigvalsh(metric.root.T @ H @ metric.root)
    assert curvatures.min() > 0.75 and curvatures.max() < 1.33


def test_the_metric_ignores_what_is_not_finite_and_bounds_outliers() -> None:
    looks = normal((64, 3, 2, 2))
    clean, dirty = Metric.plain(looks), Metric.plain(looks)
    clean.update(looks[:63])
    looks[63] = float("nan")
    dirty.update(looks)
    torch.testing.assert_close(dirty.root, clean.root)
    looks[63] = 1e20
    dirty = Metric.plain(looks)
    dirty.update(looks)
    assert torch.isfinite(dirty.root).all() and dirty.root.diagonal().min() > 0.2


def test_a_map_shares_one_matrix_over_its_positions() -> None:
    metric, v = Metric(normal((3, 3))), normal((2, 3, 4, 5))
    expected = torch.einsum("ab,nbhw->nahw", metric.root, v)
    torch.testing.assert_close(metric.push(v), expected)
    torch.testing.assert_close((metric.pull(v) * v).sum(), (v * metric.push(v)).sum())
