"""The priors beside each other: how far their samples are from unseen pictures, and at what cost.

Each data set is learned under each prior with the same network, batches, seed and iterations; a
tenth is held out. `faces` is the full size and takes hours on one core, `faces32` and `digits`
(scikit-learn's) some minutes a row. `picture` lays 64 samples of each side by side (seed 0).
"""

from __future__ import annotations

import resource
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from row import PICTURES, RUNS, Row, Runner
from sklearn.datasets import load_digits

from abprop import load

PRIORS = ("standard", "gaussian", "mixture", "learned")
FACES = "faces_lfw64/lfw64_1000.npz"
SHOWN = ("faces32", "digits")
LIKELY = 64  # held-out pictures whose likelihood is told
GAP, QUALITY = 8, 80  # pixels between sheets, and WebP's


class Data(NamedTuple):
    """A data set: what of the data folder it needs, and the keys it is learned with."""

    needs: str
    sets: tuple[str, ...]


DATA = {
    "faces32": Data(FACES, ("data.size=32x32", "model.latent=100", "train.iterations=800")),
    "digits": Data("", ("model.latent=16", "train.iterations=3000")),
    "faces": Data(FACES, ("model.latent=100", "train.iterations=6000")),
}


def rows() -> list[Row]:
    """Every data set under every prior."""
    return [
        Row("priors", f"{name}-{prior}", "", data.needs, partial(_measure, name, prior), _shown)
        for name, data in DATA.items()
        for prior in PRIORS
    ]


def _folder(name: str, prior: str) -> Path:
    return RUNS / f"priors-{name}-{prior}"


def _measure(name: str, prior: str, run: Runner) -> dict[str, Any]:
    folder, data = _folder(name, prior), DATA[name]
    source = run.data / data.needs if data.needs else _digits()
    keys = (*data.sets, f"model.prior={prior}", "data.holdout=0.1", "run.threads=1")
    words = [word for key in keys for word in ("--set", key)]
    began = _processor()
    fitted = run("fit", source, "--run", folder, *words, "--json")
    seconds = round(_processor() - began, 1)  # those of the clock would tell of other work too
    scores = run("evaluate", folder, "--likelihood", "--examples", LIKELY, "--json")
    run("sample", folder, "-n", 64, "--seed", 0, "-o", folder.with_suffix(".png"))
    return {"fit": fitted, "seconds": seconds, "scores": scores, "unseen": _unseen(folder)}


def _processor() -> float:
    """Seconds that commands have computed so far."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime


def _digits() -> Path:
    RUNS.mkdir(exist_ok=True)
    path = RUNS / "digits.npy"
    np.save(path, np.rint(load_digits().images * (255 / 16)).astype(np.uint8))
    return path


def _unseen(folder: Path) -> dict[str, Any]:
    """Errors on the held-out pictures alone."""
    run = load(folder)
    known = set(run.ids[: len(run.names)].tolist())
    rows = [row for row in range(len(run.signals)) if row not in known]
    return run.evaluate(run.signals.take(rows))


def _shown(found: dict[str, Any]) -> str:
    scores, unseen = found["scores"], found["unseen"]
    told = ", ".join(f"{name} {value:.2f}" for name, value in scores["ratios"].items())
    over = f"{scores['over_reconstructions']:.2f}"
    if "over_unseen" in scores:  # not of rows measured before
        over += f" (patches over those of unseen pictures {scores['over_unseen']:.2f})"
    nats = ""
    if "likelihood" in scores:
        nats = f"{scores['likelihood']['nats']:.1f} nats, "
    return (
        f"samples {scores['sample_ratio']:.2f} ({told}), over reconstructions {over}, "
        f"copies {scores['copy_ratio']:.2f}; {nats}"
        f"unseen mse {unseen['mse']:.5f}, {found['seconds']:.0f} s"
    )


def picture() -> None:
    """For each data set shown: sheets of 64 samples, in the order of PRIORS; if all are there."""
    for name in SHOWN:
        files = [_folder(name, prior).with_suffix(".png") for prior in PRIORS]
        if all(file.exists() for file in files):
            sheets = [Image.open(file).convert("RGB") for file in files]
            width, height = sheets[0].size
            whole = Image.new("RGB", ((width + GAP) * len(sheets) - GAP, height), "white")
            for i, sheet in enumerate(sheets):
                whole.paste(sheet, ((width + GAP) * i, 0))
            whole.save(PICTURES / f"priors-{name}.webp", quality=QUALITY)
