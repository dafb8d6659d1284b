"""A comparison as a page: table, learning curves, new signals and reconstructions side by side."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from abprop.errors import UserError
from abprop.report.comparing.columns import Numbers, differences, foremost
from abprop.report.comparing.groups import Group
from abprop.report.comparing.one import One
from abprop.report.curves import Curve, Point
from abprop.report.figures import beside
from abprop.report.page import Cell, Figure, Page, Table
from abprop.run.recipe import KEYS
from abprop.say import counted, quiet

MOST = 12  # groups that are shown in pictures
NARROW = 5  # groups beside which there is room for what a key means
GAP = (math.nan, math.nan)  # between the lines of two seeds
SIGNS = {"best": "", "tie": "≈ ", "": ""}
READING = (
    "A row is one recipe: mean ± standard deviation over its runs, the least and the greatest "
    "below. The best is bold; ≈ is what cannot be told from it: mean ± deviation of the two meet."
)


def page(groups: Sequence[Group], numbers: Sequence[Numbers], notes: Sequence[str]) -> Page:
    """Everything the page says.

    Args:
        groups: as they stand in the table.
        numbers: the columns.
        notes: sentences.
    """
    count = sum(len(group.runs) for group in groups)
    shown = [(group.name, group.runs[0]) for group in groups[:MOST]]
    made = beside.samples((name, one.opened(quiet)) for name, one in shown)
    told, why = _reconstructions(shown)
    return Page(
        title=f"{counted(count, 'run', 'runs')} compared",
        subtitle=f"{counted(len(groups), 'recipe', 'recipes')}, by what they learned",
        notes=[*notes, *why, *_left_out(groups)],
        first=_table(groups, numbers),
        curves=list(_curves(groups)),
        beside=made,
        figures=told,
        tables=[*_differences(groups), _one_by_one(groups, numbers)],
    )


def _left_out(groups: Sequence[Group]) -> list[str]:
    return [f"Pictures are of the first {MOST} rows."] if len(groups) > MOST else []


def _reconstructions(shown: Sequence[tuple[str, One]]) -> tuple[list[Figure], list[str]]:
    """The figure, if there is one; and why not."""
    try:
        return beside.reconstructions([(name, one.opened(quiet)) for name, one in shown]), []
    except UserError as error:
        return [], [f"No reconstructions are shown: {error}."]


# Tables -----------------------------------------------------------------------------------------


def _table(groups: Sequence[Group], numbers: Sequence[Numbers]) -> Table:
    keys = foremost(groups)
    header = ["", "runs", *(key for key, _ in keys), *(one.column.title for one in numbers)]
    rows = [
        [
            group.name,
            len(group.runs),
            *(words[i] for _, words in keys),
            *(_cell(one, i) for one in numbers),
        ]
        for i, group in enumerate(groups)
    ]
    return Table("Side by side", header, rows, READING, dense=True)


def _cell(numbers: Numbers, row: int) -> Cell:
    found, mark = numbers.found[row], numbers.marks[row]
    if found is None:
        return Cell("–")
    if not numbers.column.better:
        return Cell(found.middle, found.width)
    return Cell(SIGNS[mark] + found.said, found.ends, mark == "best")


def _differences(groups: Sequence[Group]) -> Iterator[Table]:
    """What differs in the recipes, and what it means."""
    keys, narrow = differences(groups), len(groups) <= NARROW
    if keys:
        header = ["key", *(group.name for group in groups), *(["meaning"] if narrow else [])]
        rows = [[key, *words, KEYS[key].description or ""][: len(header)] for key, words in keys]
        yield Table("What differs in the recipes", header, rows)


def _one_by_one(groups: Sequence[Group], numbers: Sequence[Numbers]) -> Table:
    keys = [one.column for one in numbers]
    header = ["run", "row", "seed", *(column.title for column in keys)]
    rows = [
        [str(run.folder), group.name, run.recipe.seed,
         *(run.numbers.get(column.key, "–") for column in keys)]
        for group in groups for run in group.runs
    ]  # fmt: skip
    return Table("Run by run", header, rows, dense=True)


# Curves -----------------------------------------------------------------------------------------


def _curves(groups: Sequence[Group]) -> Iterator[Curve]:
    """Held-out error of all runs, seeds in one colour; of training batches where none has one."""
    held = any("heldout_mse" in row for group in groups for run in group.runs for row in run.rows)
    key, best = ("heldout_mse",) * 2 if held else ("mse", "training_mse")
    title = "Held-out error" if held else "Error of training batches"
    said = {group.name: found.said for group in groups if (found := group.spread(best))}
    across: dict[str, Callable[[Mapping[str, Any]], float]] = {
        "iteration": lambda row: row["iteration"],
        "minutes": lambda row: row["seconds"] / 60,
    }
    for label, x in across.items():
        lines = {group.name: _lines(group, key, x) for group in groups}
        yield Curve(f"{title} by {label}", "mse, model units", lines, True, label, said)


def _lines(group: Group, key: str, x: Callable[[Mapping[str, Any]], float]) -> list[Point]:
    points = list[Point]()
    for run in group.runs:
        points += [GAP] if points else []
        points += [(x(row), row[key]) for row in run.rows if key in row]
    return points
