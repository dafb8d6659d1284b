"""Sounds that others would make of one clip: rivals, and bounds for every measure.

phase       the clip's spectrum with random phases, the same for all channels: Gaussian noise
repetition  its first half second, again and again
white       white noise of the clip's level
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abprop.errors import unknown

PIECE = 0.5  # seconds that are repeated
FADE = 0.02  # seconds over which the clip's ends are faded out, before its spectrum is taken


def phase(clip: np.ndarray, rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise with the clip's spectrum."""
    length, edge = clip.shape[1], max(1, round(FADE * rate))
    window = np.minimum(1, np.minimum(np.arange(length) + 1, length - np.arange(length)) / edge)
    size = length + samples
    noise = np.fft.rfft(rng.standard_normal(size))
    made = np.fft.irfft(np.fft.rfft(clip * window, size) * noise, size)[:, :samples]
    return made * (clip.std() / made.std())


def repetition(clip: np.ndarray, rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """The first PIECE of the clip, end to end."""
    piece = clip[:, : max(1, round(PIECE * rate))]
    return np.tile(piece, -(-samples // piece.shape[1]))[:, :samples]


def white(clip: np.ndarray, rate: int, samples: int, rng: np.random.Generator) -> np.ndarray:
    """White noise as loud as the clip."""
    return rng.standard_normal((len(clip), samples)) * clip.std()


SOUNDS: dict[str, Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]] = {
    "phase": phase,
    "repetition": repetition,
    "white": white,
}


def sound(name: str, clip: np.ndarray, rate: int, samples: int, seed: int) -> np.ndarray:
    """A rival's sound, float32 (C, samples).

    Args:
        name: of `SOUNDS`.
        clip: (C, T).
        rate: samples a second.
        samples: how long.
        seed: another seed, another sound; a repetition has but one.

    Raises:
        UserError: no such rival.
    """
    if name not in SOUNDS:
        raise unknown("baseline", name, SOUNDS)
    made = SOUNDS[name](clip, rate, samples, np.random.default_rng(seed))
    return np.ascontiguousarray(made, dtype=np.float32)
