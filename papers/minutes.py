"""What minutes buy: three textures learned for 5, 15 and 60 minutes on one core."""

from __future__ import annotations

from functools import partial
from typing import Any

from row import RUNS, Row, Runner
from textures import learned

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


def _measure(name: str, minutes: int, run: Runner) -> dict[str, Any]:
    folder = RUNS / f"minutes-{name}-{minutes}"
    words = ("--set", "run.threads=1", "--budget", f"{minutes}m")
    found = learned(run, f"textures_256/{name}.png", folder, *words)
    run("sample", folder, "--size", "512x512", "-o", RUNS / f"{folder.name}.png")
    return found


def _shown(found: dict[str, Any]) -> str:
    fitted, scores = found["fit"], found["scores"]
    keys = ("sample_ratio", "noise_ratio", "copy_ratio")
    told = ", ".join(f"{key} {scores[key]:.2f}" for key in keys)
    return f"{fitted['iteration']} iterations, mse {fitted['mse']:.4f}: {told}"
