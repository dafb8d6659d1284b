"""Langevin dynamics after Leimkuhler and Matthews: the noise of two steps, averaged.

    u <- u + (s^2 / 2) d/du log p + s (noise_j + noise_{j+1}) / 2

The noise of a step returns in the next one. On a Gaussian posterior the chain's covariance is exact
at every stable step size (Euler's is not), and elsewhere its error is of the second order in s^2,
at the same one pass a step. So steps may be long: aiming at s^2 lambda / 4 = .25, a direction
forgets half of where it was in every step. noise_j is keyed by the chain's own count of steps, so
nothing has to be kept between visits.

B. Leimkuhler, C. Matthews: Rational Construction of Stochastic Numerical Methods for Molecular
Sampling, Applied Mathematics Research eXpress 2013. B. Leimkuhler, C. Matthews, M. Tretyakov: On
the Long-Time Integration of Stochastic Gradient Systems, Proc. Royal Society A 2014.
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
class LeimkuhlerMatthews:
    """Langevin dynamics with averaged noise.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True
    adjusted: ClassVar[bool] = False
    passes: ClassVar[int] = 1
    fewest: ClassVar[float] = 0.0

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: half of the step at which a chain forgets most at once."""
        return 0.25

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """One move from chain.z; the score where it lands is left for the next one."""
        log_p, grad = chain.here(score)
        pulled = chain.metric.pull(grad)
        s, stable = shortened(self, chain, pulled)
        wide = expand(s, chain.z)
        now = normal(noise, chain.z) if chain.ahead is None else chain.ahead
        ahead = normal(noise.later(1), chain.z)
        u = wide**2 / 2 * pulled + wide * (now + ahead) / 2
        z = chain.z + chain.metric.push(u)
        moved = Chain(z, s, chain.metric, left=(norm(u), pulled), ahead=ahead)
        return moved, Moved(log_p, torch.ones_like(s), stable)
