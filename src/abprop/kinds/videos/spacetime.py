"""Spacetime: one clip of a moving pattern, of which many stretches of time are examples.

A map of factors runs along time, and every cell of it tells whole frames: what stands still, a
flag's pole or a burner, stays where it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abprop.data import Examples, Signals, Views, crops
from abprop.data.masks import Mask
from abprop.errors import UserError
from abprop.grammar import parse_latent
from abprop.kinds.base import Asked, Raw, Request
from abprop.kinds.cut import Cut, cells_over, cut_choices, prior
from abprop.kinds.videos.clip import Moving
from abprop.say import counted

CROP, FEWEST = 32, 16  # frames of a crop; of a clip
CELL = 4  # frames that a cell tells
FACTORS = 32  # in each cell
CHANNELS = 16
SIGMA = 0.05
ALONG = 1  # axes of the signal that the map runs along: time


class Spacetime(Cut, Moving):
    """One clip, generated in space and time."""

    name, one, many, preset = "spacetime", "stretch", "stretches", "spacetime"
    several = "video"
    figures = ("filmed", "played", "moved")

    def reads(self, path: Path) -> bool:
        """Never: `Video` reads videos, and what this takes has to be asked for."""
        return False

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`."""
        raw = super().read(path, request)
        veil = None if raw.veil is None else _clip(raw.veil)
        return replace(raw, values=_clip(raw.values), veil=veil, names=[path.stem])

    def stacked(
        self,
        arranged: np.ndarray,
        rows: np.ndarray,
        where: str,
        request: Request,
        mask: Mask | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Frames as one signal, (1, C, T, H, W)."""
        values, veil = super().stacked(arranged, rows, where, request, mask)
        return _clip(values), None if veil is None else _clip(veil)

    def views(self, signals: Signals, asked: Asked) -> Views:
        """Stretches that cover the clip."""
        cut = {"size": asked["data.crop"], "count": asked["data.crops"], "axes": ALONG}
        return crops(signals, seed=asked["seed"], **cut)

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """MP4 for 8 bits, an array for what it cannot hold."""
        return ".mp4" if dtype == "uint8" and shape[0] in (1, 3) else ".npy"

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Stretches of up to half of the clip, and the map that covers one."""
        frames = seen.signal_shape[1]
        if frames < FEWEST:
            raise UserError(
                f"this clip has {counted(frames, 'frame', 'frames')}, too few to learn from; "
                f"give one of at least {FEWEST}"
            )
        crop = asked["data.crop"] or min(CROP, frames // 2)
        chosen = cut_choices(asked, crop, frames - crop + 1, CHANNELS, SIGMA)
        if asked["model.latent"] == "auto":
            chosen["model.latent"] = f"{FACTORS}x{cells_over(crop, CELL)}"
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        return chosen | prior(asked, latent)


def _clip(frames: np.ndarray) -> np.ndarray:
    """(T, C, H, W) -> (1, C, T, H, W)."""
    return np.moveaxis(frames, 0, 1)[None]
