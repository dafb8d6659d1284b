"""Unadjusted Langevin dynamics, the paper's kernel.

    u <- u + (s^2 / 2) d/du log p + s noise

On a Gaussian posterior with precision lambda along some direction the chain's variance there is
1 / (lambda (1 - s^2 lambda / 4)). A step that aims at s^2 lambda / 4 = a for the stiffest direction
of an example makes it too large by a / (1 - a) there, and by less elsewhere: 6.4 % with a = .06.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from abprop.inference.base import Chain, normal
from abprop.inference.unadjusted import Unadjusted
from abprop.noise import Keyed


@dataclass(frozen=True)
class Langevin(Unadjusted):
    """Euler's discretisation of Langevin dynamics.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: the bias of the variance, where the posterior is stiffest."""
        return 0.06

    def added(self, chain: Chain, noise: Keyed) -> tuple[Tensor | None, Tensor | None]:
        """Noise of this step."""
        return normal(noise, chain.z), None
