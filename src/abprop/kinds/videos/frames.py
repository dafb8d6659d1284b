"""Frames: those of one clip are examples, each with a vector of factors that moves in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abprop.data import Examples
from abprop.files import videos
from abprop.kinds.base import Asked
from abprop.kinds.videos.clip import Moving

FACTORS = 20  # the paper's


class Frames(Moving):
    """The frames of one clip in their order."""

    name, one, many = "frames", "frame", "frames"
    preset = "frames"
    figures = ("filmed", "played", "moved", "reconstructions")

    def reads(self, path: Path) -> bool:
        """Never: `Video` reads them, and what this takes has to be asked for."""
        return False

    def takes(self, path: Path) -> bool:
        """See `Kind.takes`."""
        return super().takes(path) or path.suffix.lower() in videos.SUFFIXES

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """See `Kind.choices`; no copies, and no gaps in time."""
        latent = asked["model.latent"]
        few = str(min(FACTORS, max(1, len(seen) // 4))) if latent == "auto" else latent
        own = {"data.mirror": "no", "data.shift": 0, "data.holdout": 0.0, "model.latent": few}
        return super().choices({**asked, **own}, seen) | own
