"""What each part of a texture's defaults is worth: alone and together, at equal minutes.

Parts: the prior that knows neighbours, factors at three scales, the term from draws. Without the
first, a map's cells are drawn one by one (`gaussian`); without the second it has one scale of 16
factors in cells of 32 pixels, the default before; without the third, which needs the first, the
likelihood is all there is. `picture` lays their samples side by side.
"""

from __future__ import annotations

import itertools
from functools import partial
from pathlib import Path
from typing import Any

from row import PICTURES, RUNS, Row, Runner
from textures import lay, ratios, trial

TEXTURES = ("pebbles__gatys", "water_bubbles__bubbly_0083")
MINUTES = 5
WITHOUT = {
    "neighbours": ("--set", "model.prior=gaussian"),
    "scales": ("--set", "model.levels=1", "--set", "model.latent=16x5x5"),
    "draws": ("--set", "train.draws=0"),
}
SUBSETS = [
    parts
    for count in range(len(WITHOUT), -1, -1)
    for parts in itertools.combinations(WITHOUT, count)
    if "neighbours" in parts or "draws" not in parts
]


def rows() -> list[Row]:
    """Every subset of the parts that can be."""
    return [
        Row("ablation", f"{name.split('__')[0]}-{'-'.join(parts) or 'none'}", "",
            f"textures_256/{name}.png", partial(_measure, name, parts), _shown)
        for name in TEXTURES
        for parts in SUBSETS
    ]  # fmt: skip


def picture() -> None:
    """Corners of the samples, a texture a row, in the order of the rows; if all are there."""
    lay([[_folder(name, parts).with_suffix(".png") for parts in SUBSETS] for name in TEXTURES],
        PICTURES / "texture-ablation.webp")  # fmt: skip


def _folder(name: str, parts: tuple[str, ...]) -> Path:
    return RUNS / f"ablation-{name}-{'-'.join(parts) or 'none'}"


def _measure(name: str, parts: tuple[str, ...], run: Runner) -> dict[str, Any]:
    words = [word for part in WITHOUT if part not in parts for word in WITHOUT[part]]
    return trial(name, _folder(name, parts), run, *words, "--budget", f"{MINUTES}m")


def _shown(found: dict[str, Any]) -> str:
    return ratios(found, "sample_ratio", "noise_ratio", "copy_ratio", "repeat_ratio")
