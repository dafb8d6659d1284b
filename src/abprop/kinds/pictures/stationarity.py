"""Whether a picture is one material throughout, or changes from one side to the other.

    R^2 of the regression of a local statistic on the place (y, x, y^2, xy, x^2)

over blocks; of local brightness (light that fades) and of the logarithm of local contrast
(perspective, focus). For a stationary picture both are near 5 / blocks.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

ENOUGH = 1024  # pixels on a side that tell the scale; spectra of more take gigabytes
BLOCKS = 8  # along the shorter side
BLOCK = 256  # pixels on a side that tell a block, from its middle: more take gigabytes too
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
    """Of a picture (C, H, W) in any units."""
    grey = _blocks(picture).double().mean(0)
    grey = (grey - grey.mean()) / grey.std().clamp_min(1e-12)
    here = grey[..., :-1, :-1]
    fine = (grey[..., 1:, :-1] - here).square() + (grey[..., :-1, 1:] - here).square()
    contrast = torch.log(fine.mean((2, 3)) + 1e-6)
    return Drift(_explained(grey.mean((2, 3))), _explained(contrast))


def _blocks(picture: Tensor) -> Tensor:
    """(C, rows, columns, h, w) of a picture (C, H, W): its blocks, of large ones the middle."""
    block = max(2, min(picture.shape[1:]) // BLOCKS)
    length = min(block, BLOCK)
    blocks = picture.unfold(1, block, block).unfold(2, block, block)
    for axis in (3, 4):
        blocks = blocks.narrow(axis, (block - length) // 2, length)
    return blocks


def _slow(values: Tensor) -> Tensor:
    """The quadratic in the place that is nearest to values (H, W)."""
    y, x = (torch.linspace(-1, 1, n, dtype=values.dtype) for n in values.shape)
    y, x = (v.flatten() for v in torch.meshgrid(y, x, indexing="ij"))
    terms = torch.stack((torch.ones_like(y), y, x, y**2, x * y, x**2), 1)
    fitted = terms @ torch.linalg.lstsq(terms, values.reshape(-1, 1)).solution
    return fitted.reshape(values.shape)


def _explained(values: Tensor) -> float:
    fitted = _slow(values)
    if fitted.std() < VISIBLE:
        return 0.0
    whole = (values - values.mean()).square().sum()
    return float(1 - (values - fitted).square().sum() / whole.clamp_min(1e-12))


def scale(picture: Tensor) -> float:
    """Pixels within which a picture (C, H, W) is alike: half of its autocorrelation is left there.

    The slow part that `drift` sees is taken out first. Of brightness, averaged over directions; of
    at most ENOUGH pixels on a side, from the middle.
    """
    for axis, n in enumerate(picture.shape[1:], 1):
        length = min(n, ENOUGH)
        picture = picture.narrow(axis, (n - length) // 2, length)
    grey = picture.double().mean(0)
    rest = grey - _slow(grey)
    size = [2 * n for n in rest.shape]
    power = torch.fft.fft2(rest, s=size).abs().square()
    overlap = torch.fft.fft2(torch.ones_like(rest), s=size).abs().square()
    ratio = torch.fft.ifft2(power).real / torch.fft.ifft2(overlap).real.clamp_min(1.0)
    lags = [torch.fft.fftfreq(n, 1 / n) for n in size]
    apart = (lags[0][:, None].square() + lags[1].square()).sqrt().round().long()
    mean = torch.zeros(int(apart.max()) + 1, dtype=ratio.dtype)
    mean.scatter_reduce_(0, apart.flatten(), ratio.flatten(), "mean", include_self=False)
    below = (mean[: min(rest.shape) // 2] < 0.5 * mean[0]).nonzero()
    return float(below[0]) if len(below) else min(rest.shape) / 2
