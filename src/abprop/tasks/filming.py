"""Videos: f of a path that a linear system draws, or of tiles of a map along time.

Noise is keyed by the number of the frame, so that a longer video begins like a shorter one; frames
are made in canonical blocks, so that memory does not grow with their number.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

from abprop.dynamics import Dynamics
from abprop.model import Model
from abprop.noise import Noise
from abprop.tasks.drawing import Window, generate, tiles

BLOCK = 32  # frames made together


def filmed(model: Model, window: Window, frames: int) -> Iterator[Tensor]:
    """A video of so many frames, block by block (C, t, H, W); `window` gives the map along time."""
    for _, x in tiles(model, window, (frames,)):
        yield x


@torch.no_grad()
def moved(
    model: Model, dynamics: Dynamics, frames: int, noise: Noise, draw: int = 0
) -> Iterator[Tensor]:
    """The same of frames f(z_t), z_t a new path of the system."""
    path, like = dynamics.path(noise, draw), model.likelihood.sigma
    for begin in range(0, frames, BLOCK):
        z = torch.stack([*islice(path, BLOCK)]).to(like)
        yield generate(model, z, chunk=BLOCK).movedim(0, 1)[:, : frames - begin]
