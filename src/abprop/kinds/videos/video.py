"""A video: frames of one clip are examples, each with a vector of factors that moves in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abprop.data import Examples
from abprop.errors import UserError
from abprop.files import videos
from abprop.kinds.base import Asked
from abprop.kinds.videos.clip import PICTURES, Moving, several
from abprop.say import counted

FACTORS = 40  # of a frame, and half as many as there are frames at most
SIGMA = 0.05  # noise of frames whose factors tell their drops and sparks too
FEWEST = 12  # frames that tell how they move


class Video(Moving):
    """The frames of one clip in their order."""

    name, one, many, preset = "video", "frame", "frames", "video"
    figures = ("filmed", "played", "moved")

    def reads(self, path: Path) -> bool:
        """Video files, and a .gif of several frames."""
        suffix = path.suffix.lower()
        return suffix in videos.SUFFIXES and (suffix not in PICTURES or several(path))

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """See `Kind.choices`; no copies, and no gaps in time."""
        if len(seen) < FEWEST:
            raise UserError(
                f"this clip has {counted(len(seen), 'frame', 'frames')}, too few to tell how they "
                f"move; give one of at least {FEWEST}, or set data.kind=images"
            )
        latent = asked["model.latent"]
        few = str(min(FACTORS, len(seen) // 2)) if latent == "auto" else latent
        own = {"data.mirror": "no", "data.shift": 0, "data.holdout": 0.0, "model.latent": few}
        if asked["model.sigma"] is None:
            own["model.sigma"] = SIGMA
        return super().choices({**asked, **own}, seen) | own
