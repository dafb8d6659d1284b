"""Chains from the modes, with W held still: new ones brought to where old ones are, and what draws
from posteriors say of sigma and of the prior's width.

    z_0 = argmax log p(z | y),    z_n+1 = T(z_n)   for VISITS visits of the kernel T of learning

From the mode a chain has only its spread to find, and not its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from abprop.inference import Kernel, LeimkuhlerMatthews, Metric, State, due, infer, solve
from abprop.model import Model
from abprop.noise import Keyed
from abprop.operators import Operator
from abprop.tasks.drawing import generate
from abprop.tasks.explaining import TO_START, mean_square, reconstruct
from abprop.whole import HERE, Whole

TO_END = 60  # more of the solver's steps, from TO_START on: 1,500 tell no other width
DRAWN = 12  # steps of a chain from a mode, which forgets half of where it was in each
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


@dataclass(frozen=True)
class Modes:
    """Examples at or near their most probable latents, to draw from their posteriors.

    Attributes:
        y, A: as for `infer`.
        z: the modes, where chains start.
        metric: the chains' coordinates.
        noise: keyed by example.
        chunk: examples in one pass.
        whole: the examples of which these are here.
    """

    y: Tensor
    A: Operator
    z: Tensor
    metric: Metric
    noise: Keyed
    chunk: int = 64
    whole: Whole = HERE

    def spread(self, model: Model) -> float:
        """Mean squared residual over draws, of all numbers measured: what sigma^2 should be.

        EM's step for sigma wants <|y - A(f(z))|^2> over the posterior. At the mode the residual is
        smaller: with 8 numbers and 2 factors it gives .76 of sigma^2.
        """
        x = generate(model, self._drawn(model), chunk=self.chunk)
        return mean_square(self.A(x) - self.y, self.A, self.whole)

    def width(self, model: Model, *, exact: bool = False) -> float:
        """How wide the model's prior should be, 1 of one that is fixed; see `priors.normal`.

        One step of EM, and never narrower: an f that has learned little pulls latents to the mean,
        and a prior that followed them would hold them there.

        Args:
            model: under which to draw.
            exact: first go on to the modes: latents that come from wide starts and are not quite
                there keep some per cent of the width of these.
        """
        if not model.prior.widens:
            return 1.0
        u = model.prior.folded((self._nearer(model) if exact else self)._drawn(model))

        def summed(u: Tensor) -> tuple[Tensor, Tensor]:
            u = u.cpu().double()
            return u.square().sum(), u.new_full((), u.numel())

        squares, count = self.whole.sum(summed, u)
        found = model.prior.width * (squares / count).sqrt().item()
        return max(1.0, found) if found < math.inf else 1.0

    def _nearer(self, model: Model) -> Modes:
        z, _ = solve(model, self.y, self.A, start=self.z, steps=TO_END, chunk=self.chunk)
        return replace(self, z=z)

    def _drawn(self, model: Model) -> Tensor:
        """Draws from the posteriors."""
        state, _ = infer(
            model, self.y, self.A, State.begin(self.z), LeimkuhlerMatthews(), steps=DRAWN,
            noise=self.noise, metric=self.metric, chunk=self.chunk,
        )  # fmt: skip
        return state.z
