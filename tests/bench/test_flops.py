"""The formula counts what PyTorch's own counter sees of the plain network."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from abprop.bench import NETS, flops
from abprop.bench.textbook import generate
from abprop.learning import make_network
from abprop.networks import ConvGenerator

ROWS = 2


def shapes_alone(name: str) -> tuple[ConvGenerator, torch.Tensor]:
    """A net and latents for it without any numbers: only shapes are counted."""
    net = NETS[name]
    with torch.device("meta"):
        f = make_network(net.settings(torch.device("cpu")).model, net.shape, torch.float32)
        assert isinstance(f, ConvGenerator)
        return f, torch.empty(ROWS, *f.latent_shape)


def counted(f: ConvGenerator, z: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        generate(f, z).sum().backward()
    return counter.get_total_flops()


@pytest.mark.parametrize("name", NETS)
def test_a_step_is_a_pass_forward_and_back_to_z(name: str):
    f, z = shapes_alone(name)
    assert counted(f.requires_grad_(False), z.requires_grad_(True)) == ROWS * flops.step(f)


@pytest.mark.parametrize("name", NETS)
def test_an_iteration_is_its_steps_and_a_pass_back_to_the_weights(name: str):
    f, z = shapes_alone(name)
    weights = counted(f, z)
    assert ROWS * flops.iteration(f, 0) == weights
    assert flops.iteration(f, 5) - flops.iteration(f, 0) == 5 * flops.step(f)


def test_by_hand():
    """d = 2, widths 8 and 4, 1x16x16: 16 cells, then 4x4 and 8x8 inputs of 16 taps."""
    f = ConvGenerator((2,), (1, 16, 16), channels=4)
    dense, stages = 2 * 16 * 8 * 2, 2 * 16 * (16 * 8 * 4 + 64 * 4 * 1)
    assert flops.step(f) == 2 * (dense + stages)
    assert flops.iteration(f, 1) == flops.step(f) + 2 * dense + 3 * stages
