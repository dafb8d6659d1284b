"""Leading directions of z: exact for a linear f, orthonormal and in order for any."""

from __future__ import annotations

import pytest
import torch
from models import conv_model, linear_model

from abprop import tasks
from abprop.errors import UserError
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.priors import StandardNormal

NOISE = Noise(0, "directions")


def test_a_linear_f_gives_the_singular_vectors_of_its_loadings():
    model = linear_model()
    W = model.network(torch.eye(4).double()) - model.network(torch.zeros(1, 4).double())  # (d, D)
    found, shares = tasks.directions(model, 4, NOISE)
    left, values, _ = torch.linalg.svd(W.detach())
    assert torch.allclose((found @ left).abs(), torch.eye(4).double(), atol=1e-9)
    assert torch.allclose(shares, values**2 / (values**2).sum())
    assert ((found @ W).sum(1) > 0).all()  # along each the entries grow


@pytest.mark.parametrize("count", [1, 3, 6, 20])
def test_they_are_orthonormal_and_the_leading_one_comes_first(count: int):
    found, shares = tasks.directions(conv_model(), count, NOISE)
    k = min(count, 6)
    assert found.shape == (k, 6) and shares.shape == (k,)
    assert torch.allclose(found @ found.T, torch.eye(k), atol=1e-5)
    assert (shares.diff() <= 0).all() and 0 < shares.sum() <= 1 + 1e-5
    again, _ = tasks.directions(conv_model(), count, NOISE, chunk=32)
    assert torch.allclose(found, again, atol=1e-3)


def test_the_first_one_moves_f_most_on_average():
    model = conv_model()
    found, _ = tasks.directions(model, 6, NOISE)
    z = tasks.draw(model, 256, Noise(1, "draws"))

    def change(u: torch.Tensor) -> float:
        step = model.network(z + 0.1 * u) - model.network(z - 0.1 * u)
        return step.mean(0).square().sum().item()

    with torch.no_grad():
        moved = [change(u) for u in found]
    assert moved[0] == max(moved) and moved[-1] == min(moved)


def test_a_map_has_none():
    latent = (4, 3, 3)
    model = Model(ConvGenerator(latent, (1, 8, 8)), StandardNormal(latent), Gaussian(0.3))
    with pytest.raises(UserError, match="no leading directions"):
        tasks.directions(model, 2, NOISE)
