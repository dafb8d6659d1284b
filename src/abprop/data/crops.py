"""Many fixed crops of one large picture: how a single texture becomes examples."""

from __future__ import annotations

import numpy as np

from abprop import noise
from abprop.data.signals import Signals
from abprop.errors import UserError

# The plastic number g, g^3 = g + 1: steps of 1/g and 1/g^2 cover the unit square evenly.
_PLASTIC = 1.32471795724474602596


def crops(signals: Signals, *, size: int, count: int, seed: int) -> Signals:
    """`count` different square crops at positions that cover the picture evenly.

    A pure function of its arguments, the hidden mask cropped along: crop i is the same example for
    ever, and fewer crops are the first of more.

    Args:
        signals: one picture, kind "texture".
        size: side of a crop in pixels.
        count: how many.
        seed: shifts the positions.

    Returns:
        Signals of kind "texture" with names "crop@y,x".

    Raises:
        UserError: not one picture, or too small for so many crops of this size.

    References:
        M. Roberts: The Unreasonable Effectiveness of Quasirandom Sequences (R2), 2018.
    """
    if len(signals) != 1 or signals.dims != 2:
        raise UserError(f"crops need one picture, got {len(signals)} examples of {signals.kind}")
    if size < 1 or count < 1:
        raise UserError(f"crops: size {size} and count {count} must be at least 1")
    corners = _corners(signals.shape[1:], size, count, seed)
    veil = None if signals.veil is None else _cut(signals.veil[0], corners, size)
    names = [f"crop@{y},{x}" for y, x in corners]
    return signals.become(_cut(signals.values[0], corners, size), veil, names)


def _cut(picture: np.ndarray, corners: np.ndarray, size: int) -> np.ndarray:
    return np.stack([picture[:, y : y + size, x : x + size] for y, x in corners])


def _corners(shape: tuple[int, ...], size: int, count: int, seed: int) -> np.ndarray:
    """Upper left corners (y, x), int64 (count, 2), all different."""
    height, width = shape
    room = np.array([height - size + 1, width - size + 1])
    if room.min() < 1:
        raise UserError(
            f"the texture is {width}x{height}, too small for crops of {size}x{size}; "
            f"give a larger picture or smaller crops"
        )
    if count > room.prod():
        raise UserError(
            f"a {width}x{height} texture has only {room.prod()} different crops of {size}x{size}, "
            f"{count} were asked for; take fewer or smaller crops"
        )
    offset = noise.uniforms(seed, "crops", 2).numpy()
    drawn = 2 * count
    while True:
        along = np.arange(drawn)[:, None] * np.array([1 / _PLASTIC, 1 / _PLASTIC**2])
        corners = ((offset + along) % 1 * room).astype(np.int64)
        _, first = np.unique(corners, axis=0, return_index=True)
        if len(first) >= count:
            return corners[np.sort(first)[:count]]
        drawn *= 2
