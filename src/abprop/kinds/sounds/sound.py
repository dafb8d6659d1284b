"""A sound: one clip of noise such as rain, of whose short-time spectra many crops are examples.

What is learned is the variance of each band over time; see `spectra`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from abprop.data import Examples, Signals
from abprop.grammar import parse_latent
from abprop.kinds.base import Asked
from abprop.kinds.cut import cells_over, cut_choices, prior
from abprop.kinds.sounds.audible import coloured, even, window_of
from abprop.kinds.sounds.clip import Clip
from abprop.kinds.sounds.tonality import NOISE, flatness
from abprop.spectra import Colour

WINDOWS, WINDOW = (0.0032, 0.0064, 0.0128), 0.0064  # seconds; of what is too short to try
CROP, FEWEST_FRAMES = 8192, 32  # samples of a crop; frames of the shortest
CROPS = 300
STAGES = 4  # doublings from a cell to frames
LEVELS, FACTORS = 1, 12  # scales of the map, and factors in each cell of each
CHANNELS = 32
TONAL = 0.28  # flatness below which a clip is tones: half of a noise's


class Sound(Clip):
    """One clip of a stationary noise."""

    name, preset = "sound", "sound"

    def character(self, values: np.ndarray, rate: int) -> str:
        """See `Clip.character`: tones become narrow noise."""
        flat = flatness(torch.from_numpy(values), rate)
        if flat >= TONAL:
            return ""
        return (
            f"this clip is tones (flatness {flat:.2f}, of noise {NOISE:.2f}); spectra keep their "
            f"pitch and loudness but not the wave; data.kind={self.other} learns that, slowly"
        )

    def windows(self, signals: Signals, asked: Asked) -> Sequence[int]:
        """See `Kind.windows`."""
        known = asked["data.window"] or not signals.rate
        return () if known else [even(signals.rate * s) for s in WINDOWS]

    def colour(self, signals: Signals, asked: Asked) -> Colour | None:
        """See `Kind.colour`."""
        return coloured(signals, asked, WINDOW)

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Crops of less than a second, and the map that covers one."""
        window = window_of(seen, 2 * FEWEST_FRAMES, "this clip has", "a longer one")
        frames = seen.signal_shape[1]
        crop = asked["data.crop"] or min(max(2 * CROP // window, FEWEST_FRAMES), frames // 2)
        count = min(CROPS, max(1, frames - crop + 1))
        chosen = cut_choices(asked, crop, count, CHANNELS)
        chosen["data.window"] = window
        if asked["model.latent"] == "auto":
            levels = asked["model.levels"] or LEVELS
            factors = FACTORS * sum(2**level for level in range(levels))
            chosen["model.latent"] = f"{factors}x{cells_over(crop, 2**STAGES)}"
            chosen["model.levels"] = levels
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        return chosen | prior(asked, latent)
