"""Planning: how many iterations fit the budget, and what they will cost, from a short rehearsal."""

from __future__ import annotations

import itertools
import math
import time
from dataclasses import dataclass, field, replace

import torch

from abprop.data import Examples
from abprop.diagnostics import VISITS
from abprop.errors import UserError
from abprop.latents import Rehearsed
from abprop.learning import parts
from abprop.learning.batches import largest_batch
from abprop.learning.learning import (
    HELDOUT_STEPS,
    SCORED,
    WALKING,
    WATCHED,
    WATCHED_STEPS,
    Learning,
)
from abprop.learning.settings import Settings
from abprop.networks import Generator
from abprop.networks.stages import parsed
from abprop.rehearsal import Choice, rehearsed
from abprop.say import Say, counted
from abprop.tasks import DRAWN, TO_END

FAR = 10_000  # iterations beyond the plan: where a rehearsal takes place
LONGEST = 10.0  # seconds of one rehearsal, if it holds two iterations by then
WAIT = 1 / 3  # of the iterations pass before chains move that start from PCA
LONGEST_WAIT = 1000  # and more teach W nothing: by then f follows principal components as it can
MAP_WAIT = 24  # and no more for a map: its samples would keep the grid of its cells' components
FEWEST = 20  # iterations that a budget must hold
SKETCH = 100  # fewer than these are said to be few
SCORING = 0.2  # of the time left may go into held-out scores
REHEARSING = 0.1  # of a budget may go into one rehearsal, if it holds two iterations by then
REPORT_SECONDS = 2.5  # of a report before anything of the model is shown in it
JUDGING_SECONDS = 8.0  # more, of one that compares samples of a map with what they should be like
REPORT_PASSES = 300, 150  # of one chunk, if there are held-out examples; and of single examples
LOOKS = 0.05  # of the time goes into looks at the curvature, those of first visits included
OVERRUN = 1.25  # a budget is a plan; this much later it is an order


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
        scores: of the held-out examples.
        threads: that are fastest here; 0 where no one tried.
        seconds: an iteration takes once chains move.
    """

    iterations: int
    wait: int
    scores: int
    threads: int = 0
    seconds: float = 0.0

    def applied(self, settings: Settings) -> Settings:
        """The settings with these numbers."""
        train = replace(settings.train, iterations=self.iterations, scores=self.scores)
        return replace(settings, train=train, infer=replace(settings.infer, wait=self.wait))


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
    train, infer, threads = learning.settings.train, learning.settings.infer, 0
    count, scores = train.iterations or 0, train.scores
    if train.iterations is not None and learning.t >= count:
        done = counted(learning.t, "iteration is", "iterations are")
        say(f"nothing is left to learn: {done} done")
        return Plan(count, infer.wait or 0, scores)
    if train.iterations is not None:
        seconds = rehearse(learning, at_least=3)
    else:
        longest = min(LONGEST, REHEARSING * budget)
        seconds = rehearse(learning, 8, for_seconds=min(10.0, 0.02 * budget), at_most=longest)
        if try_threads:
            threads, seconds = fastest_threads(learning, seconds, longest, say)
        spent = learning.shards.group.same(clock.elapsed())
        count, scores = _fitting(learning, budget, spent, seconds, say)
    wait = waiting(learning, count) if infer.wait is None else infer.wait
    left, idle = count - learning.t, max(0, wait - learning.t)
    work = left - idle * infer.steps / (infer.steps + 1)
    many = counted(left, "iteration", "iterations")
    say(f"{many} of {seconds:.2g} s: about {work * seconds / 60:.1f} minutes")
    return Plan(count, wait, scores, threads, seconds)


def fastest(
    settings: Settings,
    train: Examples,
    where: torch.device,
    precision: str,
    forms: str,
    exactly: bool,
) -> Choice:
    """In what precision and forms to learn; the fastest here, where they are open.

    Args:
        settings, train, where: what is learned, from what and on which device.
        precision: float32, bfloat16 or auto.
        forms: as a recipe says them, or auto.
        exactly: whether runs that are asked for alike shall have the same bits: then forms are the
            usual ones and not measured.

    Raises:
        UserError: the network is larger than the memory, or forms do not fit it.
    """
    parts.check_memory(settings.model, train.signal_shape)
    kernel, shape = settings.infer.kernel, train.signal_shape
    if precision == "auto" and parts.arithmetic(kernel, torch.bfloat16) != torch.bfloat16:
        precision = "float32"
    random = torch.Generator().manual_seed(0)  # weights only have to be of a usual size

    def make(dtype: torch.dtype) -> Generator:
        network = parts.make_network(settings.model, shape, parts.arithmetic(kernel, dtype))
        network.reset(lambda size: torch.randn(size, generator=random))
        return network.to(where)

    ways = () if exactly else None
    if forms != "auto":
        with torch.device("meta"):
            layers = parts.make_network(settings.model, shape, torch.float32).layers
        ways = parsed(forms, len(layers))
    found = rehearsed(precision, ways, where, make, min(settings.infer.chunk, len(train)))
    return replace(found, dtype=parts.arithmetic(kernel, found.dtype))


def _fitting(
    learning: Learning, budget: float, spent: float, seconds: float, say: Say
) -> tuple[int, int]:
    """Iterations in all, and held-out scores, that fit what is left of a budget.

    Raises:
        UserError: too few iterations to learn anything.
    """
    steps, scores = learning.settings.infer.steps, learning.settings.train.scores
    each, moving = _score_seconds(learning, seconds), seconds * (1 + LOOKS)
    after = _diagnosis_seconds(learning, moving) + _report_seconds(learning, seconds)
    if learning.model.prior.widens:
        after += _asked_seconds(learning, seconds, TO_END)  # of the last score
    left = budget - spent - after
    if each and scores * each > SCORING * left:  # none are held out where it is nothing
        scores = max(2, int(SCORING * left / each))
        say(f"the budget is short: held-out examples are scored {scores} times")
    count = max(0, int((left - scores * each) / moving))
    share = waiting(learning, count) / max(1, count)  # such iterations are one pass
    count = learning.t + int(count / (1 - share * steps / (steps + 1)))
    if FEWEST * moving > budget:
        raise UserError(
            f"a budget of {budget:g} s holds fewer than {FEWEST} iterations, which take "
            f"{seconds:.2g} s each here: nothing would be learned; "
            f"give --budget {math.ceil((spent + after + 2 * FEWEST * moving) / 10) * 10}s, "
            "or fewer or smaller examples (data.limit, data.size)"
        )
    if count < FEWEST:
        say(f"note: the budget is too short for {FEWEST} iterations; they are learned all the same")
    elif count < SKETCH:
        say(f"note: {count} iterations are few; a longer --budget would learn more")
    return max(count, FEWEST), scores


def waiting(learning: Learning, iterations: int) -> int:
    """Iterations in which the weights learn alone, where chains start from PCA.

    Args:
        learning: before its first iteration.
        iterations: in all.
    """
    infer = learning.settings.infer
    if infer.start != "pca" or learning.t or infer.wait is not None:
        return 0
    longest = MAP_WAIT if learning.model.network.stationary else LONGEST_WAIT
    return min(int(WAIT * iterations), longest)


def rehearse(
    learning: Learning, at_least: int, for_seconds: float = 0.0, at_most: float = LONGEST
) -> float:
    """Seconds an iteration takes once chains move; the state is put back as it was, bit for bit."""
    t, scores, heldout = learning.t, list(learning.scores), learning.heldout
    table, held, group = learning.latents, learning.tensors(), learning.shards.group
    # The table is as long as the data: it is not copied, but spared.
    groups = ("network", WALKING, "optimizer")
    saved = {g: {k: v.clone() for k, v in held[g].items()} for g in groups if g in held}
    learning.heldout, learning.latents = None, Rehearsed(table)
    times, began = [], time.monotonic()
    # Far from any iteration of the plan: no score falls due, chains no longer wait, and looks at
    # the curvature are as seldom as they will be.
    learning.t += FAR + (learning.settings.infer.wait or 0)
    for _ in learning.steps(learning.t + FAR):
        times.append(time.monotonic() - began)
        enough = len(times) > at_least and times[-1] > for_seconds
        slow = len(times) > 1 and times[-1] > at_most
        if any(group.any(enough or slow or len(times) > 200)):
            break
    learning.heldout, learning.latents = heldout, table
    learning.restore_weights(saved, t)
    learning.scores = scores
    laps = sorted(b - a for a, b in itertools.pairwise(times))
    return group.same(laps[len(laps) // 2])


def fastest_threads(
    learning: Learning, seconds: float, at_most: float, say: Say
) -> tuple[int, float]:
    """One thread where it is faster: for small networks, or beside other busy programs.

    Threads that wait for each other at every layer crawl when one of them is kept waiting.
    """
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
        alone = rehearse(learning, at_least=3, at_most=at_most)
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


def _pass_seconds(learning: Learning, seconds: float) -> float:
    """What one pass of one chunk costs, from the cost of an iteration."""
    batch = largest_batch(len(learning.train), learning.settings.train.batch)
    return seconds / (learning.settings.infer.steps + 1.5) / max(1, -(-batch // learning.chunk))


def _score_seconds(learning: Learning, seconds: float) -> float:
    """What one held-out score costs: to the modes, and from there a draw for each thing told."""
    draws = 1 + learning.model.prior.widens
    return _asked_seconds(learning, seconds, HELDOUT_STEPS + draws * DRAWN)


def _asked_seconds(learning: Learning, seconds: float, passes: int) -> float:
    """What passes of the held-out examples that are scored cost."""
    if learning.heldout is None:
        return 0.0
    rows = min(SCORED, len(learning.heldout))
    batch = largest_batch(len(learning.train), learning.settings.train.batch)
    # A pass of many rows costs as many of a batch; one of few costs no less than one.
    each = max(-(-rows // learning.chunk), rows / min(batch, learning.chunk))
    return _pass_seconds(learning, seconds) * passes * each


def _report_seconds(learning: Learning, seconds: float) -> float:
    """What the report will cost: held-out examples reconstructed, samples drawn."""
    chunks, single = REPORT_PASSES
    passes = chunks * (learning.heldout is not None) + single / learning.chunk
    fixed = REPORT_SECONDS + JUDGING_SECONDS * learning.model.network.stationary
    return fixed + _pass_seconds(learning, seconds) * passes
