"""Is the measure of sounds fooled? Sounds of known worth, in order, on four clips.

The first half of a clip is the material; its second half, which the measure never heard, must come
first; then the first half second again and again, Gaussian noise with the clip's spectrum, and
white noise.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from row import Row, Runner

from abprop.baselines import SOUNDS, sound
from abprop.evaluate.sounds import heard
from abprop.measures import Clip
from abprop.sources import read

CLIPS = ("rain", "stream", "applause_large", "chimney_fire")
FOLDER = "sounds_textures_20k"


def rows() -> list[Row]:
    """One for each clip."""
    return [
        Row("hearing", name, "", f"{FOLDER}/{name}.wav", partial(_measure, name), _shown)
        for name in CLIPS
    ]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    signals = read(str(run.data / FOLDER / f"{name}.wav"), kind="sound")
    rate, clip = signals.about["rate"], signals.values[0]
    half = clip.shape[1] // 2
    material, rest = clip[:, :half], clip[:, half : 2 * half]
    made: dict[str, np.ndarray] = {"real": rest}
    made |= {rival: sound(rival, material, rate, half, seed=0) for rival in SOUNDS}
    run.commands.append("python papers/run.py --data $DATA --only hearing")
    measure = Clip(heard(material), rate)
    return {what: measure.ratios(heard(x)) for what, x in made.items()}


def _shown(found: dict[str, Any]) -> str:
    ratios = {what: told["sample_ratio"] for what, told in found.items() if what != "commands"}
    order = sorted(ratios, key=lambda what: ratios[what])
    return " < ".join(f"{what} {ratios[what]:.2f}" for what in order)
