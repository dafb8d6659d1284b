"""What must agree for a run to go on where it was left."""

from __future__ import annotations

from pathlib import Path

from abprop import machine
from abprop.data import Signals
from abprop.errors import UserError
from abprop.run.recipe import Recipe, changes, check_resume, on_machine


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
