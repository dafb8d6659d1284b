"""New signals: z from the prior, f(z); of a map, any window of an endless signal.

A map's network pads nowhere, so f of a window of z is a window of f(z). What is asked for is made
of canonical tiles, the same whatever else is asked for: memory does not grow with the size, and
rounding does not depend on it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.inference import chunks
from abprop.model import Model
from abprop.noise import Noise
from abprop.priors import Markov
from abprop.priors.base import around
from abprop.priors.blocks import LEAST

TILE = 2**16  # entries of a channel, about, of a canonical tile
Lengths = tuple[int, ...]
Window = Callable[[Lengths, Lengths], Tensor]  # of a map: start and grid, in cells


@torch.no_grad()
def generate(model: Model, z: Tensor, *, chunk: int = 64) -> Tensor:
    """x = f(z) in chunks, (N, C, *size)."""
    parts = [model.network(z[rows])[:n] for rows, n in chunks(len(z), chunk, z.device)]
    return torch.cat(parts)


def draw(model: Model, count: int, noise: Noise, grid: Lengths | None = None) -> Tensor:
    """Latents from the prior, (count, *latent_shape); see `priors.normals`."""
    return model.prior.draw(noise, count, grid).to(model.likelihood.sigma)


def sample(
    model: Model, count: int, noise: Noise, *, size: Lengths | None = None, chunk: int = 64
) -> Tensor:
    """New signals f(z), z from the prior: (count, C, *size).

    Args:
        model: the fitted model.
        count: how many.
        noise: the stream of the draws.
        size: lengths of the signal's axes, for a map latent; default the learned ones.
        chunk: examples in one pass.

    Raises:
        UserError: another size is asked of a vector latent.
    """
    own = tuple(model.network.signal_shape[1:])
    if not model.network.stationary and size in (None, own):
        return generate(model, draw(model, count, noise), chunk=chunk)
    windows = endless(model, count, noise, size or own)
    return torch.from_numpy(canvas(model, windows, size or own, lambda x: x.cpu().numpy()))


def canvas(
    model: Model, windows: Sequence[Window], size: Lengths, written: Callable[[Tensor], np.ndarray]
) -> np.ndarray:
    """Signals of any size, (len(windows), C, *size); held in full only as they are written.

    Args:
        model: the fitted model, its latent a map.
        windows: of the map of each.
        size: lengths of the signals.
        written: a tile (1, C, *lengths) as it is wanted.
    """
    _check(model, size)
    parts = ((i, *tile) for i, window in enumerate(windows) for tile in tiles(model, window, size))
    x = None
    for i, place, part in parts:
        done = written(part[None])[0]
        if x is None:
            x = np.empty((len(windows), len(done), *size), done.dtype)
        x[(i, slice(None), *place)] = done
    assert x is not None
    return x


def endless(model: Model, count: int, noise: Noise, size: Lengths) -> list[Window]:
    """Windows of `count` endless maps.

    Raises:
        UserError: a latent without a map, or a size with other axes.
    """
    _check(model, size)

    def window(draw: int, start: Lengths, grid: Lengths) -> Tensor:
        z = model.prior.draw(noise, 1, grid, start, draw)
        return z.to(model.likelihood.sigma)

    return [partial(window, draw) for draw in range(count)]


def seamless(model: Model, count: int, noise: Noise, size: Lengths) -> list[Window]:
    """Windows of maps that repeat themselves after `size` entries of the signal, without a seam.

    Raises:
        UserError: a latent or a prior without neighbours, or sizes that are no multiples of
            its blocks.
    """
    _check(model, size)
    size = _along(model, size)
    if not isinstance(model.prior, Markov):
        raise UserError("--tile: needs model.prior=markov, which knows what fits together")
    cell = 2**model.network.stages
    step = model.prior.period * cell
    if any(n % step or n < LEAST * step for n in size):
        near = "x".join(str(max(LEAST, round(n / step)) * step) for n in reversed(size))
        raise UserError(
            f"--tile: each length must be a multiple of {step} from {LEAST * step} on, "
            f"e.g. --size {near}"
        )
    maps = model.prior.draw_torus(noise, count, tuple(n // cell for n in size))

    def window(z: Tensor, start: Lengths, lengths: Lengths) -> Tensor:
        return around(z, len(size), start, lengths).to(model.likelihood.sigma)

    return [partial(window, z[None]) for z in maps]


@torch.no_grad()
def tiles(
    model: Model, window: Window, size: Lengths
) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
    """A signal of any size, one canonical tile after the other.

    Args:
        model: the fitted model, its latent a map.
        window: gives the map's cells.
        size: lengths of the signal, or of those of its axes that the map runs along.

    Yields:
        Where a tile lies in the signal, and its part of it (C, *lengths).
    """
    cell, size = 2**model.network.stages, _along(model, size)
    whole = model.network.signal_shape[1 + len(size) :]  # axes that a tile has all of
    entries = TILE // max(1, model.network.signal_shape[0] // 4)  # of bands there are many
    cells = max(1, round((entries / math.prod(whole)) ** (1 / len(size))) // cell)
    side = cells * cell
    grid = grid_over(model, (side,) * len(size))
    for index in itertools.product(*(range(-(-n // side)) for n in size)):
        x = model.network(window(tuple(i * cells for i in index), grid))[0]
        lengths = tuple(min(side, n - i * side) for i, n in zip(index, size, strict=True))
        place = tuple(slice(i * side, i * side + n) for i, n in zip(index, lengths, strict=True))
        rest = (slice(n) for n in whole)
        yield (*place, *rest), x[(slice(None), *(slice(n) for n in lengths))]


def _check(model: Model, size: Lengths) -> None:
    native = model.network.latent_shape[1:]
    if not native:
        sides = [str(n) for n in reversed(model.network.signal_shape[1:])]
        learned = "x".join(sides) or "rows of a table"
        raise UserError(
            f"--size: this model's latent is a vector, so its signals are {learned}; "
            "learn from one image (a map latent) to synthesise other sizes"
        )
    own = model.network.signal_shape[1:]
    if len(size) != len(own):
        raise UserError(f"--size has {len(size)} lengths, this model's signals {len(own)}")
    if size[len(native) :] != own[len(native) :]:
        sides = "x".join(map(str, reversed(own[len(native) :])))
        raise UserError(f"--size: this model's map runs along time alone; its frames are {sides}")


def _along(model: Model, size: Lengths) -> Lengths:
    """Lengths along the axes of the map."""
    return size[: len(model.network.latent_shape) - 1]


def grid_over(model: Model, size: Lengths) -> Lengths:
    """The map whose signal covers one of the given size; see `tiles`."""
    cell, native = 2**model.network.stages, model.network.latent_shape[1:]
    sides = zip(native, model.network.signal_shape[1:], size, strict=False)
    return tuple(max(3, g + math.ceil((n - m) / cell)) for g, m, n in sides)
