"""Saving a run in progress: when it is due, what is kept, what a checkpoint says of its data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch

from abprop import checkpoint
from abprop.app.learning import Learning, summary
from abprop.app.recipe import parse_every
from abprop.data import Signals
from abprop.version import version


class Saver:
    """Writes checkpoints when they are due; keeps the newest and the best."""

    def __init__(self, folder: Path, learning: Learning, signals: Signals) -> None:
        self.folder, self.learning = folder, learning
        self.every = parse_every(learning.recipe.checkpoint.every)
        self.saved_at, self.saved_t = time.monotonic(), learning.t
        self.data = summary(learning.parts, signals)

    def due(self) -> bool:
        """A checkpoint is due by time or by iterations."""
        if self.every.seconds is not None:
            return time.monotonic() - self.saved_at >= self.every.seconds
        return self.learning.t - self.saved_t >= (self.every.iterations or 1)

    def save(self) -> None:
        """Write one now and delete those no longer wanted."""
        learning, where = self.learning, self.folder / "checkpoints"
        checkpoint.save(where, learning.t, learning.tensors(), self._meta())
        # A later one was bad, or this would not be resumed before it: it must not count as new.
        past = [step for step in checkpoint.steps(where) if step <= learning.t]
        checkpoint.prune(where, {*past[-learning.recipe.checkpoint.keep :], learning.best})
        self.saved_at, self.saved_t = time.monotonic(), learning.t

    def _meta(self) -> dict[str, Any]:
        return {
            "recipe": self.learning.recipe.model_dump(exclude={"checkpoint", "run"}),
            "scores": self.learning.scores,
            "chunk": self.learning.chunk,
            "dtype": str(self.learning.dtype).removeprefix("torch."),
            "data": self.data,
            "versions": {"abprop": version(), "torch": torch.__version__},
        }
