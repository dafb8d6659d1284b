"""What the checks share: how much is drawn, how chains are run, and what is found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.evenly import evenly
from abprop.inference import Kernel, Metric, State, calibrate, due, infer
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import Operator

P_VALUE = 0.01


class Plan(NamedTuple):
    """How chains are run: steps of a visit, visits before the first draw, visits that are draws."""

    steps: int
    settle: int
    kept: int


class Found(NamedTuple):
    """One number of one seed.

    Attributes:
        check: its name.
        kernel: whose chains.
        seed: of noise and problem.
        case: which spectrum, or "".
        value: what was measured.
        bound: what it must not pass.
        passed: whether it holds.
    """

    check: str
    kernel: str
    seed: int
    case: str
    value: float
    bound: float
    passed: bool


@dataclass(frozen=True)
class Size:
    """How much is drawn.

    Attributes:
        d: latent factors.
        measured: numbers in a signal half of which is hidden; a third of that in a complete one.
        examples: with a mask of its own each.
        chains: of each example.
        simulations: of simulation-based calibration.
        learned: iterations of learning.
        annealed: examples whose likelihood is estimated.
    """

    d: int = 100
    measured: int = 600
    examples: int = 8
    chains: int = 128
    simulations: int = 500
    learned: int = 300
    annealed: int = 8


def draws(
    kernel: Kernel, model: Model, y: Tensor, A: Operator, seed: int, plan: Plan
) -> Iterator[tuple[State, Metric]]:
    """Chains as learning runs them, from prior draws; where they stand after each visit kept.

    Args:
        kernel: with its defaults.
        model, y, A: observations, one row for each chain.
        seed: of the chains' noise.
        plan: how long.
    """
    ids = torch.arange(len(y))
    z = model.prior.draw_each(Noise(seed, "start").at(ids)).float()
    metric, state = Metric.plain(z, 0.05), State.begin(z)
    some, noise = ids[evenly(len(ids), 512)], Noise(seed, "langevin").at(ids)
    calibrate(model, y[some], A[some], z[some], metric, Noise(seed, "metric").at(some), chunk=512)
    for t in range(plan.settle + plan.kept):
        state, info = infer(model, y, A, state, kernel, steps=plan.steps, noise=noise,
                            metric=metric, look=due(t, plan.steps), chunk=len(y))  # fmt: skip
        metric.update(info.bent)
        if t >= plan.settle:
            yield state, metric


def normals(noise: Noise, rows: int, columns: int, t: int) -> Tensor:
    """Standard normals (rows, columns), float64; `t` numbers successive ones."""
    return noise.at(torch.arange(rows), t).normal((columns,))


def survival(value: float, freedom: int) -> float:
    """Probability that a chi-square variable is larger than `value`."""
    from scipy.stats import chi2

    return float(chi2.sf(value, freedom))
