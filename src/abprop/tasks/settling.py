"""Chains from the modes, with W held still: new ones brought to where old ones are, and what draws
from posteriors say of sigma and of the prior's width.

    z_0 = argmax log p(z | y),    z_n+1 = T(z_n)   for VISITS visits of the kernel T of learning

From the mode a chain has only its spread to find, and not its place.
"""

from __future__ import annotations

import math

from torch import Tensor

from abprop.inference import Kernel, LeimkuhlerMatthews, Metric, State, due, infer, solve
from abprop.model import Model
from abprop.noise import Keyed
from abprop.operators import Operator
from abprop.tasks.drawing import generate
from abprop.tasks.explaining import TO_START, mean_square, reconstruct
from abprop.whole import HERE, Whole

TO_END = 240  # more of the solver's steps, from TO_START on
VISITS, STEPS = 12, 5  # that burn chains in, and steps of each


def settled(
    model: Model,
    y: Tensor,
    A: Operator,
    state: State,
    kernel: Kernel,
    metric: Metric,
    noise: Keyed,
    *,
    known: Tensor,
    chunk: int = 64,
) -> State:
    """Chains that have forgotten where they began.

    Args:
        model, y, A: observations, a row for each chain.
        state: new chains; their z is not looked at.
        kernel, metric: of learning.
        noise: keyed by example and chain.
        known: latents that may be better starts than the prior's mean, see `reconstruct`.
        chunk: chains in one pass.
    """
    _, z = reconstruct(model, y, A, known=known, steps=TO_START, chunk=chunk)
    state = state._replace(z=z.to(state.z))
    for visit in range(VISITS):
        state, _ = infer(model, y, A, state, kernel, steps=STEPS, noise=noise, metric=metric,
                         look=due(visit, STEPS), chunk=chunk)  # fmt: skip
    return state


def spread(
    model: Model,
    y: Tensor,
    A: Operator,
    z: Tensor,
    metric: Metric,
    noise: Keyed,
    *,
    steps: int = 12,
    chunk: int = 64,
    whole: Whole = HERE,
) -> float:
    """Mean squared residual over posterior draws, of all numbers measured: what sigma^2 should be.

    EM's step for sigma wants <|y - A(f(z))|^2> over the posterior. At the mode the residual is
    smaller: with 8 numbers and 2 factors it gives .76 of sigma^2.

    Args:
        model, y, A: as for `infer`.
        z: where the chains start, best the modes.
        metric: the chains' coordinates.
        noise: keyed by example.
        steps: a chain of this kernel forgets half of where it was in each.
        chunk: examples in one pass.
        whole: the examples of which these are here.
    """
    z = _walked(model, y, A, z, metric, noise, steps, chunk)
    return mean_square(A(generate(model, z, chunk=chunk)) - y, A, whole)


def width(
    model: Model,
    y: Tensor,
    A: Operator,
    z: Tensor,
    metric: Metric,
    noise: Keyed,
    *,
    exact: bool = False,
    steps: int = 12,
    chunk: int = 64,
    whole: Whole = HERE,
) -> float:
    """How wide a prior should be for these posteriors; see `priors.normal`.

    One step of EM, and never narrower: an f that has learned little pulls latents to the mean, and
    a prior that followed them would hold them there. Of one that is fixed 1.

    Where z comes from wide starts and is not quite there, so is the answer, by some per cent.

    Args:
        model, y, A, z, metric, noise, steps, chunk, whole: see `spread`.
        exact: first go on from z to the modes, for as long as an answer does.
    """
    if not model.prior.widens:
        return 1.0
    if exact:
        z, _ = solve(model, y, A, start=z, steps=TO_END, chunk=chunk)
    z = _walked(model, y, A, z, metric, noise, steps, chunk)

    def summed(u: Tensor) -> tuple[Tensor, Tensor]:
        u = u.cpu().double()
        return u.square().sum(), u.new_full((), u.numel())

    squares, count = whole.sum(summed, model.prior.folded(z))
    found = model.prior.width * (squares / count).sqrt().item()
    return max(1.0, found) if found < math.inf else 1.0


def _walked(
    model: Model, y: Tensor, A: Operator, z: Tensor, metric: Metric, noise: Keyed, steps: int,
    chunk: int,
) -> Tensor:  # fmt: skip
    """Draws from posteriors, by chains that start at z."""
    state, _ = infer(model, y, A, State.begin(z), LeimkuhlerMatthews(), steps=steps, noise=noise,
                     metric=metric, chunk=chunk)  # fmt: skip
    return state.z
