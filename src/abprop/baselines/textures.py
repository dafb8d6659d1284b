"""Textures that others would make of one picture: rivals, and bounds for every measure.

phase      the picture's spectrum with random phases, the same for all colours: a Gaussian field
tiles      squares of the picture taken at random, edge to edge
quilting   squares that fit their neighbours, cut along the path where both agree most

B. Galerne, Y. Gousseau, J.-M. Morel: Random Phase Textures: Theory and Synthesis, IEEE TIP 2011.
A. A. Efros, W. T. Freeman: Image Quilting for Texture Synthesis and Transfer, SIGGRAPH 2001.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abprop.errors import unknown

TILE = 32  # pixels on a side of a random tile
BLOCK, OVERLAP = 36, 6  # of quilting, pixels: a sixth as in the paper
TOLERANCE = 0.1  # of the least error that a block may have more


def phase(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A Gaussian field with the picture's spectrum, its smooth periodic part."""
    height, width = (max(a, b) for a, b in zip(size, picture.shape[1:], strict=True))
    mean = picture.mean((1, 2), keepdims=True)
    spread = np.zeros((len(picture), height, width))
    spread[:, : picture.shape[1], : picture.shape[2]] = _windowed(picture - mean)
    noise = rng.standard_normal((height, width))
    field = np.fft.ifft2(np.fft.fft2(spread) * np.fft.fft2(noise)).real
    field *= (picture - mean).std() / field.std()
    return (mean + field)[:, : size[0], : size[1]].astype(np.float32)


def _windowed(picture: np.ndarray) -> np.ndarray:
    """Faded out at its edges, which would be lines in the spectrum."""
    for axis in (1, 2):
        n = picture.shape[axis]
        edge = np.minimum(np.arange(n) + 0.5, n - np.arange(n) - 0.5)
        window = np.clip(edge / (n / 8), 0, 1)
        picture = picture * np.sqrt(window).reshape([-1 if a == axis else 1 for a in range(3)])
    return picture


def tiles(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Random squares edge to edge."""
    side = min(TILE, *picture.shape[1:])
    out = np.empty((len(picture), *(-(-n // side) * side for n in size)), np.float32)
    room = [n - side + 1 for n in picture.shape[1:]]
    for y in range(0, out.shape[1], side):
        for x in range(0, out.shape[2], side):
            a, b = (rng.integers(n) for n in room)
            out[:, y : y + side, x : x + side] = picture[:, a : a + side, b : b + side]
    return out[:, : size[0], : size[1]]


def quilting(picture: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """Squares that fit what is there already, row by row."""
    side = min(BLOCK, *(n // 2 for n in picture.shape[1:]))
    overlap, step = OVERLAP, side - OVERLAP
    counts = [-(-(n - overlap) // step) for n in size]
    out = np.zeros((len(picture), *(n * step + overlap for n in counts)), np.float32)
    blocks = np.lib.stride_tricks.sliding_window_view(picture, (side, side), axis=(1, 2))
    blocks = blocks.transpose(1, 2, 0, 3, 4)
    for row in range(counts[0]):
        for column in range(counts[1]):
            y, x = row * step, column * step
            there = np.zeros((side, side), bool)
            there[:overlap], there[:, :overlap] = row > 0, there[:, :overlap] | (column > 0)
            now = out[:, y : y + side, x : x + side]
            chosen = _fitting(blocks, now, there, rng)
            mask = _cut((chosen - now), overlap, row > 0, column > 0)
            now[:] = np.where(mask, chosen, now)
    return out[:, : size[0], : size[1]]


def _fitting(
    blocks: np.ndarray, now: np.ndarray, there: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One of the blocks (rows, columns, C, side, side) that agree best with what is there."""
    if not there.any():
        return blocks[tuple(rng.integers(n) for n in blocks.shape[:2])]
    target = now[:, there]
    errors = np.empty(blocks.shape[:2])
    for row, line in enumerate(blocks):
        errors[row] = np.square(line[:, :, there] - target).sum((1, 2))
    fits = np.argwhere(errors <= (1 + TOLERANCE) * errors.min() + 1e-9)
    return blocks[tuple(fits[rng.integers(len(fits))])]


def _cut(difference: np.ndarray, overlap: int, above: bool, left: bool) -> np.ndarray:
    """Which pixels of a new block are taken: beyond the paths of least difference."""
    error = np.square(difference).sum(0)
    mask = np.ones(error.shape, bool)
    if left:
        mask &= _beyond(error[:, :overlap], error.shape)
    if above:
        mask &= _beyond(error[:overlap].T, error.shape[::-1]).T
    return mask


def _beyond(strip: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Columns right of the cheapest path down a strip."""
    from skimage.graph import route_through_array

    length, width = strip.shape
    costs = np.full((length + 2, width), 1e-9)  # free to begin and to end anywhere
    costs[1:-1] = strip + 1e-6
    path, _ = route_through_array(costs, (0, 0), (length + 1, width - 1), fully_connected=True)
    border = np.zeros(length, int)
    for row, column in path:
        if 1 <= row <= length:
            border[row - 1] = max(border[row - 1], column)
    return np.arange(shape[1])[None] >= border[:, None]


Synthesis = Callable[[np.ndarray, tuple[int, int], np.random.Generator], np.ndarray]
TEXTURES: dict[str, Synthesis] = {"phase": phase, "tiles": tiles, "quilting": quilting}


def texture(name: str, picture: np.ndarray, size: tuple[int, int], seed: int) -> np.ndarray:
    """A texture (C, *size) like a picture (C, H, W), float32.

    Args:
        name: one of TEXTURES.
        picture: in any units.
        size: (height, width).
        seed: another seed, another texture.

    Raises:
        UserError: no such method.
    """
    if name not in TEXTURES:
        raise unknown("baseline", name, TEXTURES)
    return TEXTURES[name](picture, size, np.random.default_rng(seed))
