"""What kernels share that always move: u <- u + (s^2 / 2) d/du log p + ..., one pass a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from abprop.inference.adapt import shortened
from abprop.inference.base import Chain, Moved, expand, norm
from abprop.model import Score
from abprop.noise import Keyed


@dataclass(frozen=True)
class Unadjusted:
    """A kernel without a test of acceptance; subclasses say `aim` and what is added to the drift.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True
    adjusted: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    fewest: ClassVar[float] = 0.0

    def aim(self, size: int) -> float:
        """s^2 lambda / 4 for latents of `size` numbers."""
        raise NotImplementedError

    def added(self, chain: Chain, noise: Keyed) -> tuple[Tensor | None, Tensor | None]:
        """What s multiplies, like z; and noise made ahead for the next step. None: nothing."""
        raise NotImplementedError

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """One move from chain.z; the score where it lands is left for the next one."""
        log_p, grad = chain.here(score)
        pulled = chain.metric.pull(grad)
        s, stable = shortened(self, chain, pulled)
        wide = expand(s, chain.z)
        added, ahead = self.added(chain, noise)
        u = wide**2 / 2 * pulled + (0.0 if added is None else wide * added)
        z = chain.z + chain.metric.push(u)
        moved = Chain(z, s, chain.metric, left=(norm(u), pulled), ahead=ahead)
        return moved, Moved(log_p, torch.ones_like(s), stable)
