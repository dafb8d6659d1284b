"""How much a run's samples are like the picture it was learned from, and not copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import baselines
from abprop.data import Scale, Signals
from abprop.errors import UserError
from abprop.measures import Material, Ratios
from abprop.say import Say

SEEDS = (0, 1)  # of the samples that are judged; never chosen
NOT_DISTANCES = ("sample_ratio", "copy_ratio", "repeat_ratio")
LARGEST = 512  # pixels on a side of a sample


class Run(Protocol):
    """What judging a texture asks of a fitted run."""

    @property
    def signals(self) -> Signals: ...
    @property
    def scale(self) -> Scale: ...
    def sample(
        self, n: int | None = None, *, size: tuple[int, ...] | None = None, seed: int = 0
    ) -> np.ndarray: ...


def judged(
    run: Run, rivals: Sequence[str], progress: Say
) -> tuple[dict[str, float | dict[str, float]], dict[str, Ratios]]:
    """Ratios of samples, and of others' textures.

    Args:
        run: learned from one picture.
        rivals: names of `baselines.TEXTURES`.
        progress: told why nothing is said, if nothing can be.

    Returns:
        `sample_ratio`, `copy_ratio`, `repeat_ratio`, `noise_ratio` (how far the samples are on the
        way from the material, 0, to a Gaussian field with its spectrum, 1, by Portilla-Simoncelli
        statistics) and all `ratios`; and a row for each rival.
    """
    signals = run.signals
    if signals.hidden is not None:
        progress("samples are not judged: the picture has holes")
        return {}, {}
    picture = signals.batch([0])[0][0]
    try:
        material = Material(picture)
    except UserError as error:
        progress(f"samples are not judged: {error}")
        return {}, {}
    progress("comparing samples with the picture")
    size = tuple(min(LARGEST, n) for n in picture.shape[1:])
    own = [run.sample(1, size=size, seed=seed)[0] for seed in SEEDS]
    found = _mean([material.ratios(_seen(run.scale.to_model(x))) for x in own])
    wanted = dict.fromkeys(("phase", *rivals))
    rows = {name: _rival(material, name, picture, size) for name in wanted}
    told = {key: found[key] for key in NOT_DISTANCES}
    if "portilla_simoncelli" in found:
        above = rows["phase"]["portilla_simoncelli"] - 1
        told["noise_ratio"] = (found["portilla_simoncelli"] - 1) / above if above > 0 else np.nan
    ratios = {key: v for key, v in found.items() if key not in told}
    return {**told, "ratios": ratios}, {name: rows[name] for name in rivals}


def _rival(material: Material, name: str, picture: Tensor, size: tuple[int, ...]) -> Ratios:
    height, width = size
    made = (baselines.texture(name, picture.numpy(), (height, width), seed) for seed in SEEDS)
    return _mean([material.ratios(_seen(x)) for x in made])


def _seen(x: np.ndarray) -> Tensor:
    """As a picture shows it: nothing beyond black and white, in steps of eight bits."""
    return torch.from_numpy(np.rint((np.clip(x, -1, 1) + 1) * 127.5) / 127.5 - 1).float()


def _mean(told: Sequence[Ratios]) -> Ratios:
    """Of several samples; the largest ratio is that of the means."""
    mean = {key: float(np.mean([one[key] for one in told])) for key in told[0]}
    return {**mean, "sample_ratio": max(v for k, v in mean.items() if k not in NOT_DISTANCES)}
