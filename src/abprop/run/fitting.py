"""Fitting a run: plan it, learn, save as it goes, stop cleanly, resume."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from abprop import checkpoint, machine
from abprop.alternate import Step
from abprop.data import Sensor, Signals
from abprop.diagnostics import advice
from abprop.errors import UserError
from abprop.grammar import parse_duration
from abprop.kinds import KINDS
from abprop.learning import Clock, Learning, Score, fastest, planned
from abprop.learning.plan import OVERRUN
from abprop.run import metrics
from abprop.run.directory import Saver, agreed, check_fits, newest, read_recipe, recorded
from abprop.run.recipe import (
    Recipe,
    check_resume,
    compose,
    dumps,
    flattened,
    in_place,
    load_preset,
    on_machine,
    settings,
    with_plan,
)
from abprop.run.resuming import check_data, check_device, resumed
from abprop.run.split import Split, load_data, resolve, split
from abprop.say import counted, shown

DEFAULT_BUDGET = "15m"


class Progress:
    """What shows a run while it learns. This one shows nothing."""

    def say(self, line: str) -> None:
        """One line of information."""

    def begin(self, done: int, total: int) -> None:
        """Learning starts at iteration `done` of `total`."""

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """Iteration `done` is finished; `row` is its line of metrics."""

    def end(self) -> None:
        """Learning is over."""


@dataclass
class Session:
    """A run while it is fitted.

    Attributes:
        folder: the run directory.
        recipe: complete, once it is planned.
        learning: what learns.
        split: what it learns from.
        signals: all that were read.
        interrupted: whether Ctrl-C or SIGTERM ended it.
    """

    folder: Path
    recipe: Recipe
    learning: Learning
    split: Split
    signals: Signals
    interrupted: bool = False


@dataclass(frozen=True)
class Layers:
    """What a caller asks of a recipe; that of a run, or the defaults, lie below.

    `operator` is what was measured by, where that was given in Python and no recipe can hold it.
    """

    preset: str | Path | None = None
    sets: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    operator: object = None

    def over(self, base: Recipe | Mapping[str, Any] | str | None) -> Recipe:
        """The recipe asked for: over that of a run, or over what suits a kind of data."""
        recipe = compose(base)
        if self.preset:
            recipe = compose(recipe, [], **flattened(load_preset(self.preset)))
        return in_place(compose(recipe, self.sets, **self.overrides))

    def resuming(self, run: Recipe) -> Recipe:
        """The recipe asked for of a run that exists; what was planned stays planned."""
        recipe = self.over(run)
        if recipe.train.budget == run.train.budget and recipe.train.iterations is None:
            recipe = with_plan(recipe, run.train.iterations, run.train.budget)
        moved = any(getattr(recipe.run, k) != getattr(run.run, k) for k in ("device", "precision"))
        if moved and recipe.run.forms == run.run.forms:  # they were the fastest elsewhere
            recipe = on_machine(recipe, forms="auto")
        return recipe


def fit(
    folder: Path,
    asked: Layers,
    *,
    source: object = None,
    stop_at: int | None = None,
    progress: Progress | None = None,
    clock: Clock | None = None,
) -> Session:
    """Learn into a run directory, or go on where it was left.

    Args:
        folder: the run directory; made if missing.
        asked: what the caller wants of the recipe.
        source: data given from Python, or a path other than the recipe's.
        stop_at: save and leave at this iteration.
        progress: what shows it.
        clock: when the call began.

    Raises:
        UserError: whatever the user can mend, in one line.
    """
    progress, clock = progress or Progress(), clock or Clock()
    _make(folder)
    with checkpoint.lock(folder):
        session = _prepared(folder, asked, source, progress)
        _plan(session, clock, progress)
        checkpoint.write_text(folder / "recipe.toml", dumps(session.recipe))
        if session.recipe.train.budget:
            clock.limit = OVERRUN * parse_duration(session.recipe.train.budget)
        total = session.learning.total
        _learn(session, min(stop_at or total, total), progress, clock)
    return session


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {folder}: {error.strerror}") from error


def _prepared(folder: Path, asked: Layers, source: object, progress: Progress) -> Session:
    found = newest(folder, progress.say)
    old = None
    if found is None:
        recipe = asked.over(None)
    else:
        written = read_recipe(folder)
        old = recorded(agreed(written, found), found.meta)
        recipe = asked.resuming(recorded(written, found.meta))
    check_device(folder, old, recipe)
    threads = machine.set_threads(recipe.run.threads)
    signals = load_data(recipe, source, progress.say)
    if old is None:  # what suits the kind of data lies below what was asked
        recipe = asked.over(KINDS[signals.kind].preset)
    if signals.note:
        progress.say(signals.note)
    if old is not None:
        check_data(folder, old, recipe, signals)
    recipe, observed = resolve(recipe, signals, progress.say, asked.operator)
    if old is not None:
        check_resume(old, recipe)  # before anything is done with it
    session = begun(folder, recipe, signals, observed)
    for warning in resumed(old, session.recipe, threads) if old is not None else []:
        progress.say(f"note: {warning}")
    learning = session.learning
    if found is not None:
        check_fits(folder, found, learning.model)
        observed.check_same(found.meta["data"].get("sensed", []), str(folder))
        learning.restore(found.tensors, found.step)
        learning.scores = [Score.of(score) for score in found.meta["scores"]]
        progress.say(f"resuming {folder} at iteration {found.step}")
    metrics.cut(folder / "metrics.jsonl", learning.t)
    _announce(session, threads, progress)
    return session


def begun(folder: Path, recipe: Recipe, signals: Signals, observed: Sensor) -> Session:
    """A session before its first iteration.

    Args:
        folder: where its run shall lie.
        recipe, observed: as `resolve` gives them.
        signals: all that were read.
    """
    where = machine.device(recipe.run.device)
    parts = split(recipe, signals, observed)
    asked, dated = recipe.run, recipe.train.iterations is not None
    choice = fastest(settings(recipe), parts.examples, where, asked.precision, asked.forms, dated)
    name = str(choice.dtype).removeprefix("torch.")
    device = where.type if recipe.run.device == "auto" else recipe.run.device
    seen = parts.examples, parts.unseen, parts.originals
    learning = Learning(settings(recipe), *seen, where, choice.dtype)
    if choice.forms:
        learning.model.network.forms = choice.forms
    forms = " ".join(choice.forms) or "auto"
    recipe = on_machine(recipe, device=device, precision=name, forms=forms)
    return Session(folder, recipe, learning, parts, signals)


def _plan(session: Session, clock: Clock, progress: Progress) -> None:
    """Write the plan into the recipe and what learns by it."""
    recipe, learning = session.recipe, session.learning
    budget = recipe.train.budget or DEFAULT_BUDGET
    open_threads = recipe.run.threads == 0
    progress.say("planning")
    plan = planned(learning, parse_duration(budget), clock, progress.say, try_threads=open_threads)
    if recipe.train.iterations is None:
        recipe = with_plan(recipe, plan.iterations, budget, scores=plan.scores)
    if recipe.infer.wait is None and plan.seconds:
        recipe = with_plan(recipe, recipe.train.iterations, recipe.train.budget, wait=plan.wait)
    if open_threads:
        recipe = on_machine(recipe, threads=plan.threads or torch.get_num_threads())
    session.recipe, learning.settings = recipe, plan.applied(learning.settings)
    memory = machine.peak_memory(learning.device) / 2**30
    progress.say(f"peak memory so far {memory:.2f} GiB")


def _announce(session: Session, threads: int, progress: Progress) -> None:
    recipe, learning, parts = session.recipe, session.learning, session.split
    size, kind = "x".join(map(str, parts.sensor.shape)), KINDS[session.signals.kind]
    extra = len(parts.train) - parts.originals
    copies = f", {counted(extra, 'copy', 'copies')}" if extra else ""
    held = f", {len(parts.heldout)} held out" if parts.heldout else ""
    count = sum(p.numel() for p in learning.model.network.parameters())
    source = f" of one {kind.name}" if kind.cuts else ""
    progress.say(
        f"{kind.counted(parts.originals)}{source}{copies}{held}, each {size}; "
        f"latent {recipe.model.latent}; {count / 1e6:.2f} M parameters; "
        f"{learning.device.type} with {threads} threads, "
        f"{str(learning.dtype).removeprefix('torch.')}"
    )


# Learning -------------------------------------------------------------------------------------


def _learn(session: Session, stop: int, progress: Progress, clock: Clock) -> None:
    """Iterations up to `stop`, saved as the recipe says."""
    folder, learning = session.folder, session.learning
    saver = Saver(folder, session.recipe, learning, session.split, session.signals)
    log_every = max(1, learning.total // 1000)
    progress.begin(learning.t, learning.total)
    rows = metrics.load(folder / "metrics.jsonl")
    began = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)
    with _signals_noted() as noted, contextlib.closing(learning.steps(stop)) as steps:
        for step in steps:
            scored = bool(learning.scores) and learning.scores[-1][0] == learning.t
            if learning.t % log_every == 0 or scored or learning.t == stop:
                _log(session, step, time.monotonic() - began, progress)
            session.interrupted, over = bool(noted), clock.over()
            ending = session.interrupted or over
            if scored or ending or learning.t == stop or saver.due():
                learning.check_finite(step)
                saver.save()
            if ending:
                break
    progress.end()
    if clock.over() and learning.t < stop:
        progress.say(f"stopped at 1.25 times the budget, saved at iteration {learning.t}")


def _log(session: Session, step: Step, seconds: float, progress: Progress) -> None:
    learning = session.learning
    learning.check_finite(step)
    row = metrics.row(learning, step, seconds)
    if learning.t == learning.total and learning.kernel.samples:
        row |= _diagnosed(learning, progress)
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
        rows = [int((learning.latents.ids == i).nonzero()[0]) for i in bad[:3]]
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
