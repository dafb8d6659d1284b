"""Fitting a run: plan it, learn, save as it goes, stop cleanly, resume."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abprop import checkpoint
from abprop.app import build, machine, metrics
from abprop.app.learning import Learning, Score
from abprop.app.plan import OVERRUN, Clock, planned, with_plan
from abprop.app.progress import Silent
from abprop.app.recipe import (
    Recipe,
    changes,
    check_resume,
    dumps,
    load_preset,
    loads,
    parse_duration,
)
from abprop.app.recipe import build as build_recipe
from abprop.app.saver import Saver
from abprop.data import Signals
from abprop.diagnostics import advice
from abprop.errors import UserError

KIND_PRESETS = {"images": "images", "texture": "texture", "table": "table", "array": "table"}


@dataclass
class Outcome:
    """How a call of `fit` ended."""

    learning: Learning
    interrupted: bool = False


@dataclass(frozen=True)
class Asked:
    """What a caller asks of a recipe; a run that exists has its own below it."""

    preset: str | Path | None = None
    sets: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def on(self, base: Recipe | None) -> Recipe:
        """The recipe asked for, over that of the run or over the defaults."""
        if base is None:
            return build_recipe(self.preset, self.sets, **self.overrides)
        layers = build_recipe(base, [], **_flat(load_preset(self.preset))) if self.preset else base
        recipe = build_recipe(layers, self.sets, **self.overrides)
        if recipe.train.budget == base.train.budget and recipe.train.iterations is None:
            recipe = with_plan(recipe, base.train.iterations, base.train.budget)  # planned once
        return recipe


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in nested.items():
        inner = _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else None
        found |= inner if inner is not None else {prefix + name: value}
    return found


def fit(
    folder: Path,
    asked: Asked,
    *,
    source: object = None,
    stop_at: int | None = None,
    progress: Silent | None = None,
    clock: Clock | None = None,
) -> Outcome:
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
    progress, clock = progress or Silent(), clock or Clock()
    _make(folder)
    with checkpoint.lock(folder):
        learning, signals = _prepare(folder, asked, source, progress)
        learning.recipe = planned(learning, clock, progress)
        checkpoint.write_text(folder / "recipe.toml", dumps(learning.recipe))
        if learning.recipe.train.budget:
            clock.limit = OVERRUN * parse_duration(learning.recipe.train.budget)
        stop = min(stop_at or learning.total, learning.total)
        interrupted = _learn(folder, learning, signals, stop, progress, clock)
    return Outcome(learning, interrupted)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot make the run directory {folder}: {error.strerror}") from error


def _prepare(
    folder: Path, asked: Asked, source: object, progress: Silent
) -> tuple[Learning, Signals]:
    found = checkpoint.latest(folder / "checkpoints", progress.say)
    old = read_recipe(folder) if found is not None else None
    recipe = asked.on(old)
    threads = machine.set_threads(recipe)
    signals = build.load_data(recipe, source)
    if old is None:  # what suits the kind of data lies below what was asked
        recipe = asked.on(build_recipe(KIND_PRESETS.get(signals.kind)))
    if signals.note:
        progress.say(signals.note)
    if old is not None:
        _check_data(folder, old, recipe, signals)
    recipe = build.resolve(recipe, signals)
    for warning in check_resume(old, recipe) if old is not None else []:
        progress.say(f"note: {warning}")
    where = machine.device(recipe.run.device)
    dtype = build.arithmetic(recipe, machine.precision(recipe.run.precision, where))
    learning = Learning(recipe, build.split(recipe, signals), where, dtype)
    if found is not None:
        learning.restore(found.tensors, found.step)
        learning.scores = [Score.of(score) for score in found.meta["scores"]]
        progress.say(f"resuming {folder} at iteration {found.step}")
    metrics.cut(folder / "metrics.jsonl", learning.t)
    _announce(learning, signals, threads, progress)
    return learning, signals


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run."""
    path = folder / "recipe.toml"
    try:
        return loads(path.read_text("utf-8"), path)
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; is {folder} a run of abprop?") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file (UTF-8)") from error


def _check_data(folder: Path, old: Recipe, new: Recipe, signals: Signals) -> None:
    if old.data.fingerprint != signals.fingerprint:
        keys = [key for key, _, _ in changes(old, new) if key.startswith("data.")]
        keys = [key for key in keys if key != "data.source"]
        mend = f"leave {', '.join(keys)} as it was" if keys else "give the same data"
        raise UserError(
            f"{folder} was learned from other data than {signals.source}; {mend}, "
            "or use another --run"
        )


def _announce(learning: Learning, signals: Signals, threads: int, progress: Silent) -> None:
    recipe, parts = learning.recipe, learning.parts
    size = "x".join(map(str, parts.sensor.shape))
    extra = len(parts.train) - parts.originals
    copies = f", {extra} copies" if extra else ""
    held = f", {len(parts.heldout)} held out" if parts.heldout else ""
    count = sum(p.numel() for p in learning.model.network.parameters())
    what = f"{len(parts.train)} crops of one {signals.kind}" if signals.kind == "texture" else (
        f"{parts.originals} {signals.kind}{copies}{held}"
    )  # fmt: skip
    progress.say(
        f"{what}, each {size}; latent {recipe.model.latent}; {count / 1e6:.2f} M parameters; "
        f"{learning.device.type} with {threads} threads, "
        f"{str(learning.dtype).removeprefix('torch.')}"
    )


# Learning -------------------------------------------------------------------------------------


def _learn(
    folder: Path,
    learning: Learning,
    signals: Signals,
    stop: int,
    progress: Silent,
    clock: Clock,
) -> bool:
    """Iterations up to `stop`, saved as the recipe says; True if interrupted."""
    saver = Saver(folder, learning, signals)
    log_every = max(1, learning.total // 1000)
    progress.begin(learning.t, learning.total)
    rows = metrics.load(folder / "metrics.jsonl")
    began = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)
    interrupted = False
    with _signals_noted() as noted, contextlib.closing(learning.steps(stop)) as steps:
        for step in steps:
            scored = bool(learning.scores) and learning.scores[-1][0] == learning.t
            if learning.t % log_every == 0 or scored or learning.t == stop:
                learning.check_finite(step)
                row = metrics.row(learning, step, time.monotonic() - began)
                if learning.t == learning.total and learning.kernel.samples:
                    row |= _diagnosed(learning, progress)
                metrics.append(folder / "metrics.jsonl", row)
                progress.update(learning.t, row)
                _name_diverged(learning, step, progress)
            interrupted, over = bool(noted), clock.over()
            if scored or interrupted or over or learning.t == stop or saver.due():
                learning.check_finite(step)
                saver.save()
            if interrupted or over:
                break
    progress.end()
    if clock.over() and learning.t < stop:
        progress.say(f"stopped at 1.25 times the budget, saved at iteration {learning.t}")
    return interrupted


def _diagnosed(learning: Learning, progress: Silent) -> dict[str, Any]:
    told = learning.diagnose()
    progress.say(advice(told))
    return {"rhat": round(told.rhat, 4), "ess": round(told.ess, 2), "visits": told.visits}


def _name_diverged(learning: Learning, step: Any, progress: Silent) -> None:
    bad = step.ids[step.info.diverged].unique()
    if len(bad):
        n = len(learning.parts.train)
        rows = [int((learning.latents.ids == i).nonzero()[0]) for i in bad[:3]]
        names = ", ".join(learning.parts.train.names[r] for r in rows if r < n)
        progress.say(
            f"note: {len(bad)} examples' chains left the finite numbers at iteration {learning.t} "
            f"({names}); "
            "put back and slowed"
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
