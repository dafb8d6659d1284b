"""Faces at four times their size: 16x16 pixels are known, 64x64 are told.

By a generator that has seen complete faces (`complete`, d = 100), and by one that has seen nothing
larger than 16x16 (`alone`). Unseen: entries 3000-3099 of the zip. Training: the first 100 faces.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from compressive import TEST, TRAIN
from row import RUNS, Row, Runner

MEASURED, RIVALS, DRAWS = "down:4", "bicubic,minnorm,kriging", 16
ITERATIONS = 1500


def rows() -> list[Row]:
    """Both ways."""
    return [
        Row("superresolution", name, "", TRAIN, partial(_measure, name), _shown)
        for name in ("complete", "alone")
    ]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    folder, ask = RUNS / f"superresolution-{name}", ("--against", RIVALS, "--draws", DRAWS)
    sets = ("--set", "model.latent=100", "--set", f"train.iterations={ITERATIONS}")
    seen = () if name == "complete" else ("--measure", MEASURED)
    asked = ("--measure", MEASURED) if name == "complete" else ()
    fitted = run("fit", run.data / TRAIN, "--run", folder, *seen, *sets, "--json")
    found = {"fit": fitted}
    for task, source, some in (("training", TRAIN, "0:100"), ("unseen", TEST, "3000:3100")):
        words = (run.data / source, "--set", f"data.select={some}", *asked, *ask, "--json")
        found[task] = run("evaluate", folder, *words)
    return found


def _shown(found: dict[str, Any]) -> str:
    return "; ".join(f"{name} {_scores(found[name])}" for name in ("training", "unseen"))


def _scores(scores: dict[str, Any]) -> str:
    beside = ", ".join(f"{name} {row['mse']:.4f}" for name, row in scores["baselines"].items())
    return (
        f"mse {scores['mse']:.4f}, f(z) alone {scores['all']['mse']:.4f} ({beside}), "
        f"coverage {scores['coverage90']:.2f}"
    )
