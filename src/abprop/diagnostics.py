"""Whether chains mix: split R-hat and effective sample size, with W held still.

Some chains go on for VISITS visits from where learning left them, and are watched in log p(y, z; W)
and in the leading directions of z:

    R-hat    spread between the halves of a chain (and between chains) over that within; 1 is right,
             above 1.1 a chain is still on its way or stuck
    ESS      how many independent draws the visits are worth, by rank-normalised autocorrelation

A. Vehtari, A. Gelman, D. Simpson, B. Carpenter, P.-C. Buerkner: Rank-Normalization, Folding, and
Localization: An Improved R-hat for Assessing Convergence of MCMC, Bayesian Analysis 2021; the
numbers are ArviZ's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from abprop.evenly import evenly
from abprop.inference import Kernel, Metric, State, infer
from abprop.model import Model
from abprop.noise import Keyed
from abprop.operators import Operator
from abprop.whole import HERE, Whole

VISITS = 30
LEADING = 3  # directions of z that are watched
ENOUGH = 1 << 18  # rows of z from which these directions are told
GOOD_RHAT, FEW = 1.1, 0.1  # R-hat above and draws a visit below which chains do not mix
STABLE, ACCEPTED = 0.99, 0.2
STUCK = 99.0  # R-hat of what never moves


class Health(NamedTuple):
    """What watched chains say.

    Attributes:
        rhat: split R-hat of the worst of the quantities watched, each in the median over examples.
        ess: independent draws that the visits of one example are worth, likewise.
        visits: of each chain.
        accepted: mean probability of acceptance; 1 where moves always are.
        stable: share of steps short enough for the curvature they met.
    """

    rhat: float
    ess: float
    visits: int
    accepted: float
    stable: float

    def row(self) -> dict[str, Any]:
        """As metrics and `evaluate --json` hold it."""
        return {name: round(value, 4) for name, value in self._asdict().items()}


class Trace(NamedTuple):
    """Watched numbers of N examples with K chains each, visit by visit.

    Attributes:
        watched: log p and leading directions, (K, visits, N, 1 + LEADING).
        accepted, stable: means over all steps.
    """

    watched: np.ndarray
    accepted: float
    stable: float


def leading(z: Tensor, whole: Whole = HERE) -> Tensor:
    """Directions of the largest variances of z (N, k, ...) over channels, (k, at most LEADING).

    Args:
        z: latents, of each example as many.
        whole: all examples, of which these are here.
    """

    def rows_of(z: Tensor) -> Tensor:
        rows = z.movedim(1, -1).reshape(-1, z.shape[1])
        return rows[evenly(len(rows), ENOUGH)].cpu().double()

    def counted(z: Tensor) -> tuple[Tensor, Tensor]:
        rows = rows_of(z)
        return rows.new_full((1,), len(rows)), rows.sum(0)

    def squares(z: Tensor) -> tuple[Tensor]:
        centred = rows_of(z) - total / count
        return (centred.T @ centred,)

    count, total = whole.sum(counted, z)
    vectors = torch.linalg.eigh(whole.sum(squares, z)[0]).eigenvectors
    return vectors.flip(1)[:, :LEADING].to(z)


def watch(
    model: Model,
    y: Tensor,
    A: Operator,
    state: State,
    kernel: Kernel,
    metric: Metric,
    directions: Tensor,
    noise: Keyed,
    *,
    chains: int = 1,
    steps: int,
    visits: int = VISITS,
    chunk: int = 64,
    whole: Whole = HERE,
) -> Trace:
    """Let chains go on, W as it is.

    Args:
        model, y, A, state, kernel, metric, noise, steps, chunk: as for `infer`; one row for each
            chain, those of one example in a row.
        directions: of z's channels, (k, m); of a map the middle cell is watched.
        chains: K, of each example.
        visits: how many.
        whole: the examples watched, of which these are here.
    """
    middle = tuple(n // 2 for n in state.z.shape[2:])
    watched = []
    for _ in range(visits):
        state, info = infer(model, y, A, state, kernel, steps=steps, noise=noise, metric=metric,
                            chunk=chunk)  # fmt: skip
        along = state.z[(slice(None), slice(None), *middle)] @ directions
        along = torch.column_stack((info.log_p, along, info.accepted, info.stable))
        watched.append(along.cpu().double())
    told = whole.gather(torch.stack(watched, 1)).numpy()  # (N K, visits, 1 + m + 2)
    told = told.reshape(-1, chains, visits, told.shape[-1]).transpose(1, 2, 0, 3)
    return Trace(told[..., :-2], float(told[..., -2].mean()), float(told[..., -1].mean()))


def health(trace: Trace) -> Health:
    """R-hat and effective sample size of what was watched."""
    from arviz_stats.base import array_stats

    chains, visits, _, _ = trace.watched.shape
    half, lost = visits // 2, ~np.isfinite(trace.watched).all((0, 1))
    watched = np.where(lost, 0.0, trace.watched)
    halves = np.concatenate((watched[:, :half], watched[:, half : 2 * half]))
    with np.errstate(divide="ignore", invalid="ignore"):
        rhat = array_stats.rhat(halves, chain_axis=0, draw_axis=1, method="identity")
        ess = array_stats.ess(watched, chain_axis=0, draw_axis=1)
    # A chain that stands still, or is lost, is as stuck as can be.
    still = watched.std((0, 1)) == 0
    rhat = np.where(still | ~np.isfinite(rhat), STUCK, rhat).clip(max=STUCK)
    ess = np.where(still, 1.0, ess)
    worst = float(np.median(rhat, 0).max()), float(np.median(ess, 0).min())
    return Health(worst[0], min(worst[1], chains * visits), visits, trace.accepted, trace.stable)


def advice(told: Health, put_back: int = 0) -> str:
    """One sentence: whether draws can be trusted, and what to do if not."""
    if put_back:
        return (
            f"{put_back} chains left the finite numbers and were put back: "
            "learn again with a lower train.learning_rate."
        )
    if told.stable < STABLE:
        return (
            f"{100 * (1 - told.stable):.0f} % of the steps were too long for the curvature they "
            "met, so draws spread too wide: use infer.step_size=adapt."
        )
    if told.accepted < ACCEPTED:
        return (
            f"Only {100 * told.accepted:.0f} % of the proposals are accepted: use "
            "infer.step_size=adapt, or infer.kernel=leimkuhler."
        )
    if told.rhat > GOOD_RHAT or told.ess < FEW * told.visits:
        return (
            f"Chains mix slowly (R-hat {told.rhat:.2f}, {told.visits} visits are worth "
            f"{told.ess:.0f} draws): trust spreads less, or keep several chains "
            "(infer.chains=4), with infer.step_size at adapt."
        )
    return (
        f"Chains mix: R-hat {told.rhat:.2f}, and {told.visits} visits are worth "
        f"{told.ess:.0f} independent draws."
    )
