"""Videos: f of a path of factors, a frame for each.

    linear    a new path of a linear system (see `dynamics`)
    blocks    stretches of the clip's own path, each chosen to fit those around it (see
              `priors.markov`), one cut after the other: a frame between two is soft

Noise is keyed by the number of the frame, so that a longer video begins like a shorter one; frames
are made in canonical blocks, so that memory does not grow with their number.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from abprop.dynamics import fit
from abprop.model import Model
from abprop.noise import Noise
from abprop.priors import Markov
from abprop.tasks.drawing import generate

BLOCK = 32  # frames made together
STRETCH = 16  # frames of a stretch; a quarter of them at either end must fit its neighbours


@torch.no_grad()
def moved(model: Model, path: Iterator[Tensor], frames: int) -> Iterator[Tensor]:
    """A video of so many frames f(z_t), block by block (C, t, H, W); the path z_t (d,) comes one by
    one."""
    like = model.likelihood.sigma
    for begin in range(0, frames, BLOCK):
        z = torch.stack([*itertools.islice(path, BLOCK)]).to(like)
        yield generate(model, z, chunk=BLOCK).movedim(0, 1)[:, : frames - begin]


def linear(z: Tensor, noise: Noise, draw: int = 0) -> Iterator[Tensor]:
    """A new path like z (T, d), by a linear system fitted to it, for ever."""
    return fit(z).path(noise, draw)


def blocks(z: Tensor, noise: Noise, draw: int = 0) -> Iterator[Tensor]:
    """A new path of stretches of z (T, d), for ever."""
    prior = stretches(z)
    for begin in itertools.count(0, BLOCK):
        yield from prior.draw_cut(noise, (BLOCK,), (begin,), draw).T


def stretches(z: Tensor) -> Markov:
    """The prior over paths whose blocks are stretches of this one."""
    length = min(STRETCH, max(4, len(z) // 4 * 2))
    # A map one frame longer than a block has two of them: every second map has all.
    maps = z.unfold(0, length + 1, 2)
    prior = Markov((z.shape[1], length + 1))
    prior.update(maps, 1.0)
    prior.remember(maps, 2.0 * torch.arange(len(maps))[:, None])
    return prior


MOTIONS = {"blocks": blocks, "linear": linear}
