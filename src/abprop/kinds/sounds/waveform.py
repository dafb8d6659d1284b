"""A waveform: one clip of tones, of whose samples themselves many crops are examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abprop.data import Examples
from abprop.errors import UserError
from abprop.grammar import parse_latent
from abprop.kinds.base import Asked
from abprop.kinds.cut import cells_over, cut_choices, prior
from abprop.kinds.sounds.clip import Clip

CROP, SHORTEST = 4096, 512  # samples of a crop; of the shortest
CROPS = 300
STAGES, FACTORS = 8, 32  # doublings from a cell to samples, and factors in each cell
CHANNELS = 32
SIGMA = 0.05


class Waveform(Clip):
    """One clip of stationary tones."""

    name, other, preset = "waveform", "sound", "waveform"

    def reads(self, path: Path) -> bool:
        """Never: `Sound` reads clips."""
        return False

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Crops of a fifth of a second, and the map that covers one."""
        samples = seen.signal_shape[1]
        if samples < 2 * SHORTEST:
            raise UserError(
                f"this clip has {samples} samples, too few to learn from; give a longer one"
            )
        crop = asked["data.crop"] or min(CROP, samples // 2)
        count = min(CROPS, max(1, samples - crop + 1))
        chosen = cut_choices(asked, crop, count, CHANNELS, SIGMA)
        if asked["model.latent"] == "auto":
            stages = min(STAGES, (crop // 3).bit_length() - 1)
            chosen["model.latent"] = f"{FACTORS}x{cells_over(crop, 2**stages)}"
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        return chosen | prior(asked, latent)
