"""Experiment 1: a new, larger texture from one picture; six pictures named before any was tried."""

from __future__ import annotations

from functools import partial
from typing import Any

from row import PICTURES, RUNS, Row, Runner

FOLDER = "textures_256"
NAMES = (
    "pebbles__gatys",
    "water_bubbles__bubbly_0083",
    "basket__braided_0121",
    "bark__cracked_0154",
    "coloured_candy__bumpy_0180",
    "fire__dyn_flame",
)


def rows() -> list[Row]:
    """A 512x512 synthesis of each."""
    return [
        Row("textures", name, "448x448 from a 14x14 map, by eye [M]", f"{FOLDER}/{name}.png",
            partial(_measure, name), lambda found: f"![synthesis](pictures/{found['picture']})")
        for name in NAMES
    ]  # fmt: skip


def _measure(name: str, run: Runner) -> dict[str, Any]:
    folder, picture = RUNS / f"texture-{name}", f"texture-{name}.webp"
    source = run.data / FOLDER / f"{name}.png"
    fitted = run("fit", source, "--run", folder, "--budget", "5m", "--json")
    run("sample", folder, "--size", "512x512", "-o", PICTURES / picture)
    return {"picture": picture, "fit": fitted}
