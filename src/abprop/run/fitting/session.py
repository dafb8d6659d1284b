"""What is fitted, what is asked of it, and who is shown how it goes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abprop.data import Signals
from abprop.learning import Learning
from abprop.learning.events import Event
from abprop.run.recipe import (
    Recipe,
    compose,
    flattened,
    in_place,
    load_preset,
    on_machine,
    with_plan,
)
from abprop.run.split import Split


class Progress:
    """What shows a run while it learns. This one shows nothing."""

    def say(self, line: str) -> None:
        """One line of information."""

    def begin(self, done: int, total: int) -> None:
        """Learning starts at iteration `done` of `total`."""

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        """Iteration `done` is finished; `row` is its line of metrics."""

    def end(self) -> None:
        """Learning is over."""


@dataclass
class Session:
    """A run while it is fitted.

    Attributes:
        folder: the run directory.
        recipe: complete, once it is planned.
        learning: what learns.
        split: what it learns from.
        signals: all that were read.
        interrupted: whether Ctrl-C or SIGTERM ended it.
        grown: what became of its data just now.
    """

    folder: Path
    recipe: Recipe
    learning: Learning
    split: Split
    signals: Signals
    interrupted: bool = False
    grown: list[Event] = field(default_factory=list)

    def replan(self, iterations: int, budget: str | None) -> None:
        """Plan so many iterations, and tell what for, in the recipe and what learns by it."""
        self.recipe = with_plan(self.recipe, iterations, budget)
        self.learning.settings = self.learning.settings.lasting(iterations)


@dataclass(frozen=True)
class Growth:
    """What shall become of the data that a run learns from.

    Attributes:
        add: a source, or an array, whose examples are appended; None: nothing.
        masks: what is hidden of them.
        forget: ids of examples to take out, "3,17,42"; None: none.
    """

    add: object = None
    masks: str | None = None
    forget: str | None = None


@dataclass(frozen=True)
class Layers:
    """What a caller asks of a recipe; that of a run, or the defaults, lie below.

    `operator` is what was measured by, where that was given in Python and no recipe can hold it;
    `growth` what shall change of the data.
    """

    preset: str | Path | None = None
    sets: Sequence[str] = ()
    overrides: Mapping[str, Any] = field(default_factory=dict)
    operator: object = None
    growth: Growth | None = None

    def over(self, base: Recipe | Mapping[str, Any] | str | None) -> Recipe:
        """The recipe asked for: over that of a run, or over what suits a kind of data."""
        recipe = compose(base)
        if self.preset:
            recipe = compose(recipe, [], **flattened(load_preset(self.preset)))
        return in_place(compose(recipe, self.sets, **self.overrides))

    def resuming(self, run: Recipe) -> Recipe:
        """The recipe asked for of a run that exists; what was planned stays planned."""
        recipe = self.over(run)
        if recipe.train.budget == run.train.budget and recipe.train.iterations is None:
            recipe = with_plan(recipe, run.train.iterations, run.train.budget)
        moved = any(getattr(recipe.run, k) != getattr(run.run, k) for k in ("device", "precision"))
        if moved and recipe.run.forms == run.run.forms:  # they were the fastest elsewhere
            recipe = on_machine(recipe, forms="auto")
        return recipe

    def asks(self, key: str) -> bool:
        """Whether a key was given, and not only left as it is."""
        typed = any(text.partition("=")[0].strip() == key for text in self.sets)
        return typed or self.overrides.get(key) is not None
