"""New chains brought to where old ones are, with W held still.

    z_0 = argmax log p(z | y),    z_n+1 = T(z_n)   for VISITS visits of the kernel T of learning

From the mode a chain has only its spread to find, and not its place.
"""

from __future__ import annotations

from torch import Tensor

from abprop.inference import Kernel, Metric, State, due, infer
from abprop.model import Model
from abprop.noise import Keyed
from abprop.operators import Operator
from abprop.tasks.explaining import TO_START, reconstruct

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
