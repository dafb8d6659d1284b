"""Factor analysis as a network: what is known exactly."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.networks.base import Frozen, Generator, Pullback
from abprop.networks.levels import Levels
from abprop.networks.stages import padded


class LinearGenerator(Generator):
    """x = W z + b: factor analysis, whose posterior and likelihood are known exactly.

    Args:
        latent_shape: (d,).
        signal_shape: (C, *size).
    """

    def __init__(self, latent_shape: tuple[int, ...], signal_shape: tuple[int, ...]) -> None:
        super().__init__()
        if len(latent_shape) != 1:
            raise UserError(f"model.latent={latent_shape}: a linear network takes a vector latent")
        self.latent_shape, self.signal_shape = latent_shape, signal_shape
        self.levels = Levels(latent_shape, 1, 0)
        self.weight = nn.Parameter(torch.zeros(math.prod(signal_shape), latent_shape[0]))
        self.bias = nn.Parameter(torch.zeros(math.prod(signal_shape)))

    def forward(self, z: Tensor) -> Tensor:
        """Signals (B, *signal_shape) of latents (B, d)."""
        return F.linear(z, self.weight, self.bias).reshape(-1, *self.signal_shape)

    def freeze(self) -> Frozen:
        """z -> (x, v -> W^T v)."""
        weight, d = padded(self.weight.detach()), self.latent_shape[0]

        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            return self(z).detach(), lambda v: (v.flatten(1) @ weight)[:, :d]

        return run

    @torch.no_grad()
    def reset(self, normal: Callable[[tuple[int, ...]], Tensor]) -> None:
        """Draw the weights afresh; `normal(shape)` gives standard normals."""
        self.weight.copy_(normal(tuple(self.weight.shape)) / math.sqrt(self.latent_shape[0]))
        self.weight.mul_(0.1)
        self.bias.zero_()

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Begin about a mean (C,) of each channel."""
        self.bias.copy_(mean.repeat_interleave(len(self.bias) // len(mean)))

    @torch.no_grad()
    def fold(self, mean: Tensor, root: Tensor) -> None:
        """Absorb z = mean + root z' into the weights."""
        self.bias.add_(self.weight @ mean)
        self.weight.copy_(self.weight @ root)
