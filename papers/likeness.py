"""Is the measure of textures fooled? Pictures of known worth, in order, on the six named textures.

A disjoint piece of the picture has 1 by definition; then random tiles, a sample of the learned
generator (where papers/runs has one), random phases, and what is no longer the material: blurred (a
Gaussian of 2 pixels), faded (to half the contrast) and shuffled pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from row import RUNS, Row, Runner
from scipy.ndimage import gaussian_filter
from textures import NAMED

from abprop import load
from abprop.baselines import texture
from abprop.evaluate.samples.textures import as_shown
from abprop.measures import Material
from abprop.sources import read

BLUR, FADED = 2.0, 0.5


def rows() -> list[Row]:
    """One for each texture."""
    return [
        Row("likeness", name, "", f"textures_256/{name}.png", partial(_measure, name), _shown)
        for name in NAMED
    ]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    picture = load_picture(run.data / f"textures_256/{name}.png")
    size = (picture.shape[1], picture.shape[2])
    made: dict[str, Callable[[], np.ndarray]] = {
        "tiles": lambda: texture("tiles", picture, size, 0),
        "sample": lambda: _sample(name, size),
        "phase": lambda: texture("phase", picture, size, 0),
        "blurred": lambda: gaussian_filter(picture, (0, BLUR, BLUR)),
        "faded": lambda: FADED * picture + (1 - FADED) * picture.mean((1, 2), keepdims=True),
        "shuffled": lambda: _shuffled(picture),
    }
    if not (RUNS / f"texture-{name}").exists():
        del made["sample"]
    run.commands.append("python papers/run.py --data $DATA --only likeness")
    material = Material(torch.from_numpy(picture))
    return {what: material.ratios(as_shown(make())) for what, make in made.items()}


def load_picture(path: Path) -> np.ndarray:
    """(C, H, W) in [-1, 1]."""
    return read(str(path)).batch([0])[0][0].numpy()


def _sample(name: str, size: tuple[int, int]) -> np.ndarray:
    run = load(RUNS / f"texture-{name}")
    return run.scale.to_model(run.sample(1, size=size, seed=0))[0]


def _shuffled(picture: np.ndarray) -> np.ndarray:
    order = np.random.default_rng(0).permutation(picture[0].size)
    return picture.reshape(len(picture), -1)[:, order].reshape(picture.shape)


def _shown(found: dict[str, Any]) -> str:
    return ", ".join(
        f"{what} {found[what]['sample_ratio']:.2f}" for what in found if what != "commands"
    )
