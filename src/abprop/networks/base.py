"""What the model asks of a network."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from torch import Tensor, nn

from abprop.networks.levels import Levels
from abprop.networks.stages import Stage

Pullback = Callable[[Tensor], Tensor]
Frozen = Callable[[Tensor], tuple[Tensor, Pullback]]


class Generator(nn.Module, ABC):
    """What the model asks of a network.

    Attributes:
        latent_shape: of one z.
        signal_shape: (C, *size) of one x.
        stages: how many times a map's cell is doubled on its way to the signal.
        levels: at which scales a map's factors enter.
        layers: those that can be computed in several forms, and
        forms: how they are, see `stages`.
    """

    latent_shape: tuple[int, ...]
    signal_shape: tuple[int, ...]
    stages: int = 0
    levels: Levels
    layers: Sequence[Stage] = ()
    forms: tuple[str, ...] = ()

    @property
    def stationary(self) -> bool:
        """Whether z is a map: then a larger one is a larger signal."""
        return len(self.latent_shape) > 1

    def precise(self) -> Generator:
        """The same f, computed in float32 at least."""
        return self

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
