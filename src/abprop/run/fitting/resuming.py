"""What must agree for a run to go on where it was left, and what may become of its data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abprop import machine
from abprop.data import Signals
from abprop.data.choice import chosen
from abprop.errors import UserError
from abprop.files.entries import placed
from abprop.kinds import KINDS
from abprop.learning.events import Event
from abprop.run.fitting.session import Growth
from abprop.run.reading import forgotten, joined, read_more
from abprop.run.recipe import Recipe, changes, check_resume, compose, on_machine
from abprop.say import Say, counted


def check_device(folder: Path, old: Recipe | None, recipe: Recipe) -> None:
    """Refuse to go on without the device that a run asked for by name.

    Raises:
        UserError: there is no such device here.
    """
    name = recipe.run.device
    if old is not None and name == old.run.device and not machine.has(name):
        raise UserError(
            f"{folder} was learned on {name} (run.device), and there is no such device here; "
            "--device auto chooses again"
        )


def check_data(folder: Path, old: Recipe, new: Recipe, signals: Signals) -> None:
    """Refuse to go on from other data.

    Raises:
        UserError: their fingerprint is another.
    """
    if old.data.fingerprint != signals.fingerprint:
        keys = [key for key, _, _ in changes(old, new) if key.startswith("data.")]
        keys = [key for key in keys if key != "data.source"]
        mend = f"leave {', '.join(keys)} as it was" if keys else "give the same data"
        raise UserError(
            f"{folder} was learned from other data than {signals.source}; {mend}, "
            "or use another --run"
        )


def resumed(old: Recipe, new: Recipe, threads: int) -> list[str]:
    """What changed, a line each; nothing was ever said of what older versions left open."""
    new = on_machine(new, threads=new.run.threads or threads)
    kept = {"auto": new.run.device}.get(old.run.device, old.run.device)
    return check_resume(on_machine(old, device=kept, threads=old.run.threads or threads), new)


def check_growth(old: Recipe, recipe: Recipe) -> None:
    """Refuse what is for `grown` to say.

    Raises:
        UserError: a growth.* key was set.
    """
    if recipe.growth != old.growth:
        raise UserError(
            "growth.*: written by abprop fit RUN --add NEW_DATA and --forget IDS; leave these "
            "keys out"
        )


def same_data(old: Recipe, new: Recipe) -> Recipe:
    """A recipe with another's data, where nothing but them may differ in a run that has grown."""
    data = old.data.model_copy(update={"fingerprint": new.data.fingerprint})
    update = {"growth": new.growth, "distributed": new.distributed, "data": data}
    return old.model_copy(update=update)


def grown(
    recipe: Recipe, signals: Signals, asked: Growth, say: Say
) -> tuple[Recipe, Signals, list[Event]]:
    """The recipe and the signals of a run whose data change, and what happened to them.

    What is there already is not added again, and what is gone not taken again: a command that was
    cut off can be given once more.

    Args:
        recipe: of the run so far.
        signals: all that it learned from.
        asked: what shall change.
        say: told what there is nothing to do for.

    Raises:
        UserError: examples that cannot be added, or ids that there are not.
    """
    kind, events = KINDS[signals.kind], list[Event]()
    if kind.cuts or kind.moves:
        raise UserError(
            f"--add, --forget: this run learned one {kind.one}, and its examples are parts of it; "
            "fit another --run"
        )
    if not recipe.growth.sizes:
        recipe = _growth(recipe, sizes=[len(signals)])
    if asked.add is not None:
        recipe, signals, told = _added(recipe, signals, asked, say)
        events += told
    if asked.forget is not None:
        recipe, signals, told = _without(recipe, signals, asked.forget, say)
        events += told
    new: dict[str, Any] = {"data.fingerprint": signals.fingerprint}
    return compose(recipe, **new) if events else recipe, signals, events


def _growth(recipe: Recipe, **keys: Any) -> Recipe:
    return compose(recipe, **{f"growth.{key}": value for key, value in keys.items()})


def _added(
    recipe: Recipe, signals: Signals, asked: Growth, say: Say
) -> tuple[Recipe, Signals, list[Event]]:
    growth, named = recipe.growth, isinstance(asked.add, str | Path)
    place = placed(str(asked.add)) if named else "<array>"
    if named and place in (placed(recipe.data.source), *growth.added):
        say(f"note: {asked.add} is among what this run learns from: nothing is added")
        return recipe, signals, []
    source = place if named else asked.add
    masks = placed(asked.masks) if asked.masks else ""
    part = read_more(recipe, signals, source, masks or None, len(growth.sizes))
    recipe = _growth(
        recipe,
        added=[*growth.added, place],
        masks=[*growth.masks, masks],
        sizes=[*growth.sizes, len(part)],
    )
    n, more = len(signals), len(part)
    said = f"{counted(more, 'example', 'examples')} added from {place}: ids {n} to {n + more - 1}"
    whole = joined([signals, part], [n, more], since=len(growth.sizes))
    return recipe, whole, [Event("added", said, facts={"first": n, "count": more})]


def _without(
    recipe: Recipe, signals: Signals, ids: str, say: Say
) -> tuple[Recipe, Signals, list[Event]]:
    n, gone = len(signals), forgotten(recipe)
    try:
        asked = chosen(ids, None, n, "the data")
    except UserError as error:
        raise UserError(f"--forget {ids}: {str(error).removeprefix('data.select')}") from None
    new = sorted({*asked.tolist()} - {*gone})
    if not new:
        say(f"note: --forget {ids}: forgotten already")
        return recipe, signals, []
    gone = sorted([*gone, *new])
    recipe = _growth(recipe, forgotten=",".join(map(str, gone)))
    said = (
        f"{counted(len(new), 'example', 'examples')} forgotten: latents, copies and older "
        "checkpoints are gone. The weights have learned from them and cannot unlearn that: only a "
        "new fit without them can; samples/ may show what was written before"
    )
    event = Event("forgotten", said, facts={"ids": new, "count": len(new)})
    return recipe, joined([signals], [n], gone), [event]
