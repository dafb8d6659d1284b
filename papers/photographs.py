"""Experiment 6b: pieces of photographs that are free to show, told from what was measured of them.

1,000 pieces of 64x64 of three CC0 photographs of scikit-image (a cup of coffee, a cat, a rocket),
halved in size; where they are cut is drawn with seed 0. `projected`: of each 1,000 random
projections of its 12,288 numbers; `small`: of each 16x16 pixels. No piece is ever seen whole. T1
tells the first 100 of them; shown are the first four, not chosen.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from matplotlib.figure import Figure
from row import PICTURES, RUNS, Row, Runner

from abprop import baselines, load
from abprop.operators import written_out

SOURCES, COUNT, SIDE, SHOWN = ("coffee", "chelsea", "rocket"), 1000, 64, 4
WAYS = {"projected": ("projection:1000", "minnorm,lasso,kriging"),
        "small": ("down:4", "minnorm,bicubic,kriging")}  # fmt: skip
CALLED = {"minnorm": "minimum norm", "lasso": "Lasso", "bicubic": "bicubic"}
ITERATIONS, LATENT, DRAWS = 1500, 60, 16


def rows() -> list[Row]:
    """Both ways of measuring."""
    return [Row("photographs", name, "", "", partial(_measure, name), _shown) for name in WAYS]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    rule, rivals = WAYS[name]
    source, folder = _pieces(run), RUNS / f"photographs-{name}"
    sets = ("--set", f"model.latent={LATENT}", "--set", f"train.iterations={ITERATIONS}")
    fitted = run("fit", source, "--run", folder, "--measure", rule, *sets, "--json")
    some = ("--set", "data.select=0:100", "--draws", DRAWS, "--json")
    found = run("evaluate", folder, source, *some, "--against", rivals)
    _sheet(folder, rivals.split(",")[:2], PICTURES / f"photographs-{name}.webp")
    return {"fit": fitted, "picture": f"photographs-{name}.webp", **found}


def _pieces(run: Runner) -> Path:
    """A file of pieces, cut where seed 0 says."""
    random, path = np.random.default_rng(0), RUNS / "photographs.npy"
    pieces = []
    for number in range(COUNT):
        whole = getattr(skimage.data, SOURCES[number % len(SOURCES)])()
        height, width = (n // 2 for n in whole.shape[:2])
        half = whole[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).mean((1, 3))
        top, left = random.integers(height - SIDE + 1), random.integers(width - SIDE + 1)
        pieces.append(np.rint(half[top : top + SIDE, left : left + SIDE]).astype(np.uint8))
    RUNS.mkdir(exist_ok=True)
    np.save(path, np.stack(pieces))
    run.commands.append(f"# {path.name}: {COUNT} pieces of {', '.join(SOURCES)} (skimage.data)")
    return path


def _sheet(folder: Path, rivals: list[str], path: Path) -> None:
    """The truth, what two rivals answer, our mean and its standard deviation."""
    learned = load(folder)
    signals = learned.signals.take(np.arange(SHOWN))
    sensor = learned.sensor(learned.signals)
    assert sensor.operator is not None
    A, y = written_out(sensor.operator, sensor.shape).numpy(), sensor.measured(signals)
    answer = learned.recovered(signals, draws=DRAWS)
    columns = {"truth": signals.values}
    for name in rivals:
        told = baselines.recover(name, y.flatten(1).numpy(), A, sensor.shape, seen=y.shape[1:])
        columns[CALLED[name]] = learned.scale.to_data(np.asarray(torch.as_tensor(told.mean)))
    columns |= {"abprop, mean": answer.mean, "standard deviation": answer.std.mean(1)}
    figure = Figure((1.5 * len(columns), 1.55 * SHOWN), layout="constrained")
    cells = figure.subplots(SHOWN, len(columns), squeeze=False)
    for column, (title, values) in zip(cells.T, columns.items(), strict=True):
        for axes, one in zip(column, values, strict=True):
            if one.ndim == 2:
                axes.imshow(one, "magma", vmin=0)
            else:
                axes.imshow(np.moveaxis(one, 0, -1).clip(0, 255).astype(np.uint8))
            axes.set_axis_off()
        column[0].set_title(title, fontsize=9)
    figure.savefig(path, dpi=90, pil_kwargs={"quality": 85})


def _shown(found: dict[str, Any]) -> str:
    beside = ", ".join(f"{name} {row['error']:.4f}" for name, row in found["baselines"].items())
    return (
        f"T1 error {found['error']:.4f}, f(z) alone {found['all']['error']:.4f} ({beside}), "
        f"coverage {found['coverage90']:.2f} ![pieces](pictures/{found['picture']})"
    )
