"""Is the measure of videos fooled? Videos of known worth, in order, on four clips.

A clip is cut in two. Each half in turn is the material, and beside the other half, which must come
first, stand: the material's first 16 frames again and again, its frames each shown twice, a
Gaussian field with its spectrum, its frames in a random order, and one frame frozen. Means of both.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from row import Row, Runner

from abprop.baselines import video
from abprop.evaluate.samples.likeness import mean
from abprop.evaluate.samples.videos import clip, shown
from abprop.measures import Moving
from abprop.sources import read

CLIPS = ("flame", "boiling_water", "flag", "fountain")
MADE = ("loop", "phase", "slow", "shuffled", "frozen")


def rows() -> list[Row]:
    """One for each clip."""
    return [
        Row("watching", name, "", f"videos/{name}_128.npz", partial(_measure, name), _shown)
        for name in CLIPS
    ]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    signals = read(str(run.data / "videos" / f"{name}_128.npz"), kind="video", size=64)
    whole = clip(signals)
    halves = whole.tensor_split(2, 1)
    told: dict[str, list[Any]] = {what: [] for what in ("real", *MADE)}
    for i, material in enumerate(halves):
        measure, other = Moving(shown(material)), halves[1 - i]
        for what, x in {"real": other, **made(material, seed=i)}.items():
            told[what].append(measure.ratios(shown(x)))
    run.commands.append("python papers/run.py --data $DATA --only watching")
    return {what: mean(found) for what, found in told.items()}


def made(x: torch.Tensor, seed: int) -> dict[str, torch.Tensor]:
    """Videos of a clip (C, T, H, W) that are worth less than another piece of it."""
    frames = x.shape[1]
    order = np.random.default_rng(seed).permutation(frames)
    told = {name: video(name, x.numpy(), frames, seed) for name in ("loop", "phase")}
    return {name: torch.from_numpy(v) for name, v in told.items()} | {
        "slow": x[:, : -(-frames // 2)].repeat_interleave(2, 1)[:, :frames],
        "shuffled": x[:, order],
        "frozen": x[:, frames // 2][:, None].expand_as(x),
    }


def _shown(found: dict[str, Any]) -> str:
    ratios = {what: told["sample_ratio"] for what, told in found.items() if what != "commands"}
    order = sorted(ratios, key=lambda what: ratios[what])
    return " < ".join(f"{what} {ratios[what]:.2f}" for what in order)
