"""What a fitted model does: sample, reconstruct, recover, interpolate. Functions of the model."""

from abprop.tasks.drawing import canvas, draw, endless, generate, sample, seamless, tiles
from abprop.tasks.explaining import (
    Recovered,
    corners,
    interpolate,
    latent_grid,
    mean_square,
    reconstruct,
    recover,
    slerp,
    spread,
)

__all__ = [
    "Recovered",
    "canvas",
    "corners",
    "draw",
    "endless",
    "generate",
    "interpolate",
    "latent_grid",
    "mean_square",
    "reconstruct",
    "recover",
    "sample",
    "seamless",
    "slerp",
    "spread",
    "tiles",
]
