"""Monotone curves of rational quadratics, the identity beyond [-BOUND, BOUND]; and their inverses.

In a bin from (x0, y0), w wide and h high, with slopes d0 and d1 at its ends, s = h / w and
t = (x - x0) / w,

    y = y0 + h (s t^2 + d0 t (1 - t)) / D,    D = s + (d0 + d1 - 2 s) t (1 - t)
    dy/dx = s^2 (d1 t^2 + 2 s t (1 - t) + d0 (1 - t)^2) / D^2

J. A. Gregory, R. Delbourgo: Piecewise Rational Quadratic Interpolation to Monotonic Data, IMA
Journal of Numerical Analysis 1982. C. Durkan, A. Bekasov, I. Murray, G. Papamakarios: Neural Spline
Flows, NeurIPS 2019.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

BOUND = 4.0  # standard deviations
BINS = 8
NUMBERS = 3 * BINS - 1  # that tell a curve; all zero: the identity
LEAST = 0.02  # share of the width or height that a bin has, and slope of a curve
_ONE = math.log(math.e - 1)  # softplus(_ONE) = 1


class Curves(NamedTuple):
    """Bins of each curve, (..., BINS): left and lower ends, width, height, slopes at both ends."""

    x: Tensor
    y: Tensor
    width: Tensor
    height: Tensor
    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, numbers: Tensor) -> Curves:
        """The curves that numbers (..., NUMBERS) tell."""
        shares = [torch.softmax(v, -1) for v in numbers[..., : 2 * BINS].split(BINS, -1)]
        sizes = [2 * BOUND * (LEAST + (1 - BINS * LEAST) * share) for share in shares]
        # Sums of what comes before, as a product: in one order on every device.
        before = torch.ones(BINS, BINS).triu(1).to(numbers)
        ends = [size @ before - BOUND for size in sizes]
        slopes = LEAST + (1 - LEAST) * F.softplus(numbers[..., 2 * BINS :] + _ONE)
        slopes = F.pad(slopes, (1, 1), value=1.0)
        return cls._make((*ends, *sizes, slopes[..., :-1], slopes[..., 1:]))

    def at(self, values: Tensor, ends: Tensor) -> Curves:
        """The bin in which each of values (...) lies, by `ends`, (...) of everything."""
        above = (values[..., None] >= ends[..., 1:]).to(ends)
        here = F.pad(above, (1, 0), value=1.0) - F.pad(above, (0, 1))
        return Curves._make((v * here).sum(-1) for v in self)


def bent(x: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor]:
    """y of x (...) and log dy/dx.

    Args:
        x: any numbers.
        numbers: of a curve for each, (..., NUMBERS).
    """
    curves, inside = Curves.of(numbers), x.abs() < BOUND
    held = x.clamp(-BOUND, BOUND)
    x0, y0, w, h, d0, d1 = curves.at(held, curves.x)
    s, t = h / w, ((held - x0) / w).clamp(0, 1)
    both = t * (1 - t)
    below = s + (d0 + d1 - 2 * s) * both
    y = y0 + h * (s * t * t + d0 * both) / below
    steep = d1 * t * t + 2 * s * both + d0 * (1 - t) ** 2
    slope = 2 * s.log() + steep.log() - 2 * below.log()
    return torch.where(inside, y, x), torch.where(inside, slope, 0.0)


def straightened(y: Tensor, numbers: Tensor) -> Tensor:
    """The x of which `bent` makes y."""
    curves, inside = Curves.of(numbers), y.abs() < BOUND
    held = y.clamp(-BOUND, BOUND)
    x0, y0, w, h, d0, d1 = curves.at(held, curves.y)
    s, up = h / w, held - y0
    turn = up * (d0 + d1 - 2 * s)
    a, b, c = h * (s - d0) + turn, h * d0 - turn, -s * up
    t = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())
    return torch.where(inside, x0 + w * t, y)
