"""What minutes buy: three textures learned for 5, 15 and 60 minutes on one core."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from row import PICTURES, RUNS, Row, Runner
from textures import lay, ratios, trial

TEXTURES = ("pebbles__gatys", "water_bubbles__bubbly_0083", "coloured_candy__bumpy_0180")
MINUTES = (5, 15, 60)


def rows() -> list[Row]:
    """One for each texture and time."""
    return [
        Row("minutes", f"{name.split('__')[0]}-{minutes}", "", f"textures_256/{name}.png",
            partial(_measure, name, minutes), _shown)
        for minutes in MINUTES
        for name in TEXTURES
    ]  # fmt: skip


def picture() -> None:
    """Corners of the samples, a texture a row, the longest learned last; if all are there."""
    lay([[_folder(name, m).with_suffix(".png") for m in MINUTES] for name in TEXTURES],
        PICTURES / "texture-minutes.webp")  # fmt: skip


def _folder(name: str, minutes: int) -> Path:
    return RUNS / f"minutes-{name}-{minutes}"


def _measure(name: str, minutes: int, run: Runner) -> dict[str, Any]:
    return trial(name, _folder(name, minutes), run, "--budget", f"{minutes}m")


def _shown(found: dict[str, Any]) -> str:
    told = ratios(found, "sample_ratio", "noise_ratio", "copy_ratio")
    return f"{found['fit']['iteration']} iterations, mse {found['scores']['mse']:.4f}: {told}"
