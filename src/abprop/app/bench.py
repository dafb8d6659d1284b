"""`abprop bench`: one Langevin step here against the same network driven in the textbook way.

Textbook: float32, default memory format, autograd, gradients for the weights too. Ours: `infer` as
`fit` calls it on this machine. Both take five steps, each one pass forward and back for the same 64
examples; the times are those of one step.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop import machine
from abprop.inference import Langevin, State, infer
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import SLOPE, ConvGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.priors import StandardNormal
from abprop.say import Say

BATCH, LATENT, SHAPE, CHANNELS = 64, 100, (3, 64, 64), 64
STEPS = 5  # in a visit, as in the preset for images
GFLOP = 0.42 * BATCH  # of one pass forward and back to z


def bench(runs: int, say: Say) -> dict[str, Any]:
    """Medians of interleaved runs.

    Args:
        runs: how many of each.
        say: told what is measured.
    """
    where = machine.device("auto")
    threads = machine.set_threads(0)
    dtype = machine.precision("auto", where, lambda dtype: _network(where, dtype), BATCH)
    say(f"one Langevin step, {BATCH} faces of 64x64, d = {LATENT}, {CHANNELS} channels, {where}")
    textbook, ours = _textbook(where), _ours(where, dtype)
    for step in (textbook, ours):
        step()
    times: dict[str, list[float]] = {"textbook": [], "ours": []}
    for _ in range(runs):
        times["textbook"].append(_seconds(textbook, where))
        times["ours"].append(_seconds(ours, where))
    ratios = [a / b for a, b in zip(times["textbook"], times["ours"], strict=True)]
    return {
        "device": where.type,
        "threads": threads,
        "precision": str(dtype).removeprefix("torch."),
        "textbook_ms": 1e3 * statistics.median(times["textbook"]),
        "ours_ms": 1e3 * statistics.median(times["ours"]),
        "ratio": statistics.median(ratios),
        "ratio_min": min(ratios),
        "ratio_max": max(ratios),
        "gflops": GFLOP / statistics.median(times["ours"]),
        "runs": runs,
    }


def _seconds(step: Callable[[], object], where: torch.device) -> float:
    _wait(where)
    began = time.perf_counter()
    step()
    _wait(where)
    return (time.perf_counter() - began) / STEPS


def _wait(where: torch.device) -> None:
    if where.type == "cuda":
        torch.cuda.synchronize()


def _network(where: torch.device, dtype: torch.dtype) -> ConvGenerator:
    network = ConvGenerator((LATENT,), SHAPE, channels=CHANNELS, dtype=dtype)
    noise = iter(Noise(i, "bench") for i in range(100))
    network.reset(lambda shape: next(noise).at(torch.zeros(1)).normal(shape)[0].float())
    return network.to(where)


def _examples(where: torch.device) -> tuple[Tensor, Tensor]:
    y = Noise(0, "bench y").at(torch.arange(BATCH)).uniform(SHAPE[0] * SHAPE[1] * SHAPE[2])
    z = Noise(0, "bench z").at(torch.arange(BATCH)).normal((LATENT,))
    return (2 * y - 1).float().reshape(BATCH, *SHAPE).to(where), z.float().to(where)


def _textbook(where: torch.device) -> Callable[[], Tensor]:
    network = _network(where, torch.float32)
    y, z = _examples(where)

    def generate(z: Tensor) -> Tensor:
        h = F.linear(z, network.dense, network.dense_bias)
        h = F.leaky_relu(h.reshape(BATCH, 4, 4, -1).permute(0, 3, 1, 2).contiguous(), SLOPE)
        for w, b in zip(network.weights[:-1], network.biases[:-1], strict=True):
            h = F.leaky_relu(F.conv_transpose2d(h, w, b, stride=2, padding=1), SLOPE)
        return torch.tanh(
            F.conv_transpose2d(h, network.weights[-1], network.biases[-1], stride=2, padding=1)
        )

    def visit() -> Tensor:
        moved, s = z, 0.1
        for _ in range(STEPS):
            here = moved.clone().requires_grad_(True)
            energy = (y - generate(here)).square().sum() / (2 * 0.3**2) + here.square().sum() / 2
            energy.backward()
            network.zero_grad()
            assert here.grad is not None
            moved = here.detach() - s**2 / 2 * here.grad + s * torch.randn_like(z)
        return moved

    return visit


def _ours(where: torch.device, dtype: torch.dtype) -> Callable[[], State]:
    model = Model(_network(where, dtype), StandardNormal((LATENT,)), Gaussian(0.3)).to(where)
    y, z = _examples(where)
    y = y.contiguous(memory_format=torch.channels_last)
    A, ids = Identity(BATCH, SHAPE).to(where), torch.arange(BATCH, device=where)
    state = State.begin(z, 0.1)

    def visit() -> State:
        noise = Noise(0).at(ids)
        return infer(model, y, A, state, Langevin(0.1), steps=STEPS, noise=noise, chunk=BATCH)[0]

    return visit
