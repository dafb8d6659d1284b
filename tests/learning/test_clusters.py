"""Latents in two clusters behind a linear generator: what each prior makes of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from abprop.data import Examples
from abprop.learning import InferSettings, Learning, ModelSettings, Settings, TrainSettings
from abprop.measures.pictures import frechet
from abprop.noise import Noise
from abprop.operators import Identity

N, D, SHAPE = 400, 2, (12,)


def factors(count: int, seed: int) -> Tensor:
    rows = torch.arange(count)
    z = Noise(seed, "factors").at(rows).normal((D,)).float() * torch.tensor([0.35, 1.0])
    z[:, 0] += torch.where(rows % 2 == 0, -1.5, 1.5)
    return z


def seen(z: Tensor, seed: int) -> Tensor:
    loadings = Noise(5, "loadings").at(torch.arange(D)).normal(SHAPE).float()
    noise = Noise(seed, "seen").at(torch.arange(len(z))).normal(SHAPE).float()
    return 0.2 * z @ loadings + 0.05 * noise


def learned(prior: str) -> Learning:
    """A linear generator that has learned what it can."""
    settings = Settings(
        ModelSettings((D,), network="linear", sigma=0.05, prior=prior),
        InferSettings(steps=2, chunk=112, start="pca"),
        TrainSettings(iterations=300, batch=100, learning_rate=0.003),
    )
    y = seen(factors(N, 0), 0)
    learning = Learning(settings, Examples(y, Identity(N, SHAPE), torch.arange(N), SHAPE))
    for _ in learning.steps(300):
        pass
    learning.model.prior.remember(learning.latents.z, None, N)
    return learning


def made(learning: Learning) -> Tensor:
    with torch.no_grad():
        return learning.model.network(learning.model.prior.draw(Noise(3, "draws"), N).float())


def gap(x: Tensor) -> float:
    """Share between the clusters, along the axis that parts them."""
    loadings = Noise(5, "loadings").at(torch.arange(D)).normal(SHAPE).float()
    z = torch.linalg.lstsq(0.2 * loadings.T, x.T).solution.T
    return (z[:, 0].abs() < 0.7).double().mean().item()


def energy(x: Tensor) -> float:
    """Energy distance to unseen signals."""
    unseen = 0.2 * factors(N, 9) @ Noise(5, "loadings").at(torch.arange(D)).normal(SHAPE).float()
    within = [torch.cdist(v, v).sum() / (N * (N - 1)) for v in (x, unseen)]
    return (2 * torch.cdist(x, unseen).mean() - sum(within)).item()


@pytest.fixture(scope="module")
def gaussian() -> Tensor:
    return made(learned("gaussian"))


@pytest.mark.parametrize("prior", ["mixture", "learned"])
def test_clusters_come_back_and_draws_beat_the_gaussians(prior: str, gaussian: Tensor) -> None:
    x = made(learned(prior))
    assert gap(gaussian) > 0.25 and gap(x) < 0.7 * gap(gaussian)
    assert energy(x) < 0.6 * energy(gaussian)
    unseen = seen(factors(N, 9), 9)
    assert frechet(x, unseen) < 2 * frechet(gaussian, unseen), "mean and covariance stay"
