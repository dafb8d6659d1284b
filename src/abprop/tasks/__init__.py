"""What a fitted model does: sample, reconstruct, recover, interpolate, tell how probable signals
are. Functions of the model."""

from abprop.tasks.directions import directions
from abprop.tasks.drawing import canvas, draw, endless, generate, sample, seamless, tiles
from abprop.tasks.explaining import (
    CANDIDATES,
    MEASURED,
    Recovered,
    corners,
    interpolate,
    latent_grid,
    mean_square,
    reconstruct,
    recover,
    recover_measured,
    sheet,
    slerp,
)
from abprop.tasks.filming import MOTIONS, moved
from abprop.tasks.likelihood import (
    TEMPERATURES,
    Annealing,
    log_likelihood,
    sandwich,
    simulated,
)
from abprop.tasks.settling import DRAWN, TO_END, Modes, settled
from abprop.tasks.sounding import played, voiced

__all__ = [
    "MOTIONS",
    "Modes",
    "TEMPERATURES",
    "Annealing",
    "Recovered",
    "canvas",
    "corners",
    "directions",
    "draw",
    "endless",
    "generate",
    "interpolate",
    "latent_grid",
    "CANDIDATES",
    "DRAWN",
    "MEASURED",
    "TO_END",
    "log_likelihood",
    "mean_square",
    "moved",
    "played",
    "reconstruct",
    "recover",
    "recover_measured",
    "sample",
    "settled",
    "sandwich",
    "seamless",
    "sheet",
    "simulated",
    "slerp",
    "tiles",
    "voiced",
]
