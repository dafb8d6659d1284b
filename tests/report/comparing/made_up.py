"""Runs that were never learned: recipes, metrics and numbers as a test wants them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from abprop.data import Scale
from abprop.report.comparing.one import One
from abprop.run import Run
from abprop.run.recipe import Recipe, compose
from abprop.say import Say

UNITS = ("images", (1, 8, 8), Scale(0.0, 255.0, "uint8"))
DATA = {"data.fingerprint": "f" * 64, "data.source": "/a/faces.npy"}


def recipe(**keys: Any) -> Recipe:
    """A recipe with some keys set; "__" stands for the dot."""
    asked = {key.replace("__", "."): value for key, value in keys.items()}
    return compose(None, (), **{**DATA, "train.iterations": 9, **asked})


def one(folder: str, numbers: dict[str, float] | None = None, **keys: Any) -> One:
    """A run of such a recipe."""
    mse = (numbers or {}).get("heldout_mse", 0.1)
    rows = [
        {"iteration": t, "seconds": 6.0 * t, "mse": mse, "heldout_mse": mse * (2 - t / 9)}
        for t in (3, 6, 9)
    ]
    told = {"iterations": 9, "minutes": 0.9, "sigma": 0.3, "parameters": 99, **(numbers or {})}
    return One(Path(folder), recipe(**keys), rows, told, UNITS, _nothing)


def _nothing(say: Say) -> Run:
    raise AssertionError("a made-up run has no model")
