"""Runs that differ in nothing but chance are one group, and a group has a name.

What does not make another group: the seed; where data and checkpoints lie; the machine; how
learning is shared out among processes; and of a budget what `fit` made of it: iterations, the wait
of the chains, how often is scored.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import takewhile
from pathlib import Path
from typing import Any

from abprop.files.entries import placed
from abprop.learning.plan import LONGEST_WAIT, MAP_WAIT, WAIT
from abprop.report.comparing.one import One
from abprop.report.comparing.spread import Spread
from abprop.run.recipe import Recipe, flat

CHANCE = {"seed", "data.source", "data.masks"}
SECTIONS = ("run.", "checkpoint.", "distributed.")  # of the machine and of the disk
PLANNED = ("train.iterations", "train.scores")  # where there is a budget
MOST = 3  # names that are written out
# Keys by which held-out examples, or the units of their errors, are others.
UNLIKE = {"data.kind", "data.fingerprint", "data.range", "data.size", "data.channels"}
UNLIKE |= {"data.columns", "data.select", "data.limit", "data.measure", "data.operator"}
UNLIKE |= {"data.hide", "data.rate", "data.seconds", "data.window", "data.shape", "data.crop"}
UNLIKE |= {"data.complete", "model.likelihood"}


def essence(recipe: Recipe) -> dict[str, Any]:
    """The keys by which runs are told apart, with their values."""
    keys = {
        key: value
        for key, value in flat(recipe).items()
        if key not in CHANCE and not key.startswith(SECTIONS)
    }
    train, source = recipe.train, recipe.data.source
    if train.budget:
        keys |= dict.fromkeys(PLANNED, "planned")
    waits = int(WAIT * (train.iterations or 0)), LONGEST_WAIT, MAP_WAIT
    if train.iterations and recipe.infer.wait in waits:
        keys["infer.wait"] = "chosen"
    if (recipe.data.operator or "").endswith(".npy"):
        keys["data.operator"] = "a matrix"
    if recipe.data.hide and source not in ("", "<array>"):
        # What a rule hides follows the seed, and is in the fingerprint.
        keys["data.fingerprint"] = placed(source)
    return keys


@dataclass(frozen=True, eq=False)
class Group:
    """Runs of one recipe.

    Attributes:
        name: short, of the folders.
        runs: in the order given, one or more.
        keys: see `essence`.
    """

    name: str
    runs: Sequence[One]
    keys: Mapping[str, Any]

    def spread(self, column: str) -> Spread | None:
        """A number over the runs; None where none of them has it."""
        return Spread.of([run.numbers[column] for run in self.runs if column in run.numbers])

    @property
    def seeds(self) -> list[int]:
        """Of its runs."""
        return [run.recipe.seed for run in self.runs]


def grouped(runs: Sequence[One]) -> list[Group]:
    """Groups in the order in which their first runs were given."""
    found: dict[str, list[int]] = {}
    keys = [essence(run.recipe) for run in runs]
    for i, one in enumerate(keys):
        found.setdefault(repr(sorted(one.items())), []).append(i)
    names = names_of([run.folder for run in runs])
    return [
        Group(_name([names[i] for i in rows], names), [runs[i] for i in rows], keys[rows[0]])
        for rows in found.values()
    ]


def differing(groups: Sequence[Group]) -> list[str]:
    """The keys in which groups differ, in the order of the recipe."""
    first = groups[0].keys
    return [key for key in first if any(group.keys[key] != first[key] for group in groups)]


def unlike(groups: Sequence[Group]) -> list[str]:
    """The keys for which held-out errors of these groups are not of the same signals or units."""
    return [key for key in differing(groups) if key in UNLIKE]


def names_of(folders: Sequence[Path]) -> list[str]:
    """Folders by what is not common to all of them: "d20/s0", "d20/s1"."""
    paths = [os.path.abspath(folder) for folder in folders]
    top = os.path.commonpath([os.path.dirname(path) for path in paths])
    return [os.path.relpath(path, top) for path in paths]


def _common(names: Sequence[str]) -> str:
    """The letters with which all begin."""
    alike = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in alike)


def _name(own: Sequence[str], everyone: Sequence[str]) -> str:
    """One name for several runs: "d20-s*" if it means no others, else "d20-s{0,1}", or all."""
    if len(own) == 1:
        return own[0]
    before = _common(own)
    after = _common([name[len(before) :][::-1] for name in own])[::-1]
    some = f"{before}*{after}"
    alone = sum(fnmatchcase(name, some) for name in everyone) == len(own)
    if before and alone and not any(letter in before + after for letter in "*?["):
        return some
    if before and len(own) <= MOST:
        parts = [name[len(before) : len(name) - len(after)] for name in own]
        return f"{before}{{{','.join(parts)}}}{after}"
    return ", ".join(own) if len(own) <= MOST else f"{own[0]} and {len(own) - 1} more"
