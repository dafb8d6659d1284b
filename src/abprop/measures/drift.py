"""Whether a picture is one material throughout, or changes from one side to the other.

    R^2 of the regression of a local statistic on the place (y, x, y^2, xy, x^2)

over blocks; of local brightness (light that fades) and of the logarithm of local contrast
(perspective, focus). For a stationary picture both are near 5 / blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BLOCKS = 8  # along the shorter side
LARGE = 0.6  # of the variance explained by the place
VISIBLE = 0.2  # of the deviation of brightness that fading light must have; of log contrast too


class Drift(NamedTuple):
    """Shares of the variance over blocks that the place explains; 0 if it cannot be seen."""

    light: float
    contrast: float

    @property
    def words(self) -> str:
        """What to say of it; "" for a stationary picture."""
        told = []
        if self.light > LARGE:
            told.append(f"its light fades across it ({100 * self.light:.0f} % explained by place)")
        if self.contrast > LARGE:
            told.append(
                f"its detail changes across it ({100 * self.contrast:.0f} % explained by place)"
            )
        return " and ".join(told)


def drift(picture: Tensor) -> Drift:
    """Of a picture (C, H, W)."""
    grey = picture.double().mean(0)
    block = max(2, min(grey.shape) // BLOCKS)
    light = F.avg_pool2d(grey[None, None], block) / grey.std().clamp_min(1e-6)
    fine = (grey[1:, :-1] - grey[:-1, :-1]).square() + (grey[:-1, 1:] - grey[:-1, :-1]).square()
    contrast = torch.log(F.avg_pool2d(fine[None, None], block) + 1e-6)
    return Drift(_explained(light[0, 0]), _explained(contrast[0, 0]))


def _explained(values: Tensor) -> float:
    y, x = (torch.linspace(-1, 1, n, dtype=values.dtype) for n in values.shape)
    y, x = (v.flatten() for v in torch.meshgrid(y, x, indexing="ij"))
    terms = torch.stack((torch.ones_like(y), y, x, y**2, x * y, x**2), 1)
    flat = values.flatten()
    fitted = terms @ torch.linalg.lstsq(terms, flat[:, None]).solution[:, 0]
    if fitted.std() < VISIBLE:
        return 0.0
    whole = (flat - flat.mean()).square().sum()
    return float(1 - (flat - fitted).square().sum() / whole.clamp_min(1e-12))
