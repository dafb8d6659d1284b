"""Experiment 3a: eleven pictures of two kinds, d = 2, laid out over [-2, 2]^2.

The paper's lions and tigers are not free; here six Olivetti pictures of one person and five of
another, ids fixed below, learned with the paper's own settings (preset paper-objects).
"""

from __future__ import annotations

from typing import Any

from row import PICTURES, RUNS, Row, Runner

FACES = "faces_olivetti64/olivetti64.npz"
IDS = "0,1,2,3,4,5,10,11,12,13,14"


def rows() -> list[Row]:
    """One picture."""
    return [
        Row("objects", "grid", "a 9x9 panel that goes smoothly from one kind to the other [M]",
            FACES, _measure, _show),
    ]  # fmt: skip


def _measure(run: Runner) -> dict[str, Any]:
    folder, name = RUNS / "objects", "objects-grid.webp"
    source = f"{run.data / FACES}:images"
    sets = ["--set", f"data.select={IDS}"]
    run("fit", source, "--run", folder, "--preset", "paper-objects", *sets)
    run("interpolate", folder, "--side", 9, "-o", PICTURES / name)
    scores = run("evaluate", folder, "--json")
    return {"picture": name, **scores}


def _show(found: dict[str, Any]) -> str:
    return f"training error {found['error']:.4f} ![9x9 grid](pictures/{found['picture']})"
