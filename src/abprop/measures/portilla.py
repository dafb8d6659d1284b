"""Portilla-Simoncelli statistics: two pictures that agree on them look like one material.

    d(a, b) = (mean over statistics s of ((s(a) - s(b)) / sd_s)^2)^(1/2)

sd_s: over overlapping pieces of the real picture, so that each statistic counts by how constant it
is for this material. Of brightness; minimum and maximum are left out (they are those of the file's
format). Computed by plenoptic (`pip install abprop[measures]`).

J. Portilla, E. P. Simoncelli: A Parametric Texture Model Based on Joint Statistics of Complex
Wavelet Coefficients, IJCV 2000.
"""

from __future__ import annotations

import math
import warnings
from importlib.util import find_spec

import torch
from torch import Tensor

EXTREMES = slice(4, 6)  # minimum and maximum among the statistics
ALIKE = 1e-6  # standard deviations below this are rounding


def available() -> bool:
    """Whether plenoptic is installed."""
    return find_spec("plenoptic") is not None


class Statistics:
    """The statistics of square pieces.

    Args:
        side: of a piece, a multiple of 16.
    """

    def __init__(self, side: int) -> None:
        from plenoptic.models import PortillaSimoncelli

        scales = min(4, int(math.log2(side)) - 3)
        self.model = PortillaSimoncelli((side, side), n_scales=scales)

    @torch.no_grad()
    def __call__(self, pieces: Tensor) -> Tensor:
        """Of pieces (n, C, side, side) in model units, (n, statistics) float64."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grey = (pieces.double().mean(1, keepdim=True) + 1) / 2
            found = torch.cat([self.model(one[None]).flatten(1) for one in grey])
        found = torch.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0)  # constant pieces
        return torch.cat((found[:, : EXTREMES.start], found[:, EXTREMES.stop :]), 1)


def distances(a: Tensor, b: Tensor, deviation: Tensor) -> Tensor:
    """d of every a (n, S) from every b (m, S), (n, m)."""
    telling = deviation > ALIKE * deviation.max()
    if not telling.any():  # a constant picture has no statistics that vary
        return (a[:, None] - b).abs().mean(-1)
    apart = (a[:, None, telling] - b[None, :, telling]) / deviation[telling]
    return apart.square().mean(-1).sqrt()
