"""How much a run's new videos are like the clip it was learned from, and not copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from abprop import baselines
from abprop.data import Scale, Signals
from abprop.errors import UserError
from abprop.evaluate.samples.likeness import SEEDS, Likeness, beside, verdict
from abprop.measures import Moving, Ratios
from abprop.say import Say

LONGEST, LARGEST = 120, 128  # frames, and pixels on the shorter side, that are held against others
MEANING = {
    "sample_ratio": "the largest distance below",
    "wasserstein": "how patches of three frames are distributed: contrast, sharpness, motion",
    "coherence": "patches of the sample that the clip has not",
    "completeness": "patches of the clip that the sample has not",
    "tempo": "how much frames differ at each frequency: flicker, or motion that freezes",
    "copy_ratio": "how far moments are from the nearest of the clip",
    "repeat_ratio": "how far moments are from the nearest at another time of the sample",
}


def words(name: str, ratio: float) -> str:
    """What a ratio means, and whether it is good."""
    return f"{MEANING[name]}: {verdict(name, ratio, 'the clip')}"


class Run(Protocol):
    """What judging a video asks of a fitted run."""

    @property
    def signals(self) -> Signals: ...
    @property
    def scale(self) -> Scale: ...
    @property
    def factors(self) -> int: ...
    def sample(
        self, n: int | None = None, *, seed: int = 0, frames: int | None = None
    ) -> np.ndarray: ...


def shown(x: np.ndarray | Tensor) -> Tensor:
    """A video (C, T, H, W) in model units as a picture shows it, large ones coarser."""
    x = torch.as_tensor(np.asarray(x)).float().clamp(-1, 1)
    block = max(1, min(x.shape[2:]) // LARGEST)
    return F.avg_pool2d(x, block) if block > 1 else x


def clip(signals: Signals) -> Tensor:
    """The clip (C, T, H, W) in model units, one signal or frame by frame."""
    x = signals.batch(np.arange(len(signals)))[0]
    return (x[0] if x.ndim == 5 else x.movedim(0, 1))[:, :LONGEST]


def moving(signals: Signals, progress: Say) -> Moving | None:
    """The clip as a material; None, and a word why, where it cannot be judged."""
    if signals.hidden is not None:
        progress("samples are not judged: the clip has holes")
        return None
    try:
        return Moving(shown(clip(signals)))
    except UserError as error:
        progress(f"samples are not judged: {error}")
        return None


def judged(run: Run, rivals: Sequence[str], progress: Say) -> tuple[Likeness, dict[str, Ratios]]:
    """Ratios of samples, and of others' videos.

    Args:
        run: learned from one clip.
        rivals: names of `baselines.VIDEOS`.
        progress: told why nothing is said, if nothing can be.

    Returns:
        See `likeness`, with noise by the largest distance of each; and a row for each rival.
    """
    real = moving(run.signals, progress)
    if real is None:
        return {}, {}
    progress("comparing samples with the clip")
    source = clip(run.signals)
    frames = source.shape[1]
    return beside(
        lambda x: real.ratios(shown(x)),
        (run.scale.to_model(run.sample(1, seed=seed, frames=frames))[0] for seed in SEEDS),
        lambda name, seed: baselines.video(name, source.numpy(), frames, seed, run.factors),
        rivals,
        "sample_ratio",
    )
