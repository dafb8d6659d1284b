"""What the model asks of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from abprop.networks.levels import Levels

Pullback = Callable[[Tensor], Tensor]
Frozen = Callable[[Tensor], tuple[Tensor, Pullback]]


class Generator(nn.Module, ABC):
    """What the model asks of a network.

    Attributes:
        latent_shape: of one z.
        signal_shape: (C, *size) of one x.
        stages: how many times a map's cell is doubled on its way to the signal.
        levels: at which scales a map's factors enter.
    """

    latent_shape: tuple[int, ...]
    signal_shape: tuple[int, ...]
    stages: int = 0
    levels: Levels

    @property
    def stationary(self) -> bool:
        """Whether z is a map: then a larger one is a larger signal."""
        return len(self.latent_shape) > 1

    @abstractmethod
    def forward(self, z: Tensor) -> Tensor:
        """Signals (B, C, *size), differentiable in z and W."""

    @abstractmethod
    def freeze(self) -> Frozen:
        """z -> (x, pullback) for the weights as they are."""

    @abstractmethod
    def reset(self, normal: Callable[[tuple[int, ...]], Tensor]) -> None:
        """Draw the weights afresh; `normal(shape)` gives standard normals."""

    @abstractmethod
    def centre(self, mean: Tensor) -> None:
        """Begin about a mean (C,) of each channel."""

    @abstractmethod
    def fold(self, mean: Tensor, root: Tensor) -> None:
        """Absorb z = mean + root z' into the weights."""


def padded(w: Tensor) -> Tensor:
    """w with columns of zeros up to a multiple of 16, so that rows of g @ w have bits of their own.

    With fewer columns matrix kernels choose another order of summation for the rows at the edge.
    """
    return F.pad(w, (0, -w.shape[1] % 16)) if w.shape[1] % 16 else w
