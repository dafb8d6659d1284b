"""Experiment 5: faces learned although every one is occluded, and what is behind the occlusion.

T1 recovers the training faces, T3 faces of people never seen, T2 draws new ones. 1,000 LFW faces to
learn from, entries 3000-3099 of the zip to test on (the paper: 10,000 of CelebA).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from row import RUNS, Row, Runner

from abprop import load
from abprop.sources import read

TRAIN, TEST = "faces_lfw64/lfw64_1000.npz", "faces_lfw64/lfw64.zip"
# The paper's mean error of hidden pixels, remembered, and on other data.
PAPER = {"P.5": 0.0571, "P.7": 0.0662, "P.9": 0.0771, "M20": 0.0773, "M30": 0.1035}
RIVALS = "white,mean,pca,biharmonic"
DRAWS, SCORED = 16, 100  # draws of each face, and training faces that are scored: the first
TOLD_UNSEEN = ("P.7", "M20")
SAMPLES, COMPONENTS = 2000, 50  # of which, and in which, samples and faces are compared


def rows() -> list[Row]:
    """A row for each way of hiding, and one without."""
    table = [
        Row("occlusion", rule, f"{error:.4f} [M]", TRAIN, partial(_measure, rule), _shown)
        for rule, error in PAPER.items()
    ]
    whole = Row("occlusion", "none", "", TRAIN, _complete, lambda found: _distance(found))
    return [*table, whole]


def _fit(run: Runner, name: str, *words: str) -> dict[str, Any]:
    sets = ("--set", "model.latent=100", "--budget", "10m", "--json")
    return run("fit", run.data / TRAIN, "--run", RUNS / f"occlusion-{name}", *words, *sets)


def _measure(rule: str, run: Runner) -> dict[str, Any]:
    found = {"fit": _fit(run, rule, "--hide", rule), "training": _training(rule, run)}
    if rule in TOLD_UNSEEN:
        test = (run.data / TEST, "--hide", rule, "--set", "data.select=3000:3100")
        ask = ("--draws", DRAWS, "--against", RIVALS, "--json")
        found["unseen"] = run("evaluate", RUNS / f"occlusion-{rule}", *test, *ask)
    return found | {"samples": frechet(f"occlusion-{rule}", run)}


def _training(rule: str, run: Runner) -> dict[str, Any]:
    fitted = load(RUNS / f"occlusion-{rule}", data=str(run.data / TRAIN))
    run.commands.append(f"# run.evaluate(run.given().take(range({SCORED})), draws={DRAWS})")
    return fitted.evaluate(fitted.given().take(range(SCORED)), draws=DRAWS, against=RIVALS)


def _complete(run: Runner) -> dict[str, Any]:
    return {"fit": _fit(run, "none"), "samples": frechet("occlusion-none", run)}


def frechet(name: str, run: Runner) -> float:
    """Fréchet distance of samples to unseen faces, in their leading principal components.

    In units of the faces' own total variance there: 0 is the same mean and covariance.
    """
    real = read(str(run.data / TEST), select="1000:3000").batch(range(SAMPLES))[0]
    fitted = load(RUNS / name, data=str(run.data / TRAIN))
    made = torch.from_numpy(fitted.scale.to_model(fitted.sample(SAMPLES)))
    x, y = (v.flatten(1).double() for v in (real, made))
    axes = torch.linalg.svd(x - x.mean(0), full_matrices=False).Vh[:COMPONENTS].T
    a, b = x @ axes, y @ axes
    one, other = torch.cov(a.T), torch.cov(b.T)
    mixed = np.sqrt(np.linalg.eigvals((one @ other).numpy()).real.clip(0)).sum()
    apart = (a.mean(0) - b.mean(0)).square().sum() + one.trace() + other.trace() - 2 * mixed
    return float(apart / one.trace())


def _distance(found: dict[str, Any]) -> str:
    return f"sample distance {found['samples']:.3f}"


def _shown(found: dict[str, Any]) -> str:
    told = []
    for task, what in (("T1", "training"), ("T3", "unseen")):
        if what not in found:
            continue
        scores = found[what]
        beside = [f"{n} {v['error']:.4f}" for n, v in scores["baselines"].items()]
        told.append(
            f"{task} error {scores['error']:.4f} ({', '.join(beside)}), coverage "
            f"{scores['coverage90']:.2f}, crps {scores['crps']:.4f}"
        )
    return "; ".join([*told, f"T2 {_distance(found)}"])
