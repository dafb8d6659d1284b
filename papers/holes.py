"""Data with real holes: the sea's temperature under clouds, a view behind boats, a table, a wall.

None has a truth in its holes, so some of what is observed is hidden as well and scored: single
points and cloud-like blocks of the sea; behind each frame's boats the place where the boats are
half a clip later; 30 % of a table's cells; clouds over a photograph of bricks that is free to show.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from row import PICTURES, RUNS, Row, Runner
from sklearn.datasets import load_breast_cancer
from textures import free

from abprop import load
from abprop.data.hiding import hidden_by
from abprop.report import recovered

SEA, BOATS = "incomplete/alboran_sst.npz", "incomplete/boats_occluder_128.npz"
SEA_RULES = {"scattered": "S.05", "clouds": "C.05"}


def rows() -> list[Row]:
    """Two ways of hiding the sea, one view, one table, one wall."""
    sea = [Row("holes", f"sea-{name}", "", SEA, partial(_sea, name, rule), _degrees)
           for name, rule in SEA_RULES.items()]  # fmt: skip
    return [*sea, Row("holes", "background", "", BOATS, _background, _beside),
            Row("holes", "boats", "", BOATS, _boats, _beside),
            Row("holes", "table", "", "", _table, _beside),
            Row("holes", "bricks", "", "", _bricks, _beside)]  # fmt: skip


# The sea --------------------------------------------------------------------------------------


def _sea(name: str, rule: str, run: Runner) -> dict[str, Any]:
    """Six days as the channels of one map, learned from crops of it."""
    with np.load(run.data / SEA) as found:
        days = found["sst"]
    hidden = hidden_by(rule, (1, *days.shape[1:]), np.arange(len(days)), 0)[:, 0]
    path = _kept(run, f"sea-{name}", days=days, hidden=hidden & ~np.isnan(days))
    sets = ("--set", "data.kind=texture", "--masks", f"{path}:hidden", "--budget", "10m")
    folder = RUNS / f"holes-sea-{name}"
    fitted = run("fit", f"{path}:days", "--run", folder, *sets, "--json")
    scores = run("evaluate", folder, "--against", "white,linear,biharmonic", "--json")
    _map(folder, days, hidden, PICTURES / f"sea-{name}.webp")
    return {"fit": fitted, "mean of the days": _mean_of_days(days, hidden), **scores}


def _map(folder: Path, days: np.ndarray, hidden: np.ndarray, path: Path) -> None:
    """The three cloudiest days: what was observed, what is recovered, and how sure."""
    answer = load(folder).recover(draws=16)
    mean, sd, land = answer.mean[0], answer.std[0], np.isnan(days).all(0)
    seen = np.where(hidden, np.nan, days)
    shown = np.sort(np.argsort(np.isnan(seen).sum((1, 2)))[-3:])
    low, high = np.nanquantile(days, (0.01, 0.99))
    figure = Figure((11, 7), layout="constrained")
    cells = figure.subplots(3, 3, squeeze=False)
    for row, day in zip(cells, shown, strict=True):
        columns = {
            f"day {day}: observed and not hidden": (seen[day], low, high, "viridis"),
            "recovered, degrees": (mean[day], low, high, "viridis"),
            "standard deviation": (sd[day], 0, np.quantile(sd, 0.99), "magma"),
        }
        for axes, (title, (values, least, most, colours)) in zip(row, columns.items(), strict=True):
            image = axes.imshow(np.where(land, np.nan, values), colours, vmin=least, vmax=most,
                                origin="lower")  # fmt: skip
            axes.set_title(title, fontsize=9)
            axes.set_facecolor("lightgrey")
            axes.set_xticks([])
            axes.set_yticks([])
            figure.colorbar(image, ax=axes, shrink=0.8)
    figure.savefig(path, dpi=80, pil_kwargs={"quality": 80})


def _mean_of_days(days: np.ndarray, hidden: np.ndarray) -> float:
    """RMSE of the mean of what the other days show of a place; of the day, where none does."""
    shown = np.where(hidden, np.nan, days)
    seen = ~np.isnan(shown)
    of_day = np.nanmean(shown, (1, 2), keepdims=True)
    sums = np.where(seen, shown, 0).sum(0)
    told = np.where(seen.any(0), sums / np.maximum(seen.sum(0), 1), of_day)
    off = (told - days)[hidden & ~np.isnan(days)]
    return float(np.sqrt(np.mean(off**2)))


def _degrees(found: dict[str, Any]) -> str:
    beside = {name: row["rmse_data"] for name, row in found["baselines"].items()}
    beside |= {"mean of the days": found["mean of the days"]}
    told = ", ".join(f"{name} {rmse:.3f}" for name, rmse in beside.items())
    return f"{found['rmse_data']:.3f} degrees, coverage {found['coverage90']:.2f} ({told})"


# Behind boats, and a table --------------------------------------------------------------------


def _background(run: Runner) -> dict[str, Any]:
    """Frames as pictures."""
    path = _behind_boats(run)
    sets = ("--set", "data.range=0:255", "--masks", f"{path}:hidden", "--budget", "10m", "--json")
    folder = RUNS / "holes-background"
    fitted = run("fit", f"{path}:frames", "--run", folder, *sets)
    return {"fit": fitted, **run("evaluate", folder, "--draws", 8, "--against",
                                 "white,mean,pca", "--json")}  # fmt: skip


def _boats(run: Runner) -> dict[str, Any]:
    """The same as a video, at half the size."""
    path, folder = _behind_boats(run), RUNS / "holes-boats"
    keys = ("data.kind=video", "data.size=64", "data.range=0:255", "train.iterations=1500")
    sets = [word for key in keys for word in ("--set", key)]
    asked = ("--masks", f"{path}:hidden", *sets, "--json")
    fitted = run("fit", f"{path}:frames", "--run", folder, *asked)
    return {"fit": fitted, **run("evaluate", folder, "--draws", 8, "--against",
                                 "white,mean,pca", "--json")}  # fmt: skip


def _behind_boats(run: Runner) -> Path:
    """A file of frames without boats, and what is hidden: boats, and boats of another time."""
    with np.load(run.data / BOATS) as found:
        frames, boats = found["frames"], found["occluder"]
    hidden = boats | np.roll(boats, len(boats) // 2, 0)
    values = np.where(boats[..., None], np.float32(np.nan), frames.astype(np.float32))
    return _kept(run, "background", frames=values, hidden=hidden)


def _table(run: Runner) -> dict[str, Any]:
    """scikit-learn's breast cancer table, 569 rows of 30 numbers."""
    path = _kept(run, "table", rows=load_breast_cancer().data.astype(np.float32))
    run.commands.append("# table.npz: sklearn.datasets.load_breast_cancer().data")
    folder = RUNS / "holes-table"
    sets = ("--hide", "S.3", "--budget", "2m", "--json")
    fitted = run("fit", f"{path}:rows", "--run", folder, *sets)
    return {"fit": fitted, **run("evaluate", folder, "--against", "mean,pca,knn,iterative",
                                 "--json")}  # fmt: skip


def _bricks(run: Runner) -> dict[str, Any]:
    """scikit-image's photograph of bricks (CC0), a third of it behind clouds."""
    source, folder = free("brick", run), RUNS / "holes-bricks"
    fitted = run("fit", source, "--run", folder, "--hide", "C.3", "--budget", "10m", "--json")
    scores = run("evaluate", folder, "--against", "white,linear,biharmonic", "--json")
    learned = load(folder)
    signals = learned.incomplete()  # the whole picture, not its crops
    sheet = recovered.figure(learned, signals, learned.recovered(signals, draws=16)).image
    Image.fromarray(sheet).save(PICTURES / "bricks-recovered.webp", quality=80)
    return {"fit": fitted, **scores}


def _beside(found: dict[str, Any]) -> str:
    beside = ", ".join(f"{name} {row['mse']:.4f}" for name, row in found["baselines"].items())
    told = f"mse {found['mse']:.4f}, coverage {found['coverage90']:.2f}, crps {found['crps']:.4f}"
    return f"{told} ({beside})"


def _kept(run: Runner, name: str, **arrays: np.ndarray) -> Path:
    RUNS.mkdir(exist_ok=True)
    path = RUNS / f"{name}.npz"
    np.savez(path, **arrays)
    return path
