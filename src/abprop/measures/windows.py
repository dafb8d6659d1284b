"""Which window a sound is best told with, tried without learning.

A generator resolves some SMOOTH x SMOOTH frames and bands. So noise is made of the clip's own
levels, smoothed by as much, and held against the clip: what is lost then no learning brings back.
Clicks want short windows; tones, and spectra with steep slopes, long ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop import tasks
from abprop.likelihoods import RANGE
from abprop.measures.clips import Clip
from abprop.noise import Noise
from abprop.spectra import colour, levels

SMOOTH, LONGEST = 3, 10.0  # frames and bands; seconds of a sound that are looked at


def told(sound: Tensor, rate: int, windows: Sequence[int]) -> dict[int, float]:
    """`sample_ratio` of what each window leaves of a sound (C, T); see `Clip`.

    Raises:
        UserError: too short to be judged.
    """
    sound = sound[:, : round(LONGEST * rate)]
    clip = Clip(sound.double().mean(0), rate)
    return {window: clip.ratios(_again(sound, window).mean(0))["sample_ratio"]
            for window in windows}  # fmt: skip


def _again(sound: Tensor, window: int) -> Tensor:
    """Noise with the smoothed levels of a sound."""
    found = colour(sound, window)
    power = torch.exp(RANGE * levels(sound, found))[None, None]
    around = F.pad(power, (SMOOTH // 2,) * 4, mode="replicate")
    smooth = F.avg_pool2d(around, SMOOTH, stride=1)[0].log() / RANGE
    return tasks.voiced(smooth, found, Noise(0, "phases"))[0]
