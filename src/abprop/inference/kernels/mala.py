"""Metropolis-adjusted Langevin: a Langevin step is a proposal, and the posterior is exact.

    u' = u + (s^2 / 2) g + s e,      e ~ N(0, I),   g = d/du log p at u
    accept with probability  min(1, p(u') q(u | u') / (p(u) q(u' | u)))
    log q(u | u') - log q(u' | u) = (|e|^2 - |e + s (g + g') / 2|^2) / 2

J. Besag: Comments on "Representations of knowledge in complex systems", JRSS B 1994. G. O. Roberts,
J. S. Rosenthal: Optimal Scaling of Discrete Approximations to Langevin Diffusions, JRSS B 1998
(acceptance .574, s^2 of order d^(-1/3)).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from abprop.inference.base import Chain, Moved, accept, expand, normal, square
from abprop.model import Score
from abprop.noise import Keyed


@dataclass(frozen=True)
class MALA:
    """Metropolis-adjusted Langevin algorithm.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True
    adjusted: ClassVar[bool] = True
    passes: ClassVar[int] = 1
    fewest: ClassVar[float] = 0.4

    def aim(self, size: int) -> float:
        """s^2 lambda / 4 that gives about the best acceptance on a Gaussian of `size` numbers."""
        return min(0.5, 0.62 * size ** (-1 / 3))

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        """A proposal, and the test."""
        log_p, grad = chain.here(score)
        wide = expand(chain.s, chain.z)
        pull, e = chain.metric.pull, normal(noise, chain.z)
        here = pull(grad)
        z = chain.z + chain.metric.push(wide**2 / 2 * here + wide * e)
        log_there, grad_there = score(z)
        back = e + wide / 2 * (here + pull(grad_there))
        taken, probability = accept(noise, log_there - log_p + (square(e) - square(back)) / 2)
        moved = taken_or(chain, Chain(z, chain.s, chain.metric, log_there, grad_there), taken,
                         log_p, grad)  # fmt: skip
        return moved, Moved(log_p, probability, torch.ones_like(taken))


def taken_or(
    chain: Chain, there: Chain, taken: torch.Tensor, log_p: torch.Tensor, grad: torch.Tensor
) -> Chain:
    """Where each chain stands after the test: there, or still at chain.z with its known score."""
    assert there.log_p is not None and there.grad is not None
    wide = expand(taken, chain.z)
    return Chain(
        torch.where(wide, there.z, chain.z),
        chain.s,
        chain.metric,
        torch.where(taken, there.log_p, log_p),
        torch.where(wide, there.grad, grad),
    )
