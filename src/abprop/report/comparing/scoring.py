"""The same signals put to every run: what `--on SOURCE` adds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from abprop.data import Signals
from abprop.errors import UserError
from abprop.files.entries import placed
from abprop.report.comparing.columns import ON
from abprop.report.comparing.one import One
from abprop.run import Run
from abprop.say import Say

KEPT = ("mse", "psnr", "crps", "coverage90", "sample_ratio", "copy_ratio")


@dataclass(frozen=True, eq=False)
class On:
    """Signals and how they are put; see `Run.given` and `Run.evaluate`."""

    source: object
    sets: Sequence[str] = ()
    masks: Any = None
    hide: str | None = None
    against: str | Sequence[str] = ()
    draws: int = 16

    def check(self) -> None:
        """Refuse what is asked of signals that are not named.

        Raises:
            UserError: there is a mask, a rule, a key or a baseline, but no source.
        """
        asked = {"--set": self.sets, "--masks": self.masks, "--hide": self.hide}
        asked["--against"] = self.against
        told = [name for name, value in asked.items() if value is not None and len(value)]
        if self.source is None and told:
            raise UserError(f"{', '.join(told)}: of which signals? name them with --on SOURCE")


def scored(runs: Iterable[One], on: On, say: Say) -> list[One]:
    """The runs with what they score on the same signals, hidden at the same places.

    Args:
        runs: as read.
        on: the signals.
        say: told what is being done.

    Raises:
        UserError: a run cannot take such signals; or a rule would hide other parts for other runs.
    """
    known = list[tuple[Any, Signals]]()
    return [_scored(one, on, known, say) for one in runs]


def _scored(one: One, on: On, known: list[tuple[Any, Signals]], say: Say) -> One:
    run = one.opened(say)
    say(f"evaluating {one.folder}")
    try:
        signals = _read(run, on, known)
        asked = {"against": on.against, "draws": on.draws}
        found = run.evaluate(signals, **asked, progress=say)
    except UserError as error:
        raise UserError(f"{one.folder}: {error}") from error
    numbers = {f"{ON}{key}": found[key] for key in KEPT if key in found}
    rivals = found.get("baselines", {}).items()
    numbers |= {f"{ON}against_{name}": row["mse"] for name, row in rivals if "mse" in row}
    return replace(one, numbers={**one.numbers, **numbers}, scores=found)


def _read(run: Run, on: On, known: list[tuple[Any, Signals]]) -> Signals:
    """Signals as a run takes them, read once for all runs that take them alike."""
    source, recipe = on.source, run.recipe.data
    if run.kind.cuts and isinstance(source, str) and placed(source) == placed(recipe.source):
        return run.given(None)  # its crops: their source is what samples are held against
    way = (run.kind.name, run.shape, recipe.size, recipe.channels, recipe.columns, recipe.range)
    way += (recipe.rate, recipe.seconds, recipe.window)
    way += (run.scale,)
    for other, signals in known:
        if other == way:
            return signals
    if known and on.hide is not None:
        raise UserError(
            f"--hide {on.hide}: a rule would hide other parts than for the runs before; compare "
            "runs of the same size and units, or give --masks"
        )
    signals = run.given(source, on.sets, masks=on.masks, hide=on.hide)
    known.append((way, signals))
    return signals
