"""What happens while a run learns: lines in its metrics.jsonl and on the screen."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from abprop.alternate import Step
from abprop.diagnostics import advice
from abprop.learning import Learning
from abprop.learning.events import Event
from abprop.run import metrics
from abprop.run.fitting.session import Progress, Session
from abprop.say import counted, shown

NAMED = 3  # examples of those that an event is about
NEARLY_FULL = 3  # checkpoints that there should be room for


class Journal:
    """Writes it, in the first of several processes.

    Args:
        session: the run.
        progress: what shows it.
    """

    def __init__(self, session: Session, progress: Progress) -> None:
        self.session, self.progress = session, progress
        self.path = session.folder / "metrics.jsonl"
        rows = metrics.load(self.path)
        self.began = time.monotonic() - (rows[-1].get("seconds", 0.0) if rows else 0.0)

    def row(self, step: Step) -> None:
        """The line of an iteration."""
        learning = self.session.learning
        learning.check_finite(step)
        step = step.gathered()
        row = metrics.row(learning, step, time.monotonic() - self.began)
        if learning.t == learning.total and learning.kernel.samples:
            row |= self._diagnosed(learning)
        self._append(row)
        self.progress.update(learning.t, row)
        bad = step.ids[step.info.diverged].unique()
        if len(bad):
            self.event(Event("diverged", "left the finite numbers; put back and slowed", bad))

    def event(self, event: Event) -> None:
        """Something that a user should know of, and a program may look for."""
        told: dict[str, Any] = {"event": event.name, "iteration": self.session.learning.t}
        line = event.said
        if event.ids is not None:
            names, count = self._names(event.ids), len(event.ids)
            line = f"{counted(count, 'chain', 'chains')} {line} ({', '.join(map(shown, names))})"
            told |= {"examples": names, "count": count}
        self._append({**told, **event.facts})
        self.progress.say(f"note: iteration {told['iteration']}: {line}")

    def _append(self, line: Mapping[str, Any]) -> None:
        if self.session.learning.shards.group.first:
            metrics.append(self.path, dict(line))

    def _names(self, ids: torch.Tensor) -> list[str]:
        split = self.session.split
        rows = torch.searchsorted(split.ids, ids[:NAMED].cpu()).tolist()
        return list(split.train.take(rows).names)

    def _diagnosed(self, learning: Learning) -> dict[str, Any]:
        told = learning.diagnose()
        self.progress.say(advice(told))
        return {"rhat": round(told.rhat, 4), "ess": round(told.ess, 2), "visits": told.visits}


def room(folder: Path, needed: int) -> Event | None:
    """What is wrong with the room on a run's disk; nothing if checkpoints fit there.

    Args:
        folder: of the run.
        needed: bytes of a checkpoint.
    """
    free = shutil.disk_usage(folder).free
    if free > NEARLY_FULL * needed:
        return None
    there = f"{free / 1e6:.0f} MB are left on the disk of {folder}, and a checkpoint takes "
    there += f"{needed / 1e6:.0f} MB: free some room"
    return Event("disk", there, facts={"free": free, "needed": needed})
