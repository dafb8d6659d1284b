"""When a run saves: as often as it was asked to, and never for more than a fiftieth of the time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from tiny import TWICE

from abprop import checkpoint
from abprop.run import Layers, Progress, fit
from abprop.run.fitting import saving
from abprop.run.fitting.saving import LONGEST, SHARE, interval


@pytest.mark.parametrize("every", [0.5, 60.0])
def test_saving_takes_a_fiftieth_at_most(every: float) -> None:
    for cost in (0.0, 0.001, 0.1, 1.0, 1.8, 5.9):
        waited = interval(every, cost)
        assert every <= waited <= LONGEST * every
        if waited < LONGEST * every:
            assert cost / (cost + waited) <= SHARE + 1e-9
    assert interval(60, 1.2) == 60, "a second or so is in a minute anyway"
    assert interval(60, 1000) == 300, "a disk that once was slow costs no more than that"


class Ticking(Progress):
    """An iteration takes a second; so does a look at the clock take none."""

    def __init__(self) -> None:
        self.now = 0.0

    def update(self, done: int, row: Mapping[str, Any]) -> None:
        self.now += 1

    def monotonic(self) -> float:
        """Instead of time.monotonic."""
        return self.now


@pytest.mark.parametrize(
    ("cost", "steps"), [(0.0, [10, 20, 30, 40]), (0.3, [10, 25, 40]), (9.0, [10, 40])]
)
def test_what_costs_more_is_done_less_often(
    cost: float, steps: list[int], shelf: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, real = Ticking(), checkpoint.save

    def slow(*given: Any) -> Path:
        clock.now += cost
        return real(*given)

    monkeypatch.setattr(saving, "time", clock)
    monkeypatch.setattr(checkpoint, "save", slow)
    sets = (*TWICE, "train.iterations=40", "checkpoint.every=10s", "checkpoint.keep=99")
    asked = Layers(None, sets, {"data.source": str(shelf / "other.npy")})
    fit(run_dir, asked, progress=clock)
    assert checkpoint.steps(run_dir / "checkpoints") == steps
