"""Moved and mirrored copies as further examples, each with its own id and so its own factors.

Random augmentation would change the data under a factor that has settled on it; a copy with an id
of its own does not.
"""

from __future__ import annotations

import numpy as np

from abprop.data.signals import Signals
from abprop.errors import UserError
from abprop.noise import Noise

_MOST_EXAMPLES = 600
_COARSE = 24  # pixels a side to which pictures are averaged before they are compared
_COMPONENTS = 20


def mirrored(signals: Signals) -> Signals:
    """The examples, then their left-right mirror images: N + i mirrors i.

    Raises:
        UserError: not pictures.
    """
    _check_pictures(signals, "mirrored")
    return _extended(signals, [("~mirror", lambda a: a[..., ::-1])])


def shifted(signals: Signals, pixels: int) -> Signals:
    """The examples, then all of them moved up, down, left and right: 5 N, the edge repeated.

    Raises:
        UserError: not pictures, or moved by nothing or by more than they measure.
    """
    _check_pictures(signals, "shifted")
    if not 1 <= pixels < min(signals.shape[1:]):
        raise UserError(
            f"shifted copies: {pixels} pixels must be at least 1 and less than a picture measures"
        )
    moves = {"up": (pixels, 0), "down": (-pixels, 0), "left": (0, pixels), "right": (0, -pixels)}
    return _extended(
        signals, [(f"~{way}{pixels}", _mover(signals.shape[1:], *by)) for way, by in moves.items()]
    )


def mirror_ratio(values: np.ndarray, seed: int) -> float:
    """Is the data its own mirror image as a set? About 1 for faces, well above for digits.

    Principal components of one half of the examples reconstruct the other half, mirrored and as
    it is; the ratio of the two squared errors.

    Args:
        values: (N, ..., H, W) in model units, no NaN.
        seed: draws the examples and the halves.

    Returns:
        The ratio; infinity where it cannot be told (fewer than 8 examples, no pictures).
    """
    if values.ndim < 3 or len(values) < 8:
        return float("inf")
    order = Noise(seed, "mirror").permutation(len(values)).numpy()[:_MOST_EXAMPLES]
    half = len(order) // 2
    fitted, other = _coarse(values[order[:half]]), values[order[half:]]
    mean = fitted.mean(axis=0)
    components = min(_COMPONENTS, len(order) // 4)
    basis = np.linalg.svd(fitted - mean, full_matrices=False)[2][:components]

    def error(pictures: np.ndarray) -> float:
        rest = _coarse(pictures) - mean
        return float(np.mean((rest - rest @ basis.T @ basis) ** 2))

    tiny = 1e-9
    return (error(other[..., ::-1]) + tiny) / (error(other) + tiny)


def _coarse(values: np.ndarray) -> np.ndarray:
    """Block averages of (N, ..., H, W), flattened to (N, D)."""
    height, width = values.shape[-2:]
    block = max(1, max(height, width) // _COARSE)
    tall, wide = height // block, width // block
    part = values[..., : tall * block, : wide * block]
    blocks = part.reshape(*values.shape[:-2], tall, block, wide, block)
    return blocks.mean(axis=(-3, -1), dtype=np.float32).reshape(len(values), -1)


def _check_pictures(signals: Signals, what: str) -> None:
    if signals.dims != 2:
        raise UserError(f"{what} copies are for pictures, not for a {signals.kind}")


def _mover(size: tuple[int, ...], down: int, right: int):
    """Takes each pixel from `down` below and `right` to the right, or from the nearest edge."""
    rows = np.clip(np.arange(size[0]) + down, 0, size[0] - 1)
    columns = np.clip(np.arange(size[1]) + right, 0, size[1] - 1)
    return lambda array: array[..., rows[:, None], columns]


def _extended(signals: Signals, changes: list) -> Signals:
    """The examples followed by each change of all of them, masks changed along."""
    values, masks = [signals.values], [] if signals.veil is None else [signals.veil]
    names = list(signals.names)
    for suffix, change in changes:
        values.append(change(signals.values))
        if signals.veil is not None:
            masks.append(change(signals.veil))
        names += [name + suffix for name in signals.names]
    return signals.become(np.concatenate(values), np.concatenate(masks) if masks else None, names)
