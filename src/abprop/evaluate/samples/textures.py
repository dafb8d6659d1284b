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
from abprop.evaluate.samples.likeness import SEEDS, Likeness, beside, verdict
from abprop.measures import Material, Ratios
from abprop.measures.patches import coarser, cut
from abprop.say import Say

LARGEST = 512  # pixels on a side of a sample, and of what it is held against


class Run(Protocol):
    """What judging a texture asks of a fitted run."""

    @property
    def signals(self) -> Signals: ...
    @property
    def scale(self) -> Scale: ...
    def sample(
        self, n: int | None = None, *, size: tuple[int, ...] | None = None, seed: int = 0
    ) -> np.ndarray: ...


def material(picture: Tensor, progress: Say) -> Material | None:
    """The picture as a material; None, and a word why, where it cannot be judged.

    Of a larger one its first LARGEST pixels each way: all its patches would take gigabytes.
    """
    try:
        return Material(picture[:, :LARGEST, :LARGEST])
    except UserError as error:
        progress(f"samples are not judged: {error}")
        return None


def judged(run: Run, rivals: Sequence[str], progress: Say) -> tuple[Likeness, dict[str, Ratios]]:
    """Ratios of samples, and of others' textures.

    Args:
        run: learned from one picture.
        rivals: names of `baselines.TEXTURES`.
        progress: told why nothing is said, if nothing can be.

    Returns:
        See `likeness`, with noise by Portilla-Simoncelli statistics; and a row for each rival.
    """
    signals = run.signals
    if signals.hidden is not None:
        progress("samples are not judged: the picture has holes")
        return {}, {}
    picture = signals.batch([0])[0][0]
    real = material(picture, progress)
    if real is None:
        return {}, {}
    progress("comparing samples with the picture")
    height, width = (min(LARGEST, n) for n in picture.shape[1:])
    size = height, width
    return beside(
        lambda x: real.ratios(as_shown(x)),
        (run.scale.to_model(run.sample(1, size=size, seed=seed)[0]) for seed in SEEDS),
        lambda name, seed: baselines.texture(name, real.picture.numpy(), size, seed),
        rivals,
        "portilla_simoncelli",
    )


def as_shown(x: np.ndarray) -> Tensor:
    """As a picture shows it: nothing beyond black and white, in steps of eight bits."""
    return torch.from_numpy(np.rint((np.clip(x, -1, 1) + 1) * 127.5) / 127.5 - 1).float()


# In words, and in pieces ----------------------------------------------------------------------

COUNT, SIDE, COARSE = 8, 64, 4  # pieces, pixels on their side, and by how much coarser compared
MEANING = {
    "sample_ratio": "the largest distance below",
    "portilla_simoncelli": "joint statistics of a pyramid of filters",
    "wasserstein": "how patches are distributed: contrast, sharpness, noise",
    "coherence": "patches of the sample that the picture has not",
    "completeness": "patches of the picture that the sample has not",
    "copy_ratio": "how far pieces are from the nearest of the picture",
    "repeat_ratio": "how far pieces are from the nearest elsewhere in the sample",
}


def words(name: str, ratio: float) -> str:
    """What a ratio means, and whether it is good."""
    return f"{MEANING[name]}: {verdict(name, ratio, 'the picture')}"


def pieces(made: Tensor, picture: Tensor) -> tuple[Tensor, Tensor]:
    """Pieces of a picture (C, H, W) and the most similar of another one, (n, C, side, side).

    At places four pixels apart, by squared error at a quarter of the resolution.
    """
    side = min(SIDE, *made.shape[1:], *picture.shape[1:]) // COARSE * COARSE
    room = [n - side for n in made.shape[1:]]
    corners = [(room[0] * (i // 4 % 2), room[1] * (i % 4) // 3) for i in range(COUNT)]
    asked = torch.stack([made[:, y : y + side, x : x + side] for y, x in corners])
    small = coarser(picture, 2)
    every = cut(small, side // COARSE, 1)
    apart = torch.cdist(coarser(asked.flatten(0, 1), 2).reshape(COUNT, -1), every)
    across = small.shape[2] - side // COARSE + 1
    places = [divmod(int(row), across) for row in apart.argmin(1)]
    found = [picture[:, COARSE * y :, COARSE * x :][:, :side, :side] for y, x in places]
    return asked, torch.stack(found)
