"""The textbook's way goes where ours goes, and makes the gradients that ours leaves out."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from abprop.bench import NETS
from abprop.bench.nets import network
from abprop.bench.textbook import SIGMA, STEP, generate, langevin
from abprop.networks import ConvGenerator

CPU = torch.device("cpu")


@pytest.mark.parametrize("name", NETS)
@torch.no_grad()
def test_plain_layers_are_the_network(name: str):
    f = network(NETS[name], CPU, torch.float32)
    z = torch.randn(1, *f.latent_shape, generator=torch.Generator().manual_seed(1))
    x = generate(f, z)
    assert x.shape == (1, *f.signal_shape)
    assert_close(x, f(z), rtol=0, atol=1e-5)


def test_a_step_is_langevins_and_makes_gradients_of_the_weights():
    f = ConvGenerator((3,), (1, 8, 8), channels=4)
    f.reset(lambda size: torch.randn(size, generator=torch.Generator().manual_seed(0)))
    random = torch.Generator().manual_seed(2)
    y, z = torch.rand(2, 1, 8, 8, generator=random), torch.randn(2, 3, generator=random)
    made = []
    for p in f.parameters():
        p.register_hook(lambda gradient: made.append(gradient.shape))

    step = langevin(f, y, z)
    moved = step()
    assert sorted(made) == sorted(p.shape for p in f.parameters())
    assert all(p.grad is None for p in f.parameters())

    here = z.clone().requires_grad_(True)
    log_p = -(y - f(here)).square().sum() / (2 * SIGMA**2) - here.square().sum() / 2
    (gradient,) = torch.autograd.grad(log_p, here)
    noise = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    assert_close(moved, z + STEP**2 / 2 * gradient + STEP * noise)
