"""Gradient ascent: Langevin without the noise (the paper's variant; a mode of the posterior).

u <- u + (s^2 / 2) d/du log p
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from abprop.inference.adapt import shortened
from abprop.inference.base import Chain, Moved, expand, norm
from abprop.model import Score
from abprop.noise import Keyed


@dataclass(frozen=True)
class GradientAscent:
    """Ascends to a mode.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = False
    adjusted: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    fewest: ClassVar[float] = 0.0

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: at .5 the stiffest direction would be done in one step."""
        return 0.25

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """One move from chain.z; the score where it lands is left for the next one."""
        log_p, grad = chain.here(score)
        pulled = chain.metric.pull(grad)
        s, stable = shortened(self, chain, pulled)
        u = expand(s, chain.z) ** 2 / 2 * pulled
        moved = Chain(chain.z + chain.metric.push(u), s, chain.metric, left=(norm(u), pulled))
        return moved, Moved(log_p, torch.ones_like(s), stable)
