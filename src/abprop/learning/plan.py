"""Planning: how many iterations fit the budget, and what they will cost, from a short rehearsal."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from abprop.diagnostics import VISITS
from abprop.learning.learning import (
    HELDOUT_STEPS,
    SCORES,
    WATCHED,
    WATCHED_STEPS,
    Learning,
)
from abprop.learning.settings import Settings

FAR = 10_000  # iterations beyond the plan: where a rehearsal takes place
LONGEST = 10.0  # seconds of one rehearsal, if it holds two iterations by then
WAIT = 1 / 3  # of the iterations pass before chains move that start from PCA
MAP_WAIT = 24  # and no more for a map: its samples would keep the grid of its cells' components
LOOKS = 0.05  # of the time goes into looks at the curvature, those of first visits included
OVERRUN = 1.25  # a budget is a plan; this much later it is an order

Say = Callable[[str], None]


@dataclass
class Clock:
    """When this call began and when it has to stop."""

    began: float = field(default_factory=time.monotonic)
    limit: float | None = None

    def elapsed(self) -> float:
        """Seconds since the call."""
        return time.monotonic() - self.began

    def over(self) -> bool:
        """The hard limit has passed."""
        return self.limit is not None and self.elapsed() > self.limit


@dataclass(frozen=True)
class Plan:
    """What was found.

    Attributes:
        iterations: in all.
        wait: iterations in which the weights learn alone.
        threads: that are fastest here; 0 where no one tried.
        seconds: an iteration takes once chains move.
    """

    iterations: int
    wait: int
    threads: int = 0
    seconds: float = 0.0


def planned(
    learning: Learning, budget: float, clock: Clock, say: Say, *, try_threads: bool
) -> Plan:
    """A plan for learning from where it stands; `learning` stays as it is, bit for bit.

    Args:
        learning: at any iteration; iterations that are given already are kept.
        budget: seconds for all of this call, scores included, where no iterations are given.
        clock: when the call began.
        say: told the cost, in a line.
        try_threads: whether one thread may be tried against all.
    """
    given, infer, threads = learning.settings.train.iterations, learning.settings.infer, 0
    if given is not None and learning.t >= given:
        say(f"nothing is left to learn: {learning.t} iterations are done")
        return Plan(given, infer.wait or 0)
    if given is not None:
        seconds = rehearse(learning, at_least=3)
        count = given
    else:
        seconds = rehearse(learning, at_least=8, for_seconds=min(10.0, 0.02 * budget))
        if try_threads:
            threads, seconds = fastest_threads(learning, seconds, say)
        count = learning.t + _fitting(learning, budget - clock.elapsed() - 0.03 * budget, seconds)
    wait = _waiting(learning, count) if infer.wait is None else infer.wait
    left, idle = count - learning.t, max(0, wait - learning.t)
    work = left - idle * infer.steps / (infer.steps + 1)
    say(f"{left} iterations of {seconds:.2g} s: about {work * seconds / 60:.1f} minutes")
    return Plan(count, wait, threads, seconds)


def _fitting(learning: Learning, left: float, seconds: float) -> int:
    """Iterations that fit into the seconds left, from what one of them takes."""
    steps, scores = learning.settings.infer.steps, SCORES * _score_seconds(learning, seconds)
    seconds *= 1 + LOOKS
    left -= scores + _diagnosis_seconds(learning, seconds)
    count = max(1, int(left / seconds))
    share = _waiting(learning, count) / count  # such iterations are one pass
    return int(count / (1 - share * steps / (steps + 1)))


def with_plan(settings: Settings, plan: Plan) -> Settings:
    """The settings with a plan's numbers."""
    train = replace(settings.train, iterations=plan.iterations)
    return replace(settings, train=train, infer=replace(settings.infer, wait=plan.wait))


def _waiting(learning: Learning, iterations: int) -> int:
    """Iterations in which the weights learn alone, where chains start from PCA."""
    infer = learning.settings.infer
    if infer.start != "pca" or learning.t or infer.wait is not None:
        return 0
    longest = MAP_WAIT if learning.model.network.stationary else iterations
    return min(int(WAIT * iterations), longest)


def rehearse(learning: Learning, at_least: int, for_seconds: float = 0.0) -> float:
    """Seconds an iteration takes once chains move; the state is put back as it was, bit for bit."""
    t, scores, heldout = learning.t, list(learning.scores), learning.heldout
    saved = {g: {k: v.clone() for k, v in group.items()} for g, group in learning.tensors().items()}
    learning.heldout = None
    # As if every chain had been looked at: first visits cost more, and happen once.
    state = learning.latents.state
    learning.latents.state = state._replace(axis=torch.ones_like(state.axis))
    times, began = [], time.monotonic()
    # Far from any iteration of the plan: no score falls due, chains no longer wait, and looks at
    # the curvature are as seldom as they will be.
    learning.t += FAR + (learning.settings.infer.wait or 0)
    for _ in learning.steps(learning.t + FAR):
        times.append(time.monotonic() - began)
        enough = len(times) > at_least and times[-1] > for_seconds
        slow = len(times) > 1 and times[-1] > LONGEST
        if enough or slow or len(times) > 200:
            break
    learning.heldout = heldout
    learning.restore(saved, t)
    learning.scores = scores
    laps = sorted(b - a for a, b in itertools.pairwise(times))
    return laps[len(laps) // 2]


def fastest_threads(learning: Learning, seconds: float, say: Say) -> tuple[int, float]:
    """One thread where it is faster: for small networks, or beside other busy programs.

    Threads that wait for each other at every layer crawl when one of them is kept waiting.
    """
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
        alone = rehearse(learning, at_least=3)
        if alone < seconds:
            say(f"one thread is faster here than {threads}")
            threads, seconds = 1, alone
        torch.set_num_threads(threads)
    return threads, seconds


def _diagnosis_seconds(learning: Learning, seconds: float) -> float:
    """What watching the chains at the end costs, from the cost of an iteration."""
    steps, n = learning.settings.infer.steps, len(learning.train)
    rows = min(WATCHED, n) / min(learning.settings.train.batch or n, n)
    return seconds * VISITS * rows * max(WATCHED_STEPS, steps) / (steps + 1)


def _score_seconds(learning: Learning, seconds: float) -> float:
    """What one held-out score costs, from the cost of an iteration."""
    if learning.heldout is None:
        return 0.0
    batch = learning.settings.train.batch or len(learning.train)
    passes = (learning.settings.infer.steps + 1.5) * max(1, -(-batch // learning.chunk))
    return seconds / passes * HELDOUT_STEPS * -(-len(learning.heldout) // learning.chunk)
