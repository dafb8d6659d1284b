"""How long a step may be: looks at the curvature of log p, few and far between.

    H v  =  (grad log p(z) - grad log p(z + e v)) / e                       one pass
    v <- H v / |H v|,   lambda = |H v|             power iteration: lambda -> the largest eigenvalue

in the metric's coordinates, the prior included. v is kept beside z, so that one pass at a time is
enough to follow it; a chain that was never looked at gets a few at once, and its first step is
already right. e is about as long as a step, so that rounding (of bfloat16 too) stays small and a
curvature is one that a step would meet. Between looks each step of an unadjusted kernel compares
the score with that of the step before: the secant |H (u' - u)| / |u' - u| is at most lambda, and
where it is larger than what was believed the step is shortened at once.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.inference.base import Chain, Kernel, State, expand, norm, normal
from abprop.model import Score
from abprop.noise import Keyed

SHARE = 0.03  # of all passes go into looks
FIRST = 2  # power iterations on a chain that was never looked at
GAIN = 1.0  # of log s for each unit of acceptance that is missing
TINY = 0.1  # steps; of shorter moves the secant is mostly rounding
STRETCH = 2.0  # a look lengthens a step by so much at most


class Looked(NamedTuple):
    """What a look found: step sizes, stiffest directions, and H u of random u ~ N(0, I)."""

    s: Tensor
    axis: Tensor
    bent: Tensor


def due(t: int, steps: int) -> bool:
    """Whether iteration t, of `steps` steps for each chain, begins with a look.

    At first every iteration, since everything changes fast then; later so seldom that looks take
    SHARE of the passes.
    """
    seldom = math.ceil(2 / (SHARE * (steps + 1)))
    return t % max(1, min(seldom, t // 8)) == 0


def curved(score: Score, chain: Chain, v: Tensor, e: Tensor) -> Tensor:
    """H v for v like z, from the score e further on; all in the metric's coordinates."""
    assert chain.grad is not None
    there = chain.z + chain.metric.push(expand(e, v) * v)
    return chain.metric.pull(chain.grad - score(there)[1]) / expand(e, v)


def look(kernel: Kernel, score: Score, state: State, chain: Chain, noise: Keyed) -> Looked:
    """The largest curvature of each chain of a batch, and one random sample of all of it.

    Args:
        kernel: says what step size a curvature allows.
        score, state, noise: of these chains.
        chain: where they stand, with the score there known.
    """
    new = norm(state.axis) == 0
    random = normal(noise.of("look"), state.z)
    aim = kernel.aim(state.z[0].numel())
    s = torch.where(state.s > 0, state.s, 2 * math.sqrt(aim))
    bent = curved(score, chain, random, s)
    axis = torch.where(expand(new, bent), _unit(bent), state.axis)
    for k in range(FIRST if bool(new.any()) else 1):
        turned = curved(score, chain, axis, 2 * s)
        stiff = norm(turned)
        told = torch.isfinite(stiff) & (stiff > 0) & (new if k else torch.ones_like(new))
        found = 2 * torch.sqrt(aim / stiff)
        found = torch.where(new, found, torch.minimum(found, STRETCH * s))
        s = torch.where(told, found, s)
        axis = torch.where(expand(told, axis), _unit(turned), axis)
    return Looked(s, torch.nan_to_num(axis), bent)


def _unit(v: Tensor) -> Tensor:
    return v / expand(norm(v), v).clamp_min(1e-30)


def shortened(kernel: Kernel, chain: Chain, pulled: Tensor) -> tuple[Tensor, Tensor]:
    """Step sizes after comparing the score with that of the step before, and which were stable.

    Args:
        kernel: says what step size a curvature allows.
        chain: where the chains stand and from where the last step set out.
        pulled: the score here, in the metric's coordinates.
    """
    if chain.left is None:
        return chain.s, torch.ones_like(chain.s, dtype=torch.bool)
    moved, before = chain.left
    secant = norm(pulled - before) / moved
    stable = ~(chain.s**2 * secant / 4 > 1)
    if kernel.step_size is not None:
        return chain.s, stable
    longest = 2 * torch.sqrt(kernel.aim(chain.z[0].numel()) / secant)
    told = (moved > TINY * chain.s) & (secant > 0)
    return torch.where(told, torch.minimum(chain.s, longest), chain.s), stable


def steered(kernel: Kernel, s: Tensor, accepted: Tensor) -> Tensor:
    """Step sizes after a visit: shorter where too little was accepted."""
    if kernel.step_size is not None:
        return s
    return s * torch.exp(GAIN * (accepted - kernel.fewest).clamp_max(0))
