"""Fitting a run: plan it, learn, save as it goes, stop cleanly, resume."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from abprop import checkpoint, machine
from abprop.distributed import Group, join
from abprop.errors import UserError
from abprop.grammar import parse_duration
from abprop.learning import Clock, planned
from abprop.learning.events import Event, best
from abprop.learning.plan import OVERRUN
from abprop.run.fitting.journal import Journal, room
from abprop.run.fitting.preparing import prepared
from abprop.run.fitting.saving import Saver
from abprop.run.fitting.session import Layers, Progress, Session
from abprop.run.recipe import dumps, on_machine, with_plan

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
        if session.grown:  # no checkpoint is of these data yet, and none may be of the old ones
            _save_grown(session, progress)
        _write_recipe(session)
        if session.recipe.train.budget:
            clock.limit = OVERRUN * parse_duration(session.recipe.train.budget)
        total = session.learning.total
        _learn(session, min(stop_at or total, total), progress, clock)
        if session.learning.total < total:
            _write_recipe(session)
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


def _write_recipe(session: Session) -> None:
    with session.learning.shards.group.agreed():
        if session.learning.shards.group.first:
            checkpoint.write_text(session.folder / "recipe.toml", dumps(session.recipe))


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
    learning, group = session.learning, session.learning.shards.group
    saver = Saver(session)
    journal, log_every = Journal(session, progress), max(1, learning.total // 1000)
    progress.begin(learning.t, learning.total)
    over = False
    with _signals_noted() as noted, contextlib.closing(learning.steps(stop)) as steps:
        for step in steps:
            for event in learning.events.taken():
                journal.event(event)
            scored = bool(learning.scores) and learning.scores[-1][0] == learning.t
            turned = scored and session.recipe.train.budget is not None and learning.turned
            if turned:
                _cut_short(session, journal)
            if learning.t % log_every == 0 or scored or learning.t == stop:
                journal.row(step)
            session.interrupted, over, due = group.any(bool(noted), clock.over(), saver.due())
            ending = session.interrupted or over or turned or learning.t == stop
            if scored or ending or due:
                learning.check_finite(step)
                _save(saver, journal, ending)
            if ending:
                break
    progress.end()
    if session.interrupted:
        journal.event(Event("stopped", "told to stop; saved"))
    elif over and learning.t < stop:
        journal.event(Event("over", "stopped at 1.25 times the budget, and saved"))


def _cut_short(session: Session, journal: Journal) -> None:
    """End the plan here: with what the budget has left unseen examples would be told worse."""
    learning = session.learning
    least, last = best(learning.scores), learning.scores[-1]
    said = (
        f"unseen examples have been told worse since iteration {least.t}, now by "
        f"{100 * (last.mse / least.mse - 1):.1f} %: learning ends here, and answers are of then "
        "(--set train.iterations=N goes on all the same)"
    )
    journal.event(Event("turned", said, facts={"best": least.t}))
    session.replan(learning.t, session.recipe.train.budget)


def _save_grown(session: Session, progress: Progress) -> None:
    """The only checkpoint is of the data as they are now; what became of them is told."""
    learning, folder = session.learning, session.folder
    Saver(session).save()
    if learning.shards.group.first:
        checkpoint.prune(folder / "checkpoints", {learning.t})
    journal = Journal(session, progress)
    for event in session.grown:
        journal.event(event)


def _save(saver: Saver, journal: Journal, ending: bool) -> None:
    """Save; not in between where there is no room for it: learning goes on until there is."""
    needed = saver.bytes()
    lack = room(saver.folder, needed)
    (none,) = saver.group.any(lack is not None and lack.facts["free"] < needed)
    if lack is not None:
        journal.event(lack)
    if ending or not none:
        saver.save()


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
