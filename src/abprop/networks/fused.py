"""Inference through a network for pictures on a GPU, what lies between its products fused.

    h_i = leaky(up(h_{i-1}) + b)            one kernel: each place of a cell is a product of its own
    x   = tanh(sum of the taps that meet at each place + b)      taps: one product, (B n m, 16 C)
    g   = leaky'(h) * down((1 - x^2) v)     the last layer's transpose: one kernel, nothing stored
    z enters as two bfloat16 numbers, z = hi + lo + O(2^-17 z): small steps are not lost

The same function as `ConvGenerator.freeze`, up to rounding (a test holds them together); for a
vector latent, pictures of at most 4 channels whose canvas has no margin, and bfloat16. A product
between small tensors is bound by memory, and these were half of the time. Needs Triton, which comes
with PyTorch for CUDA; where it cannot be had nothing is said, and the plain way is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.networks.base import Frozen, Pullback
from abprop.networks.stages import Stage, channels_last, unrelu

MOST_CHANNELS = 4  # of a picture: 16 taps each are the 64 columns of a tile


class Deconvolutions(Protocol):
    """What is asked of a network, see `ConvGenerator`."""

    dims: int
    axes: int
    size: tuple[int, ...]
    fixed: tuple[int, ...]
    latent_shape: tuple[int, ...]
    dtype: torch.dtype
    forms: tuple[str, ...]

    @property
    def layers(self) -> Sequence[Stage]: ...
    @property
    def weights(self) -> Any: ...
    @property
    def biases(self) -> Any: ...
    @property
    def dense(self) -> Tensor: ...
    @property
    def dense_bias(self) -> Tensor: ...


def frozen(network: Deconvolutions) -> Frozen | None:
    """z -> (x, pullback); None where this way does not apply."""
    if not _suits(network):
        return None
    kernels = _kernels(network.dense.device)
    return None if kernels is None else _frozen(network, kernels)


def _suits(network: Deconvolutions) -> bool:
    w = network.weights[-1]
    return (
        w.is_cuda
        and network.dtype == torch.bfloat16
        and network.dims == 2
        and not network.axes
        and network.size == tuple(n * 2 ** len(network.weights) for n in network.fixed)
        and w.shape[1] <= MOST_CHANNELS
        and w.shape[0] in (16, 32, 64, 128)
    )


@cache
def _kernels(device: torch.device) -> Any:
    """The kernels if they run there: Triton wants a compiler and a driver that suits it."""
    try:
        from abprop.networks import kernels

        kernels.activate(
            torch.zeros(16, dtype=torch.bfloat16, device=device), torch.zeros(16).to(device)
        )
    except Exception:  # whatever it was, the plain way computes the same
        return None
    return kernels


def _frozen(network: Deconvolutions, kernels: Any) -> Frozen:
    low, layers = torch.bfloat16, network.layers[:-1]
    weights = [channels_last(w.to(low)) for w in network.weights[:-1]]
    matrices = [w.permute(2, 3, 0, 1).flatten(0, 1).contiguous() for w in weights]
    downs = [a.down(w, f[1]) for a, w, f in zip(layers, weights, network.forms, strict=False)]
    last, d = network.weights[-1], network.latent_shape[0]
    taps = last.permute(0, 2, 3, 1).flatten(1).to(low)  # (a, 16 C): C innermost
    back = F.pad(taps.T, (0, 0, 0, 64 - taps.shape[1])).contiguous()
    dense = network.dense.to(low)
    twice = torch.cat((dense, dense), 1).T.contiguous()  # (2 d, cells widths[0])
    wide = F.pad(dense, (0, -d % 16))
    (rows, columns), width = network.fixed, network.weights[0].shape[0]

    @torch.no_grad()
    def run(z: Tensor) -> tuple[Tensor, Pullback]:
        high = z.to(low)
        h = torch.cat((high, (z - high).to(low)), 1) @ twice
        kernels.activate(h, network.dense_bias)
        hidden = [h.reshape(len(z), rows, columns, width).permute(0, 3, 1, 2)]
        for w, b in zip(matrices, network.biases, strict=False):
            hidden.append(kernels.ascend(hidden[-1], w, b))
        x = kernels.finish(hidden[-1], taps, network.biases[-1])

        @torch.no_grad()
        def pullback(v: Tensor) -> Tensor:
            g = kernels.begin(v, x, back, hidden[-1])
            for i in reversed(range(len(downs))):
                g = unrelu(downs[i](g), hidden[i])
            g = g.permute(0, 2, 3, 1).reshape(len(z), -1)
            return torch.mm(g, wide, out_dtype=torch.float32)[:, :d]

        return x, pullback

    return run
