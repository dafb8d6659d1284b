"""Fitting a run: plan it, learn, save as it goes, stop cleanly, resume."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from abprop import checkpoint, machine
from abprop.alternate import Step
from abprop.diagnostics import advice
from abprop.distributed import Group, join
from abprop.errors import UserError
from abprop.grammar import parse_duration
from abprop.learning import Clock, Learning, planned
from abprop.learning.plan import OVERRUN
from abprop.run import metrics
from abprop.run.directory import Saver
from abprop.run.fitting.preparing import prepared
from abprop.run.fitting.session import Layers, Progress, Session
from abprop.run.recipe import (
    dumps,
    on_machine,
    with_plan,
)
from abprop.say import counted, shown

DEFAULT_BUDGET = "15m"


def fit(
    folder: Path,
    asked: Layers,
    *,
    source: object = None,
    stop_at: int | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
    group: Group | None = None,
) -> Session:
    """Learn into a run directory, or go on where it was left.

    Args:
        folder: the run directory; made if missing.
        asked: what the caller wants of the recipe.
        source: data given from Python, or a path other than the recipe's.
        stop_at: save and leave at this iteration.
        progress: what shows it.
        clock: when the call began.
        group: the processes that learn together; those of torchrun if None.

    Raises:
        UserError: whatever the user can mend, in one line.
    """
    group, clock = group or join(), clock or Clock()
    progress = progress if progress is not None and group.first else Progress()
    with _held(folder, group):
        session = prepared(folder, asked, source, progress, group)
        _plan(session, clock, progress)
        with group.agreed():
            if group.first:
                checkpoint.write_text(folder / "recipe.toml", dumps(session.recipe))
        if session.recipe.train.budget:
            clock.limit = OVERRUN * parse_duration(session.recipe.train.budget)
        total = session.learning.total
        _learn(session, min(stop_at or total, total), progress, clock)
    return session


@contextlib.contextmanager
def _held(folder: Path, group: Group) -> Iterator[None]:
    """The run directory, for one writer alone; made if it is missing."""
    with contextlib.ExitStack() as kept:
        with group.agreed():
            if group.first:
                _make(folder)
                kept.enter_context(checkpoint.lock(folder))
                saved = folder / "checkpoints"
                checkpoint.prune(saved, checkpoint.steps(saved))  # what killed saves left
        yield


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {folder}: {error.strerror}") from error


def _plan(session: Session, clock: Clock, progress: Progress) -> None:
    """Write the plan into the recipe and what learns by it."""
    recipe, learning = session.recipe, session.learning
    budget = recipe.train.budget or DEFAULT_BUDGET
    alone = learning.shards.group.size == 1
    open_threads = recipe.run.threads == 0 and alone  # several share the machine's out
    try_threads = open_threads and not learning.shards.exact
    progress.say("planning")
    plan = planned(learning, parse_duration(budget), clock, progress.say, try_threads=try_threads)
    if recipe.train.iterations is None:
        recipe = with_plan(recipe, plan.iterations, budget, scores=plan.scores)
    if recipe.infer.wait is None and plan.seconds:
        recipe = with_plan(recipe, recipe.train.iterations, recipe.train.budget, wait=plan.wait)
    if open_threads:
        recipe = on_machine(recipe, threads=plan.threads or torch.get_num_threads())
    session.recipe, learning.settings = recipe, plan.applied(learning.settings)
    memory = machine.peak_memory(learning.device) / 2**30
    progress.say(f"peak memory so far {memory:.2f} GiB")


def _learn(session: Session, stop: int, progress: Progress, clock: Clock) -> None:
    """Iterations up to `stop`, saved as the recipe says."""
    folder, learning, group = session.folder, session.learning, session.learning.shards.group
    saver = Saver(folder, session.recipe, learning, session.split, session.signals)
    log_every = max(1, learning.total // 1000)
    progress.begin(learning.t, learning.total)
    rows = metrics.load(folder / "metrics.jsonl")
    began = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)
    over = False
    with _signals_noted() as noted, contextlib.closing(learning.steps(stop)) as steps:
        for step in steps:
            scored = bool(learning.scores) and learning.scores[-1][0] == learning.t
            if learning.t % log_every == 0 or scored or learning.t == stop:
                _log(session, step, time.monotonic() - began, progress)
            session.interrupted, over, due = group.any(bool(noted), clock.over(), saver.due())
            ending = session.interrupted or over
            if scored or ending or learning.t == stop or due:
                learning.check_finite(step)
                saver.save()
            if ending:
                break
    progress.end()
    if over and learning.t < stop:
        progress.say(f"stopped at 1.25 times the budget, saved at iteration {learning.t}")


def _log(session: Session, step: Step, seconds: float, progress: Progress) -> None:
    learning = session.learning
    learning.check_finite(step)
    step = step.gathered()
    row = metrics.row(learning, step, seconds)
    if learning.t == learning.total and learning.kernel.samples:
        row |= _diagnosed(learning, progress)
    if learning.shards.group.first:
        metrics.append(session.folder / "metrics.jsonl", row)
    progress.update(learning.t, row)
    _name_diverged(session, step, progress)


def _diagnosed(learning: Learning, progress: Progress) -> dict[str, Any]:
    told = learning.diagnose()
    progress.say(advice(told))
    return {"rhat": round(told.rhat, 4), "ess": round(told.ess, 2), "visits": told.visits}


def _name_diverged(session: Session, step: Step, progress: Progress) -> None:
    learning, bad = session.learning, step.ids[step.info.diverged].unique()
    if len(bad):
        rows = torch.searchsorted(session.split.ids, bad[:3].cpu()).tolist()
        names = ", ".join(map(shown, session.split.train.take(rows).names))
        whose = counted(len(bad), "example's", "examples'")
        progress.say(
            f"note: {whose} chains left the finite numbers at iteration {learning.t} "
            f"({names}); put back and slowed"
        )


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """The first Ctrl-C or SIGTERM is noted, to stop after the iteration; a second one acts."""
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        noted.append(number)
        signal.signal(number, old[number])

    old: dict[int, Any] = {}
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            old[number] = signal.signal(number, note)
    except ValueError:  # not in the main thread: whoever runs us handles signals
        pass
    try:
        yield noted
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
