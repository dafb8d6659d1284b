"""The columns of a comparison: what there is to show of several groups, and which is better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from abprop.report.comparing.groups import Group, differing, unlike
from abprop.report.comparing.spread import Better, Mark, Spread, marks


class Column(NamedTuple):
    """A number that runs have.

    Attributes:
        key: its name in tables for programs.
        title: over the column.
        better: whether less or more of it is.
    """

    key: str
    title: str
    better: Better = ""


ON = "on_"  # before what was evaluated on named signals
HELD_OUT = "heldout_"
FOREMOST = {"model": 0, "infer": 1, "train": 2}  # sections; what is not named comes after
MOST_KEYS = 6

COLUMNS = (
    Column("on_mse", "mse on SOURCE", "less"),
    Column("on_psnr", "PSNR on SOURCE, dB", "more"),
    Column("on_crps", "CRPS on SOURCE", "less"),
    Column("on_coverage90", "coverage of 90 %"),
    Column("on_sample_ratio", "sample ratio", "less"),
    Column("on_copy_ratio", "copy ratio"),
    Column("heldout_mse", "held-out mse", "less"),
    Column("heldout_psnr", "held-out PSNR, dB", "more"),
    Column("training_mse", "training mse"),
    Column("sigma", "sigma"),
    Column("rhat", "R-hat"),
    Column("iterations", "iterations"),
    Column("minutes", "minutes"),
    Column("parameters", "parameters"),
)


@dataclass(frozen=True)
class Numbers:
    """A column filled in.

    Attributes:
        column: which one.
        found: of each group, None where it has none.
        marks: of each group.
    """

    column: Column
    found: Sequence[Spread | None]
    marks: Sequence[Mark]


def filled(groups: Sequence[Group]) -> list[Numbers]:
    """The columns that some group has, in their order.

    Errors of training batches stand in only where nothing was held out or named.

    Args:
        groups: as they will stand.
    """
    told = list[Numbers]()
    for column in (*COLUMNS, *_rivals(groups)):
        found = [group.spread(column.key) for group in groups]
        if all(one is None for one in found) or (column.key == "training_mse" and told):
            continue
        better: Better = column.better if comparable(groups, column) else ""
        told.append(Numbers(column, found, marks(found, better)))
    return told


def comparable(groups: Sequence[Group], column: Column) -> bool:
    """Whether a number means the same of all groups: the same signals, in the same units."""
    if column.key.startswith(ON):
        return all(run.units == groups[0].runs[0].units for g in groups for run in g.runs)
    return not column.key.startswith(HELD_OUT) or not unlike(groups)


def _rivals(groups: Sequence[Group]) -> list[Column]:
    """Of baselines, whatever they are called."""
    keys = (key for group in groups for run in group.runs for key in run.numbers)
    rivals = dict.fromkeys(key for key in keys if key.startswith(f"{ON}against_"))
    return [Column(key, f"{key.removeprefix(f'{ON}against_')}: mse on SOURCE") for key in rivals]


def ranked(groups: Sequence[Group]) -> list[Group]:
    """Best first by the first score that all of them have; as given where none is comparable."""
    for column in COLUMNS:
        found = [group.spread(column.key) for group in groups]
        known = [one for one in found if one is not None]
        if column.better and len(known) == len(groups) and comparable(groups, column):
            sign = 1 if column.better == "less" else -1
            order = sorted(range(len(groups)), key=lambda i: sign * known[i].mean)
            return [groups[i] for i in order]
    return list(groups)


def differences(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """The keys in which groups differ, each with what each group has, in words."""
    return [(key, [_word(group.keys[key]) for group in groups]) for key in differing(groups)]


def foremost(groups: Sequence[Group]) -> list[tuple[str, list[str]]]:
    """Those of them that a table has room for: of the model first, of the data last."""
    every = differences(groups)
    order = sorted(every, key=lambda pair: FOREMOST.get(pair[0].partition(".")[0], 3))
    return [pair for pair in every if pair in order[:MOST_KEYS]]


def _word(value: object) -> str:
    if value is None:
        return "–"
    text = str(value)
    return f"{text[:8]}…" if len(text) == 64 and text.isalnum() else text
