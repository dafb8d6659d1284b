"""Videos that others would make of one clip: rivals, and bounds for every measure.

lds     a linear dynamic system: principal components of the frames, moved by the linear map that
        predicts each frame's from the one before, and noise as large as what that leaves over
phase   the mean frame, and a Gaussian field with the space-time spectrum of the rest
loop    its first LOOP frames, again and again

G. Doretto, A. Chiuso, Y. N. Wu, S. Soatto: Dynamic Textures, IJCV 2003 (lds). Their map may have
roots beyond the unit circle; then it is scaled back to STABLE, or the video would blow up.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from abprop.errors import unknown

FACTORS = 20  # principal components, at most: the paper's
STABLE = 0.999
LOOP = 16


def lds(clip: np.ndarray, frames: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """A linear dynamic system of d components, from the clip's first frame on."""
    x = np.moveaxis(clip, 1, 0).reshape(clip.shape[1], -1).astype(np.float64)
    mean, d = x.mean(0), min(d, len(x) - 2)
    u, s, axes = np.linalg.svd(x - mean, full_matrices=False)
    z = u[:, :d] * s[:d]
    A = np.linalg.lstsq(z[:-1], z[1:], rcond=None)[0].T
    rest = z[1:] - z[:-1] @ A.T
    radius = np.abs(np.linalg.eigvals(A)).max()
    A = A * min(1, STABLE / radius)
    noise = rng.standard_normal((frames, len(rest))) @ rest / np.sqrt(len(rest))
    path = np.empty((frames, d))
    now = z[0]
    for t, eta in enumerate(noise):
        path[t] = now
        now = A @ now + eta
    made = (mean + path @ axes[:d]).reshape(frames, len(clip), *clip.shape[2:])
    return np.moveaxis(made, 0, 1)


def phase(clip: np.ndarray, frames: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """The mean frame and a Gaussian field about it."""
    mean, length = clip.mean(1, keepdims=True), max(frames, clip.shape[1])
    rest = np.zeros((len(clip), length, *clip.shape[2:]))
    n = np.arange(clip.shape[1]) + 0.5
    window = np.sqrt(np.clip(np.minimum(n, len(n) - n) / (len(n) / 8), 0, 1))
    rest[:, : clip.shape[1]] = (clip - mean) * window[:, None, None]
    noise = np.fft.rfftn(rng.standard_normal(rest.shape[1:]))
    axes, size = (1, 2, 3), rest.shape[1:]
    field = np.fft.irfftn(np.fft.rfftn(rest, axes=axes) * noise, s=size, axes=axes)
    return mean + (field * ((clip - mean).std() / field.std()))[:, :frames]


def loop(clip: np.ndarray, frames: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """The first LOOP frames, end to end."""
    return np.resize(np.moveaxis(clip[:, :LOOP], 1, 0), (frames, *clip[:, 0].shape)).swapaxes(0, 1)


VIDEOS: dict[str, Callable[[np.ndarray, int, int, np.random.Generator], np.ndarray]] = {
    "lds": lds,
    "phase": phase,
    "loop": loop,
}


def video(name: str, clip: np.ndarray, frames: int, seed: int, d: int = FACTORS) -> np.ndarray:
    """A rival's video, float32 (C, frames, H, W).

    Args:
        name: of `VIDEOS`.
        clip: (C, T, H, W).
        frames: how many.
        seed: another seed, another video; a loop has but one.
        d: factors of a frame.

    Raises:
        UserError: no such rival.
    """
    if name not in VIDEOS:
        raise unknown("baseline", name, VIDEOS)
    made = VIDEOS[name](clip, frames, d, np.random.default_rng(seed))
    return np.ascontiguousarray(made, dtype=np.float32)
