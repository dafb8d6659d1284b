"""From a source and a wish to a session before its first iteration, or where it was left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from abprop import checkpoint, machine
from abprop.data import Sensor, Signals
from abprop.distributed import ALONE, Group, Shards
from abprop.kinds import KINDS
from abprop.learning import Learning, Score, fastest
from abprop.rehearsal import PRECISIONS
from abprop.run import metrics
from abprop.run.directory import agreed, check_fits, newest, read_recipe, recorded
from abprop.run.fitting.resuming import check_data, check_device, resumed
from abprop.run.fitting.session import Layers, Progress, Session
from abprop.run.fitting.sharing import sharded, threads_for
from abprop.run.reading import load_data
from abprop.run.recipe import (
    OTHERWISE,
    Recipe,
    check_resume,
    on_machine,
    settings,
)
from abprop.run.split import resolve, split
from abprop.say import counted


@dataclass(frozen=True)
class _Read:
    """What there is before learning: a run's newest checkpoint and recipe, and the data."""

    found: checkpoint.Checkpoint | None
    old: Recipe | None
    recipe: Recipe
    signals: Signals
    observed: Sensor
    threads: int


def prepared(
    folder: Path, asked: Layers, source: object, progress: Progress, group: Group
) -> Session:
    """Everything read and at its place, nothing learned yet; see `fit`."""
    with group.agreed():
        read = _read(folder, asked, source, progress)
    found, old = read.found, read.old
    session = begun(folder, read.recipe, read.signals, read.observed, group)
    for warning in resumed(old, session.recipe, read.threads) if old is not None else []:
        progress.say(f"note: {warning}")
    learning = session.learning
    with group.agreed():
        if found is not None:
            before = found.meta.get("processes", 1)
            if before != group.size and not learning.shards.exact:
                progress.say(f"note: {before} processes were used, now {group.size}: {OTHERWISE}")
            check_fits(folder, found, learning.model)
            read.observed.check_same(found.meta["data"].get("sensed", []), str(folder))
            learning.restore(found.tensors, found.step)
            learning.scores = [Score.of(score) for score in found.meta["scores"]]
            progress.say(f"resuming {folder} at iteration {found.step}")
        if group.first:
            metrics.cut(folder / "metrics.jsonl", learning.t)
    _announce(session, read.threads, progress)
    return session


def _read(folder: Path, asked: Layers, source: object, progress: Progress) -> _Read:
    found = newest(folder, progress.say)
    old = None
    if found is None:
        recipe = asked.over(None)
    else:
        written = read_recipe(folder)
        old = recorded(agreed(written, found), found.meta)
        recipe = asked.resuming(recorded(written, found.meta))
    check_device(folder, old, recipe)
    threads = machine.set_threads(threads_for(recipe))
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
    return _Read(found, old, recipe, signals, observed, threads)


def begun(
    folder: Path, recipe: Recipe, signals: Signals, observed: Sensor, group: Group = ALONE
) -> Session:
    """A session before its first iteration.

    Args:
        folder: where its run shall lie.
        recipe, observed: as `resolve` gives them.
        signals: all that were read.
        group: the processes that learn together.
    """
    with group.agreed():
        where, parts = machine.device(recipe.run.device), split(recipe, signals, observed)
        recipe = sharded(recipe, len(parts.train), group)
        asked, dated = recipe.run, recipe.train.iterations is not None
        choice = fastest(
            settings(recipe), parts.examples, where, asked.precision, asked.forms, dated
        )
    # The first process's: what is fastest is measured.
    name, *forms = group.text(f"{choice.dtype} {' '.join(choice.forms)}").split()
    name = name.removeprefix("torch.")
    device = where.type if recipe.run.device == "auto" else recipe.run.device
    seen = parts.examples, parts.unseen, parts.originals
    exact = recipe.distributed.reduce == "exact"
    shards = Shards(len(parts.train), int(recipe.distributed.shards), group, exact)
    learning = Learning(settings(recipe), *seen, where, PRECISIONS[name], shards)
    if forms:
        learning.model.network.forms = tuple(forms)
    recipe = on_machine(recipe, device=device, precision=name, forms=" ".join(forms) or "auto")
    return Session(folder, recipe, learning, parts, signals)


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
