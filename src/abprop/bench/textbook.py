"""The same network driven in the textbook way: what `bench` holds ours against.

Float32, default memory format, one plain layer after the other, and autograd, which makes the
gradients for the weights at every Langevin step too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.networks import SLOPE, ConvGenerator

_UP = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
SIGMA, STEP = 0.3, 0.1


def generate(network: ConvGenerator, z: Tensor) -> Tensor:
    """f(z) in plain layers: z (B, *latent_shape) -> (B, C, *size)."""
    coarse, *finer = network.levels.split(z)
    h = F.linear(coarse.movedim(1, -1), network.dense, network.dense_bias)
    h = h.reshape(*h.shape[:-1], *network.fixed, -1).movedim(-1, 1).contiguous()
    last = len(network.weights) - 1
    for i, (w, b) in enumerate(zip(network.weights, network.biases, strict=True)):
        h = _stage(network.axes, F.leaky_relu(h, SLOPE), w, b, rim=1 if i == last else 2)
        if i < len(finer):
            part = _middle(finer[i], h.shape[2:]).movedim(1, -1)
            h = h + F.linear(part, network.finer[i]).movedim(-1, 1)
    return torch.tanh(_middle(h, network.size))


def _stage(axes: int, h: Tensor, w: Tensor, b: Tensor, rim: int) -> Tensor:
    """A transposed convolution; of a map along `axes` that it leaves as it is, at each place."""
    doubled, whole = w.ndim - 2, h.ndim - 2
    if doubled < whole:
        frames = h.movedim(1, 1 + axes)
        out = _stage(0, frames.flatten(0, axes), w, b, rim)
        return out.reshape(*frames.shape[: 1 + axes], *out.shape[1:]).movedim(1 + axes, 1)
    padding = (rim,) * axes + (1,) * (doubled - axes)
    return _UP[doubled](h, w, b, stride=2, padding=padding)


def _middle(x: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of x (B, C, ...), of side lengths `size`."""
    starts = [(n - m) // 2 for n, m in zip(x.shape[2:], size, strict=True)]
    windows = (slice(s, s + m) for s, m in zip(starts, size, strict=True))
    return x[(..., *windows)]


def langevin(network: ConvGenerator, y: Tensor, z: Tensor) -> Callable[[], Tensor]:
    """One Langevin step, from z each time.

    Args:
        network: in float32.
        y: signals (B, C, *size).
        z: latents (B, *latent_shape).
    """
    y, random = y.contiguous(), torch.Generator(z.device).manual_seed(0)

    def step() -> Tensor:
        here = z.clone().requires_grad_(True)
        error = (y - generate(network, here)).square().sum() / (2 * SIGMA**2)
        (error + here.square().sum() / 2).backward()
        network.zero_grad()
        assert here.grad is not None
        noise = torch.randn(z.shape, generator=random, device=z.device)
        return here.detach() - STEP**2 / 2 * here.grad + STEP * noise

    return step
