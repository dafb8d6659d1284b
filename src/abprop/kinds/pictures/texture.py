"""A texture: one picture, of which many fixed crops are examples, each with its own latent map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abprop.data import Examples
from abprop.files.arrays import has_channels, is_picture, is_size, is_small_picture
from abprop.grammar import parse_latent
from abprop.kinds.base import Asked
from abprop.kinds.cut import Cut, cells_over, cut_choices, prior
from abprop.kinds.pictures.images import Images
from abprop.kinds.pictures.stationarity import drift, scale

SMALLEST = 32  # pixels on a side of a picture in which fading light can be told from stones
SIGMA = 0.05  # noise of a texture whose factors tell its grain too
CHANNELS = 32
LEVELS, FACTORS = 3, 8  # scales of the map, and factors in each cell of each
DRAWS = 0.3  # weight of the term from draws; heals the seams between blocks
COARSE = 5  # pixels from which on a picture's pieces are large


class Texture(Cut, Images):
    """One picture of a stationary material."""

    name, preset = "texture", "texture"
    several, judge = "images", "texture"
    figures = ("source", "synthesis", "likeness", "crops")

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
        if values.ndim == 3 and not is_picture(values.shape) and is_size(*values.shape[1:]):
            return values[None]
        return super().arrange(values)

    def remarks(self, values: np.ndarray, hidden: np.ndarray | None, columns: Sequence[str]) -> str:
        """What changes from one side of the picture to the other."""
        if hidden is not None or min(values.shape[2:]) < SMALLEST:
            return ""
        told = drift(torch.tensor(values[0])).words
        return told and f"the picture is not one material throughout: {told}; samples mix its parts"

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Crops of a third of the picture at most, and the map that covers one."""
        side = min(seen.signal_shape[1:])
        crop = asked["data.crop"] or (96 if side >= 160 else max(16, side // 2))
        count = _crops(crop, seen.signal_shape[1:])
        chosen = cut_choices(asked, crop, count, CHANNELS, SIGMA)
        if asked["model.latent"] == "auto":
            levels, colours = asked["model.levels"] or LEVELS, seen.signal_shape[0]
            chosen |= _map(crop, levels, _cell(crop, seen), colours)
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        chosen |= prior(asked, latent)
        if asked["train.draws"] is None and chosen.get("model.prior") == "markov":
            chosen["train.draws"] = DRAWS
        return chosen


def _crops(crop: int, size: tuple[int, ...]) -> int:
    """As many as are usual, or as a small picture has."""
    room = math.prod(max(1, n - crop + 1) for n in size)
    return min(384 if crop > 64 else 256, room)


def _cell(crop: int, seen: Examples) -> int:
    """Pixels on a side of the coarsest cell: large for large stones, small enough for the crop."""
    y, A = seen.y[torch.arange(1)][0], seen.A[torch.arange(1)]
    coarse = getattr(A, "hidden", None) is not None or scale(y) >= COARSE
    return 2 ** max(2, min(5 if coarse else 4, int(math.log2(crop / 3))))


def _map(crop: int, levels: int, cell: int, colours: int) -> dict[str, Any]:
    """A map with that coarsest cell over a crop; fewer levels and factors where cells are small."""
    levels = min(levels, int(math.log2(cell)))
    finest = colours * (cell >> (levels - 1)) ** 2
    channels = min(FACTORS, max(1, finest // 4)) * sum(4**level for level in range(levels))
    grid = cells_over(crop, cell)
    return {"model.latent": f"{channels}x{grid}x{grid}", "model.levels": levels}
