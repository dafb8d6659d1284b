"""Experiment 7: reconstruction of unseen faces against PCA with the same d and training faces.

1,000 LFW faces to learn from, entries 3000-3299 of the zip to test on (the paper: CelebA).
"""

from __future__ import annotations

from functools import partial
from typing import Any

from row import RUNS, Row, Runner

TRAIN, TEST = "faces_lfw64/lfw64_1000.npz", "faces_lfw64/lfw64.zip"
# d: ABP's and PCA's error in the paper, remembered
SEEDS = (0, 1, 2)
PAPER = {20: (0.0810, 0.1038), 60: (0.0617, 0.0820), 100: (0.0549, 0.0722), 200: (0.0523, 0.0621)}


def rows() -> list[Row]:
    """Four d's with three seeds each, and the gradient variant at d = 100."""
    table = [
        Row("reconstruction", f"d{d}" + (f"-seed{seed}" if seed else ""),
            f"{a:.4f} against PCA {p:.4f}, ratio {a / p:.2f} [M]",
            TRAIN, partial(_measure, d, "langevin", seed), show)
        for seed in SEEDS
        for d, (a, p) in PAPER.items()
    ]  # fmt: skip
    gradient = Row("reconstruction", "d100-gradient", "not found", TRAIN,
                   partial(_measure, 100, "gradient", 0), show)  # fmt: skip
    return [*table, gradient]


def _measure(d: int, kernel: str, seed: int, run: Runner) -> dict[str, Any]:
    name = f"faces-d{d}" + ("" if kernel == "langevin" else f"-{kernel}")
    folder = RUNS / (name + (f"-seed{seed}" if seed else ""))
    sets = ["--set", f"model.latent={d}", *(["--set", f"seed={seed}"] if seed else [])]
    if kernel != "langevin":
        sets += ["--set", f"infer.kernel={kernel}"]
    fitted = run("fit", run.data / TRAIN, "--run", folder, *sets, "--budget", "15m", "--json")
    test = ["--set", "data.select=3000:3300", "--against", "pca,mirrored,mean", "--json"]
    scores = run("evaluate", folder, run.data / TEST, *test)
    pca = scores["baselines"]["pca"]
    return {"ratio_mse": scores["mse"] / pca["mse"], "ratio_error": scores["error"] / pca["error"],
            "fit": fitted, **scores}  # fmt: skip


def show(found: dict[str, Any]) -> str:
    """Error as in the paper, and squared error, each with its ratio to PCA's."""
    pca = found["baselines"]["pca"]
    return (
        f"error {found['error']:.4f} against PCA {pca['error']:.4f}, ratio "
        f"{found['ratio_error']:.2f}; mse {found['mse']:.4f} against {pca['mse']:.4f}, "
        f"ratio {found['ratio_mse']:.3f}"
    )
