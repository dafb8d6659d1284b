"""Measurements made of others.

Compose    A = A_n ... A_2 A_1,            A^T = A_1^T A_2^T ... A_n^T
Each       y_i = A_i(x_i)                  one operator per example
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.operators.base import Measurement, Pullback, taken, times


class Compose:
    """Measurements applied in order, the first one first.

    The last one says how many numbers are measured: a mask at the end hides some of them.

    Args:
        parts: at least one operator, all for the same number of examples.

    Raises:
        UserError: there is no part, or they are for different numbers of examples.
    """

    def __init__(self, *parts: Measurement) -> None:
        if not parts:
            raise UserError("compose: no operators; give at least one")
        sizes = [len(part.count) for part in parts]
        if len(set(sizes)) > 1:
            raise UserError(
                f"compose: operators for {', '.join(map(str, sizes))} examples; "
                "make all of them for the same number"
            )
        self.parts, self.linear = parts, all(part.linear for part in parts)
        self.shape, self.count = parts[-1].shape, parts[-1].count

    def __call__(self, x: Tensor) -> Tensor:
        for part in self.parts:
            x = part(x)
        return x

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and the pullbacks, the last one first."""
        pullbacks = []
        for part in self.parts:
            x, pullback = part.vjp(x)
            pullbacks.append(pullback)

        def adjoint(v: Tensor) -> Tensor:
            for pullback in reversed(pullbacks):
                v = pullback(v)
            return v

        return x, adjoint

    def __getitem__(self, rows: Tensor) -> Compose:
        return Compose(*(part[rows] for part in self.parts))

    def to(self, device: torch.device | str) -> Compose:
        """The same chain on another device."""
        return Compose(*(part.to(device) for part in self.parts))


class Each:
    """An operator of its own for every example.

    Examples are measured one by one, so this is for operators that really differ; where only the
    hidden entries do, a `Mask` is faster.

    Args:
        operators: one for each example, made for a single example, all with y of one shape.

    Raises:
        UserError: there is none, one is for several examples, or their shapes differ.
    """

    def __init__(self, operators: Sequence[Measurement]) -> None:
        if not operators:
            raise UserError("each: no operators; give one for every example")
        for row, A in enumerate(operators):
            _check_one(row, A, operators[0].shape)
        self.operators, self.shape = operators, operators[0].shape
        self.linear = all(A.linear for A in operators)
        self.count = torch.cat([A.count for A in operators])

    def __call__(self, x: Tensor) -> Tensor:
        return torch.cat([A(one) for A, one in self._pairs(x)])

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """Every example's measurement and pullback."""
        y, pullbacks = zip(*(A.vjp(one) for A, one in self._pairs(x)), strict=True)

        def adjoint(v: Tensor) -> Tensor:
            return torch.cat([p(one) for p, one in zip(pullbacks, v.split(1), strict=True)])

        return torch.cat(y), adjoint

    def __getitem__(self, rows: Tensor) -> Each:
        numbers = taken(torch.arange(len(self.operators)), rows)
        return Each([self.operators[row] for row in numbers.tolist()])

    def to(self, device: torch.device | str) -> Each:
        """The same operators on another device."""
        return Each([A.to(device) for A in self.operators])

    def _pairs(self, x: Tensor) -> list[tuple[Measurement, Tensor]]:
        if len(x) != len(self.operators):
            raise UserError(
                f"each: {len(self.operators)} operators for {len(x)} examples; give as many"
            )
        return list(zip(self.operators, x.split(1), strict=True))


def _check_one(row: int, A: Measurement, shape: tuple[int, ...]) -> None:
    if len(A.count) != 1:
        raise UserError(
            f"each: the operator of example {row} is for {len(A.count)} examples; make it for one"
        )
    if A.shape != shape:
        raise UserError(
            f"each: the operator of example {row} returns {times(A.shape)}, that of example 0 "
            f"{times(shape)}; all must return one shape (a mask can hide what was not measured)"
        )
