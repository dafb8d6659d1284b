"""Planning: how many iterations fit the budget, and what they will cost, from a short rehearsal."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace

import torch

from abprop.app import build, machine
from abprop.app.learning import HELDOUT_STEPS, SCORES, WATCHED, WATCHED_STEPS, Learning
from abprop.app.progress import Silent
from abprop.app.recipe import Recipe, parse_duration
from abprop.diagnostics import VISITS

DEFAULT_BUDGET = "15m"
FAR = 10_000  # iterations beyond the plan: where a rehearsal takes place
LONGEST = 10.0  # seconds of one rehearsal, if it holds two iterations by then
WAIT = 1 / 3  # of the iterations pass before chains move that start from PCA
MAP_WAIT = 24  # and no more for a map: its samples would keep the grid of its cells' components
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


def with_plan(recipe: Recipe, iterations: int | None, budget: str | None) -> Recipe:
    """The recipe with both set, which `build` would not allow: the plan, and what it is for."""
    plan = {"iterations": iterations, "budget": budget}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=plan)})


def planned(learning: Learning, clock: Clock, progress: Silent) -> Recipe:
    """The recipe with its number of iterations; tells time and memory from a short rehearsal."""
    recipe = learning.recipe
    if recipe.train.iterations is not None and learning.t >= recipe.train.iterations:
        progress.say(f"nothing is left to learn: {learning.t} iterations are done")
        return recipe
    if recipe.train.iterations is not None:
        seconds = rehearse(learning, at_least=3)
    else:
        budget = parse_duration(recipe.train.budget or DEFAULT_BUDGET)
        seconds = rehearse(learning, at_least=8, for_seconds=min(10.0, 0.02 * budget))
        if recipe.run.threads == 0:
            recipe, seconds = _with_threads(learning, recipe, seconds, progress)
        scores = SCORES * _score_seconds(learning, seconds)
        seconds *= 1 + LOOKS
        after = scores + _diagnosis_seconds(learning, seconds)
        left = budget - clock.elapsed() - after - 0.03 * budget
        count = max(1, int(left / seconds))
        share = _waiting(learning, count) / count  # such iterations are one pass
        count = int(count / (1 - share * recipe.infer.steps / (recipe.infer.steps + 1)))
        recipe = with_plan(recipe, learning.t + count, recipe.train.budget or DEFAULT_BUDGET)
    if recipe.infer.wait is None:
        wait = _waiting(learning, recipe.train.iterations or 1)
        infer = recipe.infer.model_copy(update={"wait": wait})
        recipe = recipe.model_copy(update={"infer": infer})
    left = (recipe.train.iterations or 1) - learning.t
    idle = max(0, (recipe.infer.wait or 0) - learning.t)
    work = left - idle * recipe.infer.steps / (recipe.infer.steps + 1)
    memory = machine.peak_memory(learning.device) / 2**30
    progress.say(
        f"{left} iterations of {seconds:.2g} s: about {work * seconds / 60:.1f} minutes; "
        f"peak memory about {memory:.2f} GiB"
    )
    return recipe


def _waiting(learning: Learning, iterations: int) -> int:
    """Iterations in which the weights learn alone, where chains start from PCA."""
    from_pca = learning.recipe.infer.start == "pca" and not learning.t
    if not from_pca or learning.recipe.infer.wait is not None:
        return 0
    longest = MAP_WAIT if learning.latents.z.ndim > 2 else iterations
    return min(int(WAIT * iterations), longest)


def rehearse(learning: Learning, at_least: int, for_seconds: float = 0.0) -> float:
    """Seconds an iteration takes once chains move; the state is put back as it was, bit for bit."""
    t, scores, parts = learning.t, list(learning.scores), learning.parts
    saved = {g: {k: v.clone() for k, v in group.items()} for g, group in learning.tensors().items()}
    learning.parts = replace(parts, heldout=None)
    # As if every chain had been looked at: first visits cost more, and happen once.
    state = learning.latents.state
    learning.latents.state = state._replace(axis=torch.ones_like(state.axis))
    times, began = [], time.monotonic()
    # Far from any iteration of the plan: no score falls due, chains no longer wait, and looks at
    # the curvature are as seldom as they will be.
    learning.t += FAR + (learning.recipe.infer.wait or 0)
    for _ in learning.steps(learning.t + FAR):
        times.append(time.monotonic() - began)
        enough = len(times) > at_least and times[-1] > for_seconds
        slow = len(times) > 1 and times[-1] > LONGEST
        if enough or slow or len(times) > 200:
            break
    learning.parts = parts
    if not saved["optimizer"]:
        learning.optimizer = build.make_optimizer(learning.recipe, learning.model)
    learning.restore(saved, t)
    learning.scores = scores
    laps = sorted(b - a for a, b in itertools.pairwise(times))
    return laps[len(laps) // 2]


def _with_threads(
    learning: Learning, recipe: Recipe, seconds: float, progress: Silent
) -> tuple[Recipe, float]:
    """One thread where it is faster: for small networks, or beside other busy programs.

    Threads that wait for each other at every layer crawl when one of them is kept waiting.
    """
    threads = torch.get_num_threads()
    if threads > 1:
        torch.set_num_threads(1)
        alone = rehearse(learning, at_least=3)
        if alone < seconds:
            progress.say(f"one thread is faster here than {threads}")
            threads, seconds = 1, alone
        torch.set_num_threads(threads)
    machines = recipe.run.model_copy(update={"threads": threads})
    return recipe.model_copy(update={"run": machines}), seconds


def _diagnosis_seconds(learning: Learning, seconds: float) -> float:
    """What watching the chains at the end costs, from the cost of an iteration."""
    infer, n = learning.recipe.infer, len(learning.parts.train)
    rows = min(WATCHED, n) / min(learning.recipe.train.batch or n, n)
    return seconds * VISITS * rows * max(WATCHED_STEPS, infer.steps) / (infer.steps + 1)


def _score_seconds(learning: Learning, seconds: float) -> float:
    """What one held-out score costs, from the cost of an iteration."""
    held = learning.parts.heldout
    if held is None:
        return 0.0
    batch = learning.recipe.train.batch or len(learning.parts.train)
    passes = (learning.recipe.infer.steps + 1.5) * max(1, -(-batch // learning.chunk))
    return seconds / passes * HELDOUT_STEPS * -(-len(held) // learning.chunk)
