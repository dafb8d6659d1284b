"""Kernels: one transition of chains each; `KERNELS` has them by the names that recipes use."""

from abprop.inference.kernels.gradient import GradientAscent
from abprop.inference.kernels.hmc import HMC
from abprop.inference.kernels.langevin import Langevin
from abprop.inference.kernels.leimkuhler import LeimkuhlerMatthews
from abprop.inference.kernels.mala import MALA

KERNELS = {
    "langevin": Langevin,
    "leimkuhler": LeimkuhlerMatthews,
    "gradient": GradientAscent,
    "mala": MALA,
    "hmc": HMC,
}

__all__ = ["KERNELS", "Langevin", "LeimkuhlerMatthews", "GradientAscent", "MALA", "HMC"]
