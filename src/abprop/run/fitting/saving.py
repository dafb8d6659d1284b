"""Saving a run while it learns: when, what, and what is kept."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from abprop import checkpoint
from abprop.grammar import parse_every
from abprop.run.fitting.session import Session
from abprop.run.split import summary
from abprop.version import version

BLOCK = 4096  # bytes of a file's beginning and of what a disk rounds up
SHARE = 0.02  # of the time may be spent on saving
LONGEST = 5  # times as long as was asked for, at most, until the next checkpoint


def interval(every: float, cost: float) -> float:
    """Seconds of learning between two checkpoints.

    Args:
        every: as was asked for.
        cost: seconds for which learning waited for the last one; of a slow disk or many latents.
    """
    return min(max(every, cost * (1 / SHARE - 1)), LONGEST * every)


class Saver:
    """Writes checkpoints when they are due; keeps the newest and the best.

    Args:
        session: what is saved, and where.
    """

    def __init__(self, session: Session) -> None:
        self.session, self.folder, self.learning = session, session.folder, session.learning
        self.every, split = parse_every(session.recipe.checkpoint.every), session.split
        self.saved_at, self.saved_t = time.monotonic(), self.learning.t
        self.data, self.cost = summary(split, session.signals), 0.0
        self.group = self.learning.shards.group
        self.beside = {"names": checkpoint.named(split.names)}
        if split.sensor.colour is not None:
            self.beside["colour"] = checkpoint.coloured(split.sensor.colour)
        if split.sensor.completion is not None:
            self.beside["measured"] = checkpoint.learned_of(split.sensor.completion.known)

    def due(self) -> bool:
        """A checkpoint is due by time or by iterations."""
        if self.every.seconds is not None:
            return time.monotonic() - self.saved_at >= interval(self.every.seconds, self.cost)
        return self.learning.t - self.saved_t >= (self.every.iterations or 1)

    def bytes(self) -> int:
        """What a checkpoint takes on the disk, about."""
        groups = self._tensors().values()
        own = sum(BLOCK + sum(v.nbytes for v in group.values()) for group in groups)
        return int(self.group.add(torch.tensor(own)))

    def _tensors(self) -> dict[str, dict[str, Tensor]]:
        """What this process writes: what all have alike, the first one does."""
        tensors = {**self.learning.tensors(), **self.beside}
        if self.group.first:
            return tensors
        return {name: v for name, v in tensors.items() if checkpoint.shard(name)}

    def save(self) -> None:
        """Write one now and delete those no longer wanted."""
        learning, where, group = self.learning, self.folder / "checkpoints", self.group
        began = time.monotonic()
        checkpoint.save(where, learning.t, self._tensors(), self._meta(), group)
        if group.first:
            # A later one was bad, or this would not be resumed before it: it is not new.
            past = [step for step in checkpoint.steps(where) if step <= learning.t]
            checkpoint.prune(where, {*past[-self.session.recipe.checkpoint.keep :], learning.best})
        self.saved_at, self.saved_t = time.monotonic(), learning.t
        self.cost = self.saved_at - began

    def _meta(self) -> dict[str, Any]:
        return {
            "recipe": self.session.recipe.model_dump(exclude={"checkpoint", "run"}),
            "scores": self.learning.scores,
            "chunk": self.learning.chunk,
            "dtype": str(self.learning.dtype).removeprefix("torch."),
            "data": self.data,
            "versions": {"abprop": version(), "torch": torch.__version__},
            # Exact sums are those of any number of processes, and so is the manifest.
            **({} if self.learning.shards.exact else {"processes": self.group.size}),
        }
