"""How much a run's samples are like the clip it was learned from, and not copies of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import baselines
from abprop.data import Signals
from abprop.errors import UserError
from abprop.evaluate.samples.likeness import SEEDS, Likeness, beside, verdict
from abprop.measures import Clip, Ratios
from abprop.say import Say

LONGEST = 20.0  # seconds of a clip, and of a sample, that are held against each other
MEANING = {
    "sample_ratio": "the largest distance below",
    "spectrum": "how loud each band is",
    "moments": "how bands' envelopes are spread: steady, or clicks",
    "modulation": "how fast envelopes go up and down",
    "correlation": "which bands go together at one time",
    "together": "which go together more slowly or faster",
    "phases": "whether parts of a beat follow each other",
    "copy_ratio": "how far pieces are from the nearest of the clip",
    "repeat_ratio": "how far pieces are from the nearest elsewhere in the sample",
}


def words(name: str, ratio: float) -> str:
    """What a ratio means, and whether it is good."""
    return f"{MEANING[name]}: {verdict(name, ratio, 'the clip')}"


class Run(Protocol):
    """What judging a sound asks of a fitted run."""

    @property
    def rate(self) -> int: ...
    @property
    def signals(self) -> Signals: ...
    def sample(
        self, n: int | None = None, *, seed: int = 0, seconds: float | None = None
    ) -> np.ndarray: ...


def heard(sound: np.ndarray) -> Tensor:
    """One channel of a sound (C, T), (T,) float64."""
    return torch.from_numpy(sound.astype(np.float64)).mean(0)


def clip(values: np.ndarray, rate: int, progress: Say) -> Clip | None:
    """The clip (C, T); None, and a word why, where it cannot be judged."""
    try:
        return Clip(heard(values[:, : round(LONGEST * rate)]), rate)
    except UserError as error:
        progress(f"samples are not judged: {error}")
        return None


def judged(run: Run, rivals: Sequence[str], progress: Say) -> tuple[Likeness, dict[str, Ratios]]:
    """Ratios of samples, and of others' sounds.

    Args:
        run: learned from one clip.
        rivals: names of `baselines.SOUNDS`.
        progress: told why nothing is said, if nothing can be.

    Returns:
        See `likeness`, with noise by the largest distance of each; and a row for each rival.
    """
    values, rate = run.signals.values[0], run.rate
    real = clip(values, rate, progress)
    if real is None:
        return {}, {}
    progress("comparing samples with the clip")
    samples = min(values.shape[1], round(LONGEST * rate))
    return beside(
        lambda x: real.ratios(heard(x)),
        (run.sample(1, seed=seed, seconds=samples / rate)[0] for seed in SEEDS),
        lambda name, seed: baselines.sound(name, values, rate, samples, seed),
        rivals,
        "sample_ratio",
    )
