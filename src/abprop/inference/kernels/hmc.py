"""Hamiltonian Monte Carlo: a few frictionless steps with momentum, then Metropolis' test.

    p ~ N(0, I);   LEAPS times:  p += s/2 g,   u += s p,   p += s/2 g,      g = d/du log p
    accept with probability  min(1, exp(log p(u') - |p'|^2 / 2 - log p(u) + |p|^2 / 2))

S. Duane, A. D. Kennedy, B. J. Pendleton, D. Roweth: Hybrid Monte Carlo, Physics Letters B 1987.
R. M. Neal: MCMC using Hamiltonian dynamics, Handbook of Markov Chain Monte Carlo, 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from abprop.inference.base import Chain, Moved, accept, expand, normal, square
from abprop.inference.kernels.mala import taken_or
from abprop.model import Score
from abprop.noise import Keyed

LEAPS = 3  # of s = .56: a quarter of the period of a direction with lambda = 1


@dataclass(frozen=True)
class HMC:
    """Hamiltonian Monte Carlo with LEAPS leapfrog steps, each one pass.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True
    adjusted: ClassVar[bool] = True
    passes: ClassVar[int] = LEAPS
    fewest: ClassVar[float] = 0.6

    def aim(self, size: int) -> float:
        """s^2 lambda / 4; s of order size^(-1/4) keeps the acceptance (Neal 2011)."""
        return min(0.08, 0.8 * size**-0.5)

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """A trajectory from chain.z, and the test."""
        log_p, grad = chain.here(score)
        metric, half = chain.metric, expand(chain.s, chain.z) / 2
        z, g, p = chain.z, grad, normal(noise, chain.z)
        energy, log_there = square(p) / 2 - log_p, log_p
        for _ in range(LEAPS):
            p = p + half * metric.pull(g)
            z = z + metric.push(2 * half * p)
            log_there, g = score(z)
            p = p + half * metric.pull(g)
        taken, probability = accept(noise, energy + log_there - square(p) / 2)
        there = Chain(z, chain.s, metric, log_there, g)
        moved = taken_or(chain, there, taken, log_p, grad)
        return moved, Moved(log_p, probability, torch.ones_like(taken))
