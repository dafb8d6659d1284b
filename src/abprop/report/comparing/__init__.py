"""Several runs side by side: which is best, by what, and whether by more than the seeds differ."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from abprop.grammar import whole
from abprop.report import page as pages
from abprop.report.comparing import columns, groups, notes, one, page, scoring
from abprop.report.comparing.columns import Numbers
from abprop.report.comparing.groups import Group
from abprop.report.comparing.scoring import On
from abprop.run import Run
from abprop.say import Say, quiet

__all__ = ["Comparison", "On", "compare"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs in groups; a group's runs differ in their seeds alone.

    Attributes:
        groups: best first, where that can be said.
        columns: their numbers.
        notes: what to know of them, in sentences.
    """

    groups: Sequence[Group]
    columns: Sequence[Numbers]
    notes: Sequence[str]

    @property
    def keys(self) -> list[tuple[str, list[str]]]:
        """The recipe keys in which groups differ, with each group's value in words."""
        return columns.differences(self.groups)

    @property
    def table(self) -> list[dict[str, Any]]:
        """A flat row for each group, as a data frame takes them.

        Of a number NAME there are NAME (the mean), NAME_sd (None of one run), NAME_min, NAME_max
        and, where less or more of it is better, NAME_mark: "best", "tie" or "".
        """
        return [self._row(i) for i in range(len(self.groups))]

    def _row(self, i: int) -> dict[str, Any]:
        group = self.groups[i]
        row: dict[str, Any] = {"name": group.name, "n": len(group.runs), "seeds": group.seeds}
        row["runs"] = [str(run.folder) for run in group.runs]
        row |= {key: group.keys[key] for key, _ in self.keys}
        for numbers in self.columns:
            name, found = numbers.column.key, numbers.found[i]
            if found is None:
                continue
            sd = found.sd if found.n > 1 else None
            row |= {name: found.mean, f"{name}_sd": sd}
            row |= {f"{name}_min": found.low, f"{name}_max": found.high}
            if numbers.column.better:
                row[f"{name}_mark"] = numbers.marks[i]
        return row

    @property
    def runs(self) -> list[dict[str, Any]]:
        """A row for each run: where it is, its row in the table, its seed and its numbers."""
        return [
            {"run": str(run.folder), "name": group.name, "seed": run.recipe.seed, **run.numbers}
            | ({"scores": dict(run.scores)} if run.scores else {})
            for group in self.groups
            for run in group.runs
        ]

    def page(self, path: str | Path) -> Path:
        """Write it as one HTML file that fetches nothing; returns its path.

        Raises:
            UserError: it cannot be written.
        """
        path = Path(path)
        pages.write(path, page.page(self.groups, self.columns, self.notes))
        return path


def compare(
    runs: Iterable[str | Path | Run],
    *,
    on: object = None,
    sets: Sequence[str] = (),
    masks: object = None,
    hide: str | None = None,
    against: str | Sequence[str] = (),
    draws: int = 16,
    data: object = None,
    device: str | None = None,
    say: Say = warnings.warn,
    progress: Say = quiet,
) -> Comparison:
    """Runs side by side, those that differ in nothing but the seed as one row.

    Args:
        runs: two or more: run directories, hf://NAMESPACE/NAME, or fitted runs.
        on: signals that every run is evaluated on; without, what runs held out stands alone.
        sets, masks, hide: of these signals, see `Run.recover`.
        against, draws: see `Run.evaluate`.
        data: where the runs' data are now, if not where the recipes say.
        device: see `abprop.load`.
        say: told one line about each checkpoint that is bad.
        progress: told what is being done.

    Raises:
        UserError: fewer than two runs, one of them twice, one that is none, or signals that one of
            them cannot take.
    """
    asked = On(on, sets, masks, hide, against, whole("draws (--draws)", draws, 2))
    asked.check()
    found = one.read(runs, data, device, say)
    if on is not None:
        found = scoring.scored(found, asked, progress)
    rows = columns.ranked(groups.grouped(found))
    numbers = columns.filled(rows)
    return Comparison(rows, numbers, notes.notes(rows, numbers))
