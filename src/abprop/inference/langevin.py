"""Unadjusted Langevin dynamics, the paper's kernel.

    u <- u + (s^2 / 2) d/du log p + s noise

On a Gaussian posterior with precision lambda along some direction the chain's variance there is
1 / (lambda (1 - s^2 lambda / 4)). A step that aims at s^2 lambda / 4 = a for the stiffest direction
of an example makes it too large by a / (1 - a) there, and by less elsewhere: 6.4 % with a = .06.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from abprop.inference.adapt import shortened
from abprop.inference.base import Chain, Moved, expand, norm, normal
from abprop.model import Score
from abprop.noise import Keyed


@dataclass(frozen=True)
class Langevin:
    """Euler's discretisation of Langevin dynamics.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True
    adjusted: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    fewest: ClassVar[float] = 0.0

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: the bias of the variance, where the posterior is stiffest."""
        return 0.06

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """One move from chain.z; the score where it lands is left for the next one."""
        log_p, grad = chain.here(score)
        pulled = chain.metric.pull(grad)
        s, stable = shortened(self, chain, pulled)
        wide = expand(s, chain.z)
        u = wide**2 / 2 * pulled + wide * normal(noise, chain.z)
        moved = Chain(chain.z + chain.metric.push(u), s, chain.metric, left=(norm(u), pulled))
        return moved, Moved(log_p, torch.ones_like(s), stable)
