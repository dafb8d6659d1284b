"""Sounds: the variance that f tells of each band, and noise that has it.

Noise is keyed by its place in the sound, a hop at a time, and frames come from canonical tiles of
the map: the same sound, whatever length of it is asked for, and memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from abprop.model import Model
from abprop.noise import Noise
from abprop.spectra import Colour, noise_with
from abprop.tasks.drawing import Window, tiles


def played(
    model: Model, window: Window, colour: Colour, samples: int, noise: Noise, draw: int = 0
) -> Iterator[Tensor]:
    """A sound of so many samples, block by block, float64 (C, t) each.

    Args:
        model: the fitted model, its latent a map and its signals log-variances of bands.
        window: gives the map's cells.
        colour: of the sound.
        samples: in all.
        noise: the stream of phases.
        draw: which one.
    """
    frames, last, done = -(-samples // colour.hop) + 1, None, 0
    for (place,), x in tiles(model, window, (frames,)):
        x, first = x.cpu(), place.start
        if last is not None:
            x, first = torch.cat((last, x), 1), first - 1
        if x.shape[1] > 1:
            block = noise_with(x, _excited(noise, colour, first, x.shape[1] + 1, draw), colour)
            yield block[:, : samples - done]
            done += block.shape[1]
        last = x[:, -1:]


def voiced(x: Tensor, colour: Colour, noise: Noise) -> Tensor:
    """Sounds (n, C, t) that have the log-variances x (n, bands, frames)."""
    count = x.shape[2] + 1
    noises = (_excited(noise, colour, 0, count, i) for i in range(len(x)))
    return torch.stack([noise_with(one, e, colour) for one, e in zip(x, noises, strict=True)])


def _excited(noise: Noise, colour: Colour, first: int, hops: int, draw: int) -> Tensor:
    """What excites hops first, first + 1, ... of a sound: (C, hops H)."""
    places = torch.arange(first, first + hops + 2 * colour.reach)
    white = noise.at(places, chain=draw).normal((colour.channels, colour.hop))
    return colour.excited(white.movedim(0, 1).flatten(1))
