"""A measurement whose y are given: y = A(x) in data units, brought to model units.

x_data = unit x + middle
B(x)   = (A(unit x + middle) - A(middle)) / gain        what is measured of x in model units
y_B    = (y - A(middle)) / gain
gain^2 = unit^2 E |(dA/dx)^T w|^2 / M,  w ~ N(0, I_M)   rows of B as long as 1 in the mean, so
                                                        that its y have x's units
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.noise import Noise
from abprop.operators.base import Alike, Measurement, Pullback, expect, for_many, times
from abprop.operators.chains import Compose
from abprop.operators.foreign import Function, from_physics
from abprop.operators.linear import Projection

PROBES = 64  # random signals that tell how long rows are
BLOCK = 8  # of them at a time
SPREAD = 0.5  # of these signals, model units
LINEAR = 1e-4  # relative deviation from linearity that is rounding


class Affine(Alike):
    """y = factor x + shift, entry by entry.

    Args:
        factor: a number.
        shift: of one signal, (C, *size); None adds nothing.
        shape: of one signal.
        batch: number of examples.
    """

    def __init__(
        self, factor: float, shift: Tensor | None, shape: tuple[int, ...], batch: int
    ) -> None:
        self.factor, self.linear = factor, shift is None
        constants = () if shift is None else (shift.reshape(shape),)
        super().__init__(batch, shape, prod(shape), constants)

    def __call__(self, x: Tensor) -> Tensor:
        expect("affine", x, self.shape)
        x = self.factor * x
        return x + self.constants[0].to(x.dtype) if self.constants else x

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and  v -> factor v."""
        return self(x), lambda v: self.factor * v


@dataclass(frozen=True)
class Units:
    """From y as it was given to y of signals in model units: (y - zero) / gain.

    Attributes:
        zero: what is measured of a signal that is 0 in model units.
        gain: how long the rows are.
    """

    zero: Tensor
    gain: float

    def __call__(self, y: Tensor) -> Tensor:
        """y (N, ...) in data units; float32 of the operator's shape in model units."""
        return ((y.reshape(-1, *self.zero.shape) - self.zero) / self.gain).float()


def adopted(given: Any, shape: tuple[int, ...]) -> Measurement:
    """The operator of one example that somebody hands over.

    Args:
        given: a matrix (M, D); one of these operators; a linear physics as deepinv has them (`A`
            and `A_adjoint`, where they are linear and each other's adjoint); or a function of
            signals (b, C, *size) that autograd can differentiate, of which it is tried whether it
            is linear.
        shape: of one signal, (C, *size) of D numbers.

    Raises:
        UserError: it is none of them, does not fit such signals, or adds noise.
    """
    if isinstance(given, np.ndarray | Tensor):
        return Projection(torch.as_tensor(given, dtype=torch.float32), 1)
    if all(hasattr(given, name) for name in ("vjp", "count", "shape", "linear")):
        return for_many(given, 1)
    fn: Any = getattr(given, "A", given)  # calling a physics would add its noise
    known, paired = callable(fn), callable(getattr(given, "A_adjoint", None))
    if not known:
        raise UserError(
            f"operator: {type(given).__name__} is none; give a rule, a matrix, a physics with A "
            "and A_adjoint, or a function of a tensor of signals"
        )
    if paired:
        physics = from_physics(given, shape, 1)
        if _is_linear(physics, shape) and _is_adjoint(physics, shape):
            return physics
    A = Function(fn, shape, 1)
    A.linear = _is_linear(A, shape)
    return A


def _probes(A: Measurement, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    drawn = Noise(0, "linear").at(torch.arange(4, device=A.count.device))
    u, v = drawn.normal((2, *shape)).float().unbind(1)
    return u, v


def _is_linear(A: Measurement, shape: tuple[int, ...]) -> bool:
    """Whether A(u + 2 v) = A(u) + 2 A(v) and A(0) = 0, at random signals.

    Raises:
        UserError: it gives other numbers every time.
    """
    u, v = _probes(A, shape)
    try:
        with torch.no_grad():
            together, apart, again = A(u + 2 * v), A(u) + 2 * A(v), A(u + 2 * v)
            nothing = A(torch.zeros_like(u))
    except UserError:  # it may not be made for any number
        return False
    if not torch.allclose(together, again, rtol=1e-3, equal_nan=True):
        raise UserError("the operator returns other numbers every time; leave its noise out")
    size = LINEAR * together.abs().max()
    return bool(((together - apart).abs().max() <= size) & (nothing.abs().max() <= size))


def _is_adjoint(A: Measurement, shape: tuple[int, ...]) -> bool:
    """Whether <A u, w> = <u, A^T w>; some know their adjoint only about."""
    u, _ = _probes(A, shape)
    y, pullback = A.vjp(u)
    w = Noise(1, "linear").at(torch.arange(4, device=A.count.device)).normal(A.shape).float()
    there, back = (y * w).flatten(1).sum(1), (u * pullback(w)).flatten(1).sum(1)
    size = LINEAR * y.flatten(1).norm(dim=1) * w.flatten(1).norm(dim=1)
    return bool(((there - back).abs() <= size).all())


def in_model_units(
    A: Measurement, shape: tuple[int, ...], unit: float, middle: float, seed: int
) -> tuple[Measurement, Units]:
    """The operator on signals in model units, and what brings its y there.

    Args:
        A: of one signal in data units.
        shape: of a signal, (C, *size).
        unit, middle: x_data = unit x + middle.
        seed: of the random signals that tell how long the rows are.

    Raises:
        UserError: what is measured is not finite, or nothing at all.
    """
    zero = A(torch.full((1, *shape), middle))[0]
    gain = unit * _length(A, shape, unit, middle, seed)
    if not (torch.isfinite(zero).all() and 0 < gain < float("inf")):
        raise UserError(
            "operator: what it measures of signals about the middle of their range is "
            f"{'nothing' if gain == 0 else 'not finite'}; check it, or say their range: data.range"
        )
    units = Units(zero, gain)
    if isinstance(A, Projection):
        return Projection(A.matrix * (unit / gain), 1), units
    if A.linear:
        return Compose(A, Affine(unit / gain, None, A.shape, 1)), units
    into = Affine(unit, torch.full(shape, middle), shape, 1)
    return Compose(into, A, Affine(1 / gain, -zero / gain, A.shape, 1)), units


def _length(A: Measurement, shape: tuple[int, ...], unit: float, middle: float, seed: int) -> float:
    """The length of a row of dA/dx, root mean square."""
    if isinstance(A, Projection):
        return float(A.matrix.double().square().sum(1).mean().sqrt())
    total = 0.0
    for rows in torch.arange(PROBES).split(BLOCK):
        x = SPREAD * unit * Noise(seed, "probes").at(rows).normal(shape).float() + middle
        w = Noise(seed, "weights").at(rows).normal(A.shape).float()
        total += float(for_many(A, len(rows)).vjp(x)[1](w).double().square().sum())
    return (total / (PROBES * max(1, prod(A.shape)))) ** 0.5


def checked(A: Measurement, name: str, measured: int, shape: tuple[int, ...]) -> None:
    """Refuse an operator that does not measure so many numbers of such signals.

    Raises:
        UserError: it measures another number, or of other signals.
    """
    needed, have = (measured, prod(shape)), [prod(A.shape), prod(shape)]
    if isinstance(A, Projection):
        have[1] = A.matrix.shape[1]
    if tuple(have) != needed:
        raise UserError(
            f"{name} is {times(have)}, but {measured} measurements of {prod(shape)} numbers "
            f"({times(shape)}) need {times(needed)}"
        )
