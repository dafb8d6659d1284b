"""What learning tells of itself: how well it explains what is held out, and what happens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from torch import Tensor

from abprop.alternate import Step

TURN = 1.01  # times the best held-out error, which does not waver so far


class Score(NamedTuple):
    """What held-out examples say at iteration t.

    Attributes:
        t: iterations done.
        mse: mean squared error of their most probable reconstructions, over observed entries.
        spread: mean squared residual over draws from their posteriors: sigma^2.
        width: how far such draws lie apart, in units of the prior learned with.
    """

    t: int
    mse: float
    spread: float
    width: float = 1.0

    @classmethod
    def of(cls, told: Sequence[float]) -> Score:
        """A score as a manifest holds it; earlier versions knew fewer numbers, t and mse at first.

        Those answer with the prior they learned with, as they did.
        """
        t, mse, *more = told
        return cls(int(t), float(mse), *map(float, more or [mse]))


def best(scores: Sequence[Score]) -> Score:
    """The one with the least error, the first of equals."""
    return min(scores, key=lambda score: score.mse)


def turned(scores: Sequence[Score], since: int) -> bool:
    """The error has risen, and for as long as it had taken to fall.

    Args:
        scores: so far.
        since: iteration from which on it counts.
    """
    if not scores:
        return False
    least, last = best(scores), scores[-1]
    return last.mse > TURN * least.mse and last.t >= 2 * max(least.t, since)


class Event(NamedTuple):
    """Something that happened.

    Attributes:
        name: of its kind, one word.
        said: to the user.
        ids: of the examples that it is about.
        facts: numbers that belong to it.
    """

    name: str
    said: str
    ids: Tensor | None = None
    facts: Mapping[str, Any] = MappingProxyType({})


class Events:
    """Those that no one was told of yet."""

    def __init__(self) -> None:
        self._new: list[Event] = []
        self._left_out: set[int] = set()

    def add(self, event: Event) -> None:
        """One more."""
        self._new.append(event)

    def taken(self) -> list[Event]:
        """All of them, once."""
        events, self._new = self._new, []
        return events

    def look(self, step: Step) -> None:
        """Whether an iteration left out examples, each told once, or moved no weight."""
        if step.learned.sound is None:
            return
        whole = step.gathered()
        assert whole.learned.sound is not None
        bad = whole.ids[~whole.learned.sound].unique().cpu()
        new = bad[[i not in self._left_out for i in bad.tolist()]]
        self._left_out |= set(bad.tolist())
        if len(new):
            said = "have no finite log p: the weights do not learn from them"
            self.add(Event("left-out", said, new))
        if not step.learned.moved:
            said = "no gradient of the weights is finite: they stay as they are"
            self.add(Event("skipped", said))
