"""Is the measure of sounds fooled? Sounds of known worth, in order, on four clips.

A clip is cut into quarters. Each in turn is set aside, the others are the material, and beside the
quarter, which must come first, stand: the material's first half second again and again, Gaussian
noise with its spectrum, and white noise. Means over the four.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from row import Row, Runner

from abprop.baselines import sound
from abprop.evaluate.samples.likeness import mean
from abprop.evaluate.samples.sounds import heard
from abprop.measures import Clip
from abprop.sources import read

CLIPS = ("rain", "stream", "applause_large", "chimney_fire")
FOLDER = "sounds_textures_20k"
RIVALS = ("repetition", "phase", "white")  # in the order that is right
PARTS = 4


def rows() -> list[Row]:
    """One for each clip."""
    return [
        Row("hearing", name, "", f"{FOLDER}/{name}.wav", partial(_measure, name), _shown)
        for name in CLIPS
    ]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    signals = read(str(run.data / FOLDER / f"{name}.wav"), kind="sound")
    rate, clip = signals.rate, signals.values[0]
    parts = np.split(clip[:, : clip.shape[1] // PARTS * PARTS], PARTS, axis=1)
    told: dict[str, list[Any]] = {what: [] for what in ("real", *RIVALS)}
    for i, part in enumerate(parts):
        material = np.concatenate(parts[:i] + parts[i + 1 :], 1)
        measure = Clip(heard(material), rate)
        made = {rival: sound(rival, material, rate, part.shape[1], seed=i) for rival in RIVALS}
        for what, x in {"real": part, **made}.items():
            told[what].append(measure.ratios(heard(x)))
    run.commands.append("python papers/run.py --data $DATA --only hearing")
    return {what: mean(found) for what, found in told.items()}


def _shown(found: dict[str, Any]) -> str:
    ratios = {what: told["sample_ratio"] for what, told in found.items() if what != "commands"}
    order = sorted(ratios, key=lambda what: ratios[what])
    return " < ".join(f"{what} {ratios[what]:.2f}" for what in order)
