"""Inference of the latent factors: chains on log p(z | y; W) for fixed weights, and their modes.

    Langevin              u <- u + (s^2 / 2) grad log p + s noise            (the paper's)
    Leimkuhler-Matthews   the same with the noise of two steps averaged
    gradient ascent       u <- u + (s^2 / 2) grad log p                      (MAP)
    MALA, HMC             proposals with Metropolis' test: exact

in coordinates z = L u shared by all examples (`metric`), with a step size s of each example's own
that the curvature of its posterior allows (`adapt`), or in z itself with one fixed s.
"""

from abprop.inference.adapt import due
from abprop.inference.base import Chain, Info, Kernel, Moved, State
from abprop.inference.chunks import chunks
from abprop.inference.infer import calibrate, infer
from abprop.inference.kernels import (
    HMC,
    KERNELS,
    MALA,
    GradientAscent,
    Langevin,
    LeimkuhlerMatthews,
)
from abprop.inference.metric import Metric
from abprop.inference.solve import nearest, solve

__all__ = [
    "KERNELS",
    "Kernel",
    "Langevin",
    "LeimkuhlerMatthews",
    "GradientAscent",
    "MALA",
    "HMC",
    "State",
    "Chain",
    "Moved",
    "Info",
    "Metric",
    "due",
    "infer",
    "calibrate",
    "solve",
    "nearest",
    "chunks",
]
