"""Experiment 6: faces learned from random projections alone, and told from them.

1,000 LFW faces, of each 1,000 projections of its 12,288 numbers; none is ever seen whole. T1 tells
the first 100 training faces, T3 entries 3000-3099 of the zip, measured alike (the paper: 1,000 of
CelebA). `all` is f(z) alone; PCA has seen complete faces: a ceiling. The same network trained on
complete faces is in the rows of `reconstruction`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from row import RUNS, Row, Runner

TRAIN, TEST = "faces_lfw64/lfw64_1000.npz", "faces_lfw64/lfw64.zip"
MEASURED = "projection:1000"
PAPER = {20: 0.0795, 60: 0.0617, 100: 0.0625}  # recovery errors, remembered
RIVALS, SLOW, DRAWS = "minnorm,kriging,pca", "lasso", 16
ITERATIONS = 1500  # so that a busy machine does not learn less
TASKS = (("T1", "training"), ("T3", "unseen"))
WAYS = {"": (), "-raw": ("--set", "data.complete=no")}  # the likelihood of y alone


def rows() -> list[Row]:
    """A row for each d; and at one of them learned from y itself, as in the paper."""
    asked = [(d, "") for d in PAPER] + [(100, "-raw")]
    return [
        Row("compressive", f"d{d}{way}", f"{PAPER[d]:.4f} [M]", TRAIN,
            partial(_measure, d, way), _shown)
        for d, way in asked
    ]  # fmt: skip


def _measure(d: int, way: str, run: Runner) -> dict[str, Any]:
    folder = RUNS / f"compressive-d{d}{way}"
    sets = ("--set", f"model.latent={d}", "--set", f"train.iterations={ITERATIONS}", *WAYS[way])
    fitted = run("fit", run.data / TRAIN, "--run", folder, "--measure", MEASURED, *sets, "--json")
    ask = ("--draws", DRAWS, "--json", "--against")
    some, other = ("--set", "data.select=0:100"), ("--set", "data.select=3000:3100")
    told = run("evaluate", folder, run.data / TRAIN, *some, *ask, f"{RIVALS},{SLOW}")
    unseen = run("evaluate", folder, run.data / TEST, *other, *ask, RIVALS)
    return {"fit": fitted, "training": told, "unseen": unseen}


def _shown(found: dict[str, Any]) -> str:
    return "; ".join(f"{task} {_scores(found[name])}" for task, name in TASKS)


def _scores(scores: dict[str, Any]) -> str:
    beside = ", ".join(f"{name} {row['error']:.4f}" for name, row in scores["baselines"].items())
    return (
        f"error {scores['error']:.4f}, f(z) alone {scores['all']['error']:.4f} ({beside}), "
        f"coverage {scores['coverage90']:.2f}"
    )
