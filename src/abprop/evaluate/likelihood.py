"""How probable a model finds signals: log p(y), estimated with a stated error.

nats              mean over the examples of log p(y), of a density in model units: natural log
nats_per_number   the same over how many numbers were observed, in all
se                standard error of nats: of the chains' noise, these examples given
low_by            by how much nats is too low in expectation, about: half the mean of se^2
se_examples       standard error of nats as what all such examples have: larger than se as a rule
ess               effective number of chains, mean over examples; near 1 nothing can be trusted
gap               of simulated signals, nats from above less nats from below; and its own se
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from abprop import tasks
from abprop.annealing import Estimate
from abprop.data import Examples
from abprop.distributed import ALONE, Group, by_turns
from abprop.evenly import evenly
from abprop.model import Model
from abprop.say import Say, counted
from abprop.tasks import Annealing

MOST, FEWEST = 128, 16  # examples that are scored if no one says how many
NUMBERS = 2**18  # that they have in all, if they are large
BLOCK = 16  # of them at once


@dataclass(frozen=True)
class Likelihood:
    """log p(y) of some examples, in order.

    Attributes:
        which: "held-out", "training" or "given".
        of: how many there are, of which these were chosen, evenly.
        rows: which these are, int64 (n,).
        nats: log p(y) of each, float64 (n,).
        se: its standard error, from the spread over chains.
        ess: effective number of chains of each, 1 to `how.chains`.
        numbers: how many numbers of each were observed.
        accepted: mean acceptance of its chains' moves.
        how: temperatures and chains.
        gap: (mean, its standard error, simulated signals), or None.
    """

    which: str
    of: int
    rows: np.ndarray
    nats: np.ndarray
    se: np.ndarray
    ess: np.ndarray
    numbers: np.ndarray
    accepted: np.ndarray
    how: Annealing
    gap: tuple[float, float, int] | None = None

    def result(self) -> dict[str, Any]:
        """What `evaluate` tells; see the module."""
        n, nats = len(self.nats), float(self.nats.mean())
        told = {
            "scored": self.which, "n": n, "of": self.of, "nats": nats,
            "nats_per_number": float(self.nats.sum() / self.numbers.sum()),
            "se": math.sqrt(np.square(self.se).sum()) / n,
            "low_by": float(np.square(self.se).mean() / 2),
            "se_examples": float(self.nats.std(ddof=1) / math.sqrt(n)) if n > 1 else None,
            "ess": float(self.ess.mean()), "ess_least": float(self.ess.min()),
            "numbers": float(self.numbers.mean()), "accepted": float(self.accepted.mean()),
            "chains": self.how.chains, "temperatures": self.how.steps, "from": self.how.course,
        }  # fmt: skip
        if self.gap is not None:
            mean, se, simulated = self.gap
            told |= {"gap": mean, "gap_se": se, "simulated": simulated}
        return told


class Scored(NamedTuple):
    """What is to be scored, and by what.

    Attributes:
        model: the fitted model, folded.
        examples: as learning would see them.
        which: see `Likelihood`.
        known: latents of other signals, (M, *latent_shape), of which one may be near.
        device: where to compute.
        group: processes that share out the examples.
    """

    model: Model
    examples: Examples
    which: str
    known: Tensor
    device: torch.device
    group: Group = ALONE


def scored_likelihood(
    scored: Scored, how: Annealing, count: int | None, simulated: int, progress: Say
) -> Likelihood:
    """log p(y) of `count` of the examples, evenly chosen.

    Args:
        scored: see `Scored`.
        how: see `tasks.Annealing`.
        count: at most so many of them; MOST if None, fewer of large signals.
        simulated: so many simulated signals as well, from below and from above; seen as the
            examples are.
        progress: told what is being done.
    """
    examples = scored.examples
    most = count or usual(math.prod(examples.signal_shape))
    rows = torch.arange(len(examples))[evenly(len(examples), most)]
    progress(
        f"annealing {how.chains} chains each of {counted(len(rows), 'example', 'examples')} "
        f"({scored.which}) over {how.steps} temperatures"
    )
    nats, se, ess, accepted, numbers = (v.numpy() for v in _scored(scored, rows, how))
    gap = _gap(scored, rows[:simulated], how, progress) if simulated else None
    return Likelihood(
        scored.which, len(examples), rows.numpy(), nats, se, ess, numbers, accepted, how, gap
    )


def usual(numbers: int) -> int:
    """How many examples of so many numbers each are scored if no one says it."""
    return min(MOST, max(FEWEST, NUMBERS // numbers))


def _scored(scored: Scored, rows: Tensor, how: Annealing) -> Iterator[Tensor]:
    """nats, se, ess, acceptance and numbers of each row, (n,)."""

    def told(some: Tensor) -> tuple[Tensor, ...]:
        ids, y, A, _ = scored.examples.batch(some, scored.device)
        found = tasks.log_likelihood(scored.model, y, A, ids, how, scored.known)
        return (*found.found, found.accepted.cpu().double(), A.count.cpu().double())

    parts = by_turns(told, rows.split(BLOCK), scored.group)
    return map(torch.cat, zip(*parts, strict=True))


def _gap(scored: Scored, rows: Tensor, how: Annealing, progress: Say) -> tuple[float, float, int]:
    progress(f"annealing {len(rows)} simulated ones, from below and from above")

    def told(some: Tensor) -> tuple[Tensor, ...]:
        ids, _, A, _ = scored.examples.batch(some, scored.device)
        below, above = tasks.sandwich(scored.model, A, ids, how, scored.known)
        return (*below.found, *above.found)

    parts = by_turns(told, rows.split(BLOCK), scored.group)
    values = [torch.cat(v) for v in zip(*parts, strict=True)]
    below, above = Estimate(*values[:3]), Estimate(*values[3:])
    return above.mean - below.mean, math.hypot(above.mean_se, below.mean_se), len(rows)
