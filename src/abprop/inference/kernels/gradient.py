"""Gradient ascent: Langevin without the noise (the paper's variant; a mode of the posterior).

u <- u + (s^2 / 2) d/du log p
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from abprop.inference.base import Chain
from abprop.inference.unadjusted import Unadjusted
from abprop.noise import Keyed


@dataclass(frozen=True)
class GradientAscent(Unadjusted):
    """Ascends to a mode.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    samples: ClassVar[bool] = False

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: at .5 the stiffest direction would be done in one step."""
        return 0.25

    def added(self, chain: Chain, noise: Keyed) -> tuple[Tensor | None, Tensor | None]:
        """Nothing."""
        return None, None
