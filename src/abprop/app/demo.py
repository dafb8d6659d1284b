"""`abprop demo`: digits and a texture that come with the dependencies, learned in minutes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abprop.app.progress import on_screen
from abprop.evaluate import psnr
from abprop.report import Page, write
from abprop.report.pages import page
from abprop.run import Layers, Run, fit, load
from abprop.say import Say

DIGITS_BUDGET, TEXTURE_BUDGET = "50s", "100s"


def demo(folder: Path, say: Say) -> Path:
    """Learn both, write one report of both, and say where it is.

    Args:
        folder: where the two runs go.
        say: told what happens.
    """
    from skimage.data import gravel
    from sklearn.datasets import load_digits

    say("1 of 2: a generator of handwritten digits (scikit-learn's, 1,797 of 8x8)")
    pixels = load_digits(return_X_y=True)[0]  # 0..16
    digits = (pixels * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8)
    kinds = {"model.prior": "mixture"}  # there are ten, and a Gaussian lies between them, too
    first = _learn(folder / "digits", digits, {"train.budget": DIGITS_BUDGET, **kinds})
    say("2 of 2: a texture from one photograph (gravel, scikit-image's, CC0)")
    gravel_256 = np.ascontiguousarray(gravel()[:256, :256])
    second = _learn(folder / "gravel", gravel_256, {"train.budget": TEXTURE_BUDGET})
    path = folder / "report.html"
    write(path, _joined(first, second))
    say(f"report: {path}")
    return path


def _learn(folder: Path, array: np.ndarray, keys: dict[str, object]) -> Run:
    asked = Layers(None, (), {"data.source": "<array>", **keys})
    with on_screen() as progress:
        fit(folder, asked, source=array, progress=progress)
    return load(folder, data=array)


def _joined(first: Run, second: Run) -> Page:
    pages = [page(first), page(second)]
    figures = [figure for p in pages for figure in p.figures]
    scores = first.meta["scores"]
    best = psnr(min(s[1] for s in scores)) if scores else float("nan")
    return Page(
        title="abprop: two generators learned on this machine",
        subtitle="Digits from 1,797 small pictures, and gravel from one photograph",
        facts=[
            (f"{what}: {name}", value)
            for what, p in zip(("digits", "gravel"), pages, strict=True)
            for name, value in p.facts
            if name in ("latent", "parameters", "time to learn")
        ],
        notes=[
            "No encoder and no discriminator: every example's latent factors were inferred by "
            "Langevin dynamics while the generator learned (alternating back-propagation).",
            f"Digits the generator never saw are reconstructed at {best:.1f} dB.",
            "New digits are drawn from a mixture of Gaussians, for they come in kinds "
            "(model.prior=mixture).",
            *(f"Digits: {note}" for note in pages[0].notes),
            *(f"Gravel: {note}" for note in pages[1].notes),
        ],
        curves=[*pages[0].curves[:1], *pages[1].curves[:1]],
        figures=figures,
        recipe=pages[1].recipe,
    )
