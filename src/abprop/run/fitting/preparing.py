"""From a source and a wish to a session before its first iteration, or where it was left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from abprop import checkpoint, machine
from abprop.data import Sensor, Signals
from abprop.distributed import ALONE, Group, Shards
from abprop.errors import UserError
from abprop.kinds import KINDS
from abprop.learning import Learning, Score, fastest
from abprop.learning.events import Event
from abprop.rehearsal import PRECISIONS
from abprop.run import metrics
from abprop.run.directory import agreed, as_grown, check_fits, newest, read_recipe, recorded
from abprop.run.fitting.resuming import (
    check_data,
    check_device,
    check_growth,
    grown,
    resumed,
    same_data,
)
from abprop.run.fitting.session import Growth, Layers, Progress, Session
from abprop.run.fitting.sharing import cut_anew, sharded, threads_for
from abprop.run.reading import load_data
from abprop.run.recipe import (
    OTHERWISE,
    Recipe,
    check_resume,
    on_machine,
    settings,
    with_plan,
)
from abprop.run.split import resolve, scale_read, sensor, split
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
    events: Sequence[Event] = ()


def prepared(
    folder: Path, asked: Layers, source: object, progress: Progress, group: Group
) -> Session:
    """Everything read and at its place, nothing learned yet; see `fit`."""
    with group.agreed():
        read = _read(folder, asked, source, progress)
    found, old, came = read.found, read.old, None
    session = begun(folder, read.recipe, read.signals, read.observed, group, bool(read.events))
    session.grown = list(read.events)
    if old is not None and read.events:
        old = same_data(old, session.recipe)
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
            if read.events:
                came = learning.adopt(found.tensors, found.step)
            else:
                learning.restore(found.tensors, found.step)
            learning.scores = [Score.of(score) for score in found.meta["scores"]]
            progress.say(f"resuming {folder} at iteration {found.step}")
        if group.first:
            metrics.cut(folder / "metrics.jsonl", learning.t)
    if came is not None:
        _settle(learning, came, progress)
    _announce(session, read.threads, progress)
    return session


def _settle(learning: Learning, came: Tensor, progress: Progress) -> None:
    """Burn in the chains of what was added; scores of other examples are no guide any more."""
    if len(came):
        progress.say(f"burning in {counted(len(came), 'new chain', 'new chains')}")
    learning.burn_in(came)
    learning.scores = [] if learning.heldout is None else [learning.score_heldout()]


def _read(folder: Path, asked: Layers, source: object, progress: Progress) -> _Read:
    found = newest(folder, progress.say)
    old = None
    if found is None and asked.growth is not None:
        raise UserError(f"{folder} holds no checkpoint yet; run abprop fit first")
    if found is None:
        recipe = asked.over(None)
    else:
        written = as_grown(read_recipe(folder), found)
        old = recorded(agreed(written, found), found.meta)
        recipe = asked.resuming(recorded(written, found.meta))
    check_growth(old or Recipe(), recipe)
    check_device(folder, old, recipe)
    threads = machine.set_threads(threads_for(recipe))
    scale = None if found is None else scale_read(found.meta["data"])
    signals = load_data(recipe, source, progress.say, scale)
    if old is None:  # what suits the kind of data lies below what was asked
        recipe = asked.over(KINDS[signals.kind].preset)
    if signals.note:
        progress.say(signals.note)
    if old is not None:
        check_data(folder, old, recipe, signals)
    learned = _learned(found) if recipe.growth.sizes else {}
    recipe, observed = resolve(recipe, signals, progress.say, operator=asked.operator, **learned)
    if old is not None:
        check_resume(old, recipe)  # before anything is done with it
    read = _Read(found, old, recipe, signals, observed, threads)
    return read if asked.growth is None else _regrown(read, asked, asked.growth, progress)


def _learned(found: checkpoint.Checkpoint | None) -> dict[str, Any]:
    """What a run has learned of its signals besides weights: of other ones it would be another."""
    if found is None:
        return {}
    return {"colour": checkpoint.colour_in(found), "known": checkpoint.known_in(found)}


def _regrown(read: _Read, asked: Layers, growth: Growth, progress: Progress) -> _Read:
    """With other data than before."""
    recipe, signals, events = grown(read.recipe, read.signals, growth, progress.say)
    if not events:
        return read
    observed = sensor(recipe, signals, operator=asked.operator, **_learned(read.found))
    if asked.asks("train.budget"):  # for more of it
        recipe = with_plan(recipe, None, recipe.train.budget)
    return replace(read, recipe=recipe, signals=signals, observed=observed, events=events)


def begun(
    folder: Path,
    recipe: Recipe,
    signals: Signals,
    observed: Sensor,
    group: Group = ALONE,
    grown: bool = False,
) -> Session:
    """A session before its first iteration.

    Args:
        folder: where its run shall lie.
        recipe, observed: as `resolve` gives them.
        signals: all that were read.
        group: the processes that learn together.
        grown: whether some of its chains come from a checkpoint of other data.
    """
    with group.agreed():
        where, parts = machine.device(recipe.run.device), split(recipe, signals, observed)
        if grown:
            recipe = cut_anew(recipe, len(parts.train))
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
    plain = settings(recipe)
    if grown:  # its chains have begun
        plain = replace(plain, infer=replace(plain.infer, start="prior"))
    learning = Learning(plain, *seen, where, PRECISIONS[name], shards)
    if forms:
        learning.formed(forms)
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
