"""What each part of a texture's defaults is worth: alone and together, at equal minutes.

Parts: the prior that knows neighbours, factors at three scales, the term from draws. Without the
first, a map's cells are drawn one by one (`gaussian`); without the second it has one scale of 16
factors in cells of 32 pixels, the default before; without the third, which needs the first, the
likelihood is all there is. Samples lie in papers/runs, to be looked at.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from row import RUNS, Row, Runner
from textures import learned

TEXTURES = ("pebbles__gatys", "water_bubbles__bubbly_0083")
MINUTES = 5
WITHOUT = {
    "neighbours": ("--set", "model.prior=gaussian"),
    "scales": ("--set", "model.levels=1", "--set", "model.latent=16x5x5"),
    "draws": ("--set", "train.draws=0"),
}


def rows() -> list[Row]:
    """Every subset of the parts that can be."""
    return [
        Row("ablation", f"{name.split('__')[0]}-{'-'.join(parts) or 'none'}", "",
            f"textures_256/{name}.png", partial(_measure, name, parts), _shown)
        for name in TEXTURES
        for count in range(len(WITHOUT), -1, -1)
        for parts in itertools.combinations(WITHOUT, count)
        if "neighbours" in parts or "draws" not in parts
    ]  # fmt: skip


def _measure(name: str, parts: tuple[str, ...], run: Runner) -> dict[str, Any]:
    folder = RUNS / f"ablation-{name}-{'-'.join(parts) or 'none'}"
    words = [word for part in WITHOUT if part not in parts for word in WITHOUT[part]]
    words += ["--set", "run.threads=1", "--budget", f"{MINUTES}m"]
    found = learned(run, f"textures_256/{name}.png", folder, *words)
    run("sample", folder, "--size", "512x512", "-o", RUNS / f"{folder.name}.png")
    return found


def _shown(found: dict[str, Any]) -> str:
    keys = ("sample_ratio", "noise_ratio", "copy_ratio", "repeat_ratio")
    return ", ".join(f"{key} {found['scores'][key]:.2f}" for key in keys)
