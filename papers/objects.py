"""Experiment 3a: eleven pictures of two kinds, d = 2, laid out over [-2, 2]^2.

The paper's lions and tigers are not free; here six Olivetti pictures of one person and five of
another, ids fixed below, learned with the paper's own settings as far as they are remembered
(preset paper-objects), and with a step size that adapts.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from row import PICTURES, RUNS, Row, Runner

FACES = "faces_olivetti64/olivetti64.npz"
IDS = "0,1,2,3,4,5,10,11,12,13,14"


def rows() -> list[Row]:
    """The settings as remembered, and the same with a step size that adapts."""
    panel = "a 9x9 panel that goes smoothly from one kind to the other [M]"
    return [
        Row("objects", "as-remembered", panel, FACES, partial(_measure, "as-remembered"), _show),
        Row("objects", "adapted", panel, FACES, partial(_measure, "adapted"), _show),
    ]


# The learning rate is the course code's; s = .3 at sigma = .3 is stable only while |df/dz| < 2.
ADAPTED = ("infer.step_size=adapt", "train.learning_rate=0.001", "model.prior=gaussian")


def _measure(name: str, run: Runner) -> dict[str, Any]:
    folder, picture = RUNS / f"objects-{name}", f"objects-{name}.webp"
    source = f"{run.data / FACES}:images"
    sets = ["--set", f"data.select={IDS}"]
    for key in ADAPTED if name == "adapted" else ():
        sets += ["--set", key]
    run("fit", source, "--run", folder, "--preset", "paper-objects", *sets)
    run("interpolate", folder, "--side", 9, "-o", PICTURES / picture)
    scores = run("evaluate", folder, "--json")
    return {"picture": picture, **scores}


def _show(found: dict[str, Any]) -> str:
    return f"training error {found['error']:.4f} ![9x9 grid](pictures/{found['picture']})"
