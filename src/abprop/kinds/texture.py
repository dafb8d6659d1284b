"""A texture: one picture, of which many fixed crops are examples, each with its own latent map."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from abprop.data import Examples, Signals, Views, crops
from abprop.files.arrays import has_channels, is_picture, is_size, is_small_picture
from abprop.kinds.base import Asked
from abprop.kinds.images import Images


class Texture(Images):
    """One picture of a stationary material."""

    name, one, many = "texture", "crop", "crops"
    preset, cuts, reads_as = "texture", True, "auto"
    several = "images"
    figures = ("source", "crops", "synthesis")

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """A single picture."""
        if len(shape) == 2:
            return is_small_picture(shape, dtype)
        if len(shape) == 3:
            return is_picture(shape) or (shape[0] == 1 and is_size(*shape[1:]))
        return has_channels(shape) and shape[0] == 1

    def reads(self, path: Path) -> bool:
        """Never: `Images` reads pictures, and finds that there is but one."""
        return False

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(1, C, H, W)."""
        if values.ndim == 3 and values.shape[0] in range(1, 5) and is_size(*values.shape[1:]):
            return values[None]
        return super().arrange(values)

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Crops of a third of the picture at most, and the map that covers one."""
        side = min(seen.signal_shape[1:])
        crop = asked["data.crop"] or (96 if side >= 160 else max(16, side // 2))
        cell = 2 ** max(2, min(5, int(math.log2(crop / 2))))
        grid = -(-(crop - 2) // cell) + 2
        chosen: dict[str, Any] = {
            "data.crop": crop,
            "data.crops": asked["data.crops"] or (384 if crop > 64 else 256),
            "data.mirror": "no",
            "data.shift": 0,
            "data.holdout": 0.0,
        }
        if asked["infer.start"] == "auto":
            chosen["infer.start"] = "pca"
        if asked["model.sigma"] is None:
            chosen["model.sigma"] = "learned"
        if asked["model.latent"] == "auto":
            chosen["model.latent"] = f"16x{grid}x{grid}"
        return chosen

    def views(self, signals: Signals, asked: Asked) -> Views:
        """Crops that cover the picture."""
        size, count = asked["data.crop"], asked["data.crops"]
        return crops(signals, size=size, count=count, seed=asked["seed"])
