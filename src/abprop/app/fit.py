"""Fitting a run: plan it, learn, save as it goes, stop cleanly, resume."""

from __future__ import annotations

import contextlib
import itertools
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from abprop import checkpoint
from abprop.app import build, machine, metrics
from abprop.app.learning import HELDOUT_STEPS, SCORES, Learning, summary
from abprop.app.progress import Silent
from abprop.app.recipe import (
    Recipe,
    changes,
    check_resume,
    dumps,
    load_preset,
    loads,
    parse_duration,
    parse_every,
)
from abprop.app.recipe import build as build_recipe
from abprop.data import Signals
from abprop.errors import UserError

DEFAULT_BUDGET = "15m"
KIND_PRESETS = {"images": "images", "texture": "texture", "table": "table", "array": "table"}
OVERRUN = 1.25  # a budget is a plan; this much later it is an order


class Interrupted(Exception):
    """Ctrl-C or SIGTERM came; the run is saved."""


@dataclass
class Outcome:
    """How a call of `fit` ended."""

    learning: Learning
    signals: Signals
    interrupted: bool = False


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
            recipe = _with_plan(recipe, base.train.iterations, base.train.budget)  # planned once
        return recipe


def _with_plan(recipe: Recipe, iterations: int | None, budget: str | None) -> Recipe:
    plan = {"iterations": iterations, "budget": budget}
    return recipe.model_copy(update={"train": recipe.train.model_copy(update=plan)})


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
        learning.recipe = _planned(learning, clock, progress)
        checkpoint.write_text(folder / "recipe.toml", dumps(learning.recipe))
        if learning.recipe.train.budget:
            clock.limit = OVERRUN * parse_duration(learning.recipe.train.budget)
        stop = min(stop_at or learning.total, learning.total)
        interrupted = _learn(folder, learning, signals, stop, progress, clock)
    return Outcome(learning, signals, interrupted)


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
    dtype = machine.precision(recipe.run.precision, where)
    learning = Learning(recipe, build.split(recipe, signals), where, dtype)
    if found is not None:
        learning.restore(found.tensors, found.step)
        learning.scores = [(int(t), float(mse)) for t, mse in found.meta["scores"]]
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
    size = "x".join(map(str, learning.parts.train.shape))
    copies = f", {len(parts.train) - parts.originals} copies" if recipe.data.mirror == "yes" else ""
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


# Planning -------------------------------------------------------------------------------------


def _planned(learning: Learning, clock: Clock, progress: Silent) -> Recipe:
    """The recipe with its number of iterations; tells time and memory from a short rehearsal."""
    recipe = learning.recipe
    if recipe.train.iterations is not None and learning.t >= recipe.train.iterations:
        progress.say(f"nothing is left to learn: {learning.t} iterations are done")
        return recipe
    seconds = _rehearse(learning, at_least=3)
    if recipe.train.iterations is None:
        budget = parse_duration(recipe.train.budget or DEFAULT_BUDGET)
        seconds = _rehearse(learning, at_least=8, for_seconds=min(10.0, 0.02 * budget))
        scores = SCORES * _score_seconds(learning, seconds)
        left = budget - clock.elapsed() - scores - 0.03 * budget
        iterations = learning.t + max(1, int(left / seconds))
        recipe = _with_plan(recipe, iterations, recipe.train.budget or DEFAULT_BUDGET)
    left = (recipe.train.iterations or 1) - learning.t
    memory = machine.peak_memory(learning.device) / 2**30
    progress.say(
        f"{left} iterations of {seconds:.2g} s: about {left * seconds / 60:.1f} minutes; "
        f"peak memory about {memory:.2f} GiB"
    )
    return recipe


def _rehearse(learning: Learning, at_least: int, for_seconds: float = 0.0) -> float:
    """Seconds an iteration takes; the state is put back to where it was, bit for bit."""
    t, scores, parts = learning.t, list(learning.scores), learning.parts
    saved = {g: {k: v.clone() for k, v in group.items()} for g, group in learning.tensors().items()}
    learning.parts = build.Split(parts.train, parts.ids, parts.originals, None)
    times, began = [], time.monotonic()
    # Far from any iteration of the plan, so that no schedule or score is touched.
    for _ in learning.steps(learning.t + 10_000):
        times.append(time.monotonic() - began)
        enough = len(times) > at_least and times[-1] > for_seconds
        if enough or len(times) > 200:
            break
    learning.parts = parts
    if not saved["optimizer"]:
        learning.optimizer = build.make_optimizer(learning.recipe, learning.model)
    learning.restore(saved, t)
    learning.scores = scores
    laps = sorted(b - a for a, b in itertools.pairwise(times))
    return laps[len(laps) // 2]


def _score_seconds(learning: Learning, seconds: float) -> float:
    """What one held-out score costs, from the cost of an iteration."""
    held = learning.parts.heldout
    if held is None:
        return 0.0
    batch = learning.recipe.train.batch or len(learning.parts.train)
    passes = (learning.recipe.infer.steps + 1.5) * max(1, -(-batch // learning.chunk))
    return seconds / passes * HELDOUT_STEPS * -(-len(held) // learning.chunk)


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


def _name_diverged(learning: Learning, step: Any, progress: Silent) -> None:
    bad = step.ids[step.info.diverged]
    if len(bad):
        n = len(learning.parts.train)
        rows = [int((learning.latents.ids == i).nonzero()[0]) for i in bad[:3]]
        names = ", ".join(learning.parts.train.names[r] for r in rows if r < n)
        progress.say(
            f"note: {len(bad)} chains left the finite numbers at iteration {learning.t} ({names}); "
            "put back and slowed"
        )


class Saver:
    """Writes checkpoints when they are due; keeps the newest and the best."""

    def __init__(self, folder: Path, learning: Learning, signals: Signals) -> None:
        self.folder, self.learning = folder, learning
        self.every = parse_every(learning.recipe.checkpoint.every)
        self.saved_at, self.saved_t = time.monotonic(), learning.t
        self.data = summary(learning.parts, signals)

    def due(self) -> bool:
        """A checkpoint is due by time or by iterations."""
        if self.every.seconds is not None:
            return time.monotonic() - self.saved_at >= self.every.seconds
        return self.learning.t - self.saved_t >= (self.every.iterations or 1)

    def save(self) -> None:
        """Write one now and delete those no longer wanted."""
        learning, where = self.learning, self.folder / "checkpoints"
        checkpoint.save(where, learning.t, learning.tensors(), self._meta())
        # A later one was bad, or this would not be resumed before it: it must not count as new.
        past = [step for step in checkpoint.steps(where) if step <= learning.t]
        checkpoint.prune(where, {*past[-learning.recipe.checkpoint.keep :], learning.best})
        self.saved_at, self.saved_t = time.monotonic(), learning.t

    def _meta(self) -> dict[str, Any]:
        return {
            "recipe": self.learning.recipe.model_dump(exclude={"checkpoint", "run"}),
            "scores": self.learning.scores,
            "chunk": self.learning.chunk,
            "dtype": str(self.learning.dtype).removeprefix("torch."),
            "data": self.data,
            "versions": {"abprop": _version(), "torch": torch.__version__},
        }


def _version() -> str:
    try:
        return version("abprop")
    except PackageNotFoundError:
        return "0+source"


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
