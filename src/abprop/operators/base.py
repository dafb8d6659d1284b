"""What every measurement offers, and what those share that treat all examples alike."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Protocol, Self, TypeVar

import torch
from torch import Tensor

from abprop.errors import UserError

Pullback = Callable[[Tensor], Tensor]
"""v -> (dA/dx)^T v, from the shape of y to the shape of x."""


class Operator(Protocol):
    """What the model asks of a measurement.

    Attributes:
        count: how many numbers of each example are measured, (B,).
        linear: whether A is linear in x. Then its pullback is the adjoint A^T, the same at every x.
    """

    count: Tensor
    linear: bool

    def __call__(self, x: Tensor) -> Tensor: ...
    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]: ...
    def __getitem__(self, rows: Tensor) -> Operator: ...
    def to(self, device: torch.device | str) -> Operator: ...


class Measurement(Operator, Protocol):
    """An operator that knows, before any signal is there, what its y look like.

    Attributes:
        shape: the shape of one example's y.
    """

    shape: tuple[int, ...]

    def __getitem__(self, rows: Tensor) -> Measurement: ...
    def to(self, device: torch.device | str) -> Measurement: ...


class Alike:
    """The operator is one and the same for all examples, so some of them take it whole.

    Args:
        batch: number of examples.
        shape: shape of one y.
        count: numbers measured of each example.
        constants: tensors that belong to the operator and move with it to another device.
        device: where the operator is; the constants must be there.
    """

    linear: bool = True

    def __init__(
        self,
        batch: int,
        shape: tuple[int, ...],
        count: int,
        constants: Sequence[Tensor] = (),
        device: torch.device | str = "cpu",
    ) -> None:
        self.shape, self.constants = shape, tuple(constants)
        self.count = torch.full((batch,), float(count), device=device)

    def __getitem__(self, rows: Tensor) -> Self:
        part = copy.copy(self)
        part.count = taken(self.count, rows)
        return part

    def to(self, device: torch.device | str) -> Self:
        """The same operator on another device."""
        moved = copy.copy(self)
        moved.count = self.count.to(device)
        moved.constants = tuple(constant.to(device) for constant in self.constants)
        return moved


def taken(values: Tensor, rows: Tensor) -> Tensor:
    """values[rows], also where the rows' numbers are on another device; stays where values are."""
    return values[rows.to(values.device) if isinstance(rows, Tensor) else rows]


T = TypeVar("T", covariant=True)


class Rows(Protocol[T]):
    """What gives an operator of some of its examples."""

    def __getitem__(self, rows: Tensor) -> T: ...


def for_many(A: Rows[T], count: int) -> T:
    """The operator of one example, for so many that are measured alike."""
    return A[torch.zeros(count, dtype=torch.int64)]


def times(shape: Sequence[int]) -> str:
    """A shape as messages print it: 3x64x64."""
    return "x".join(map(str, shape)) or "a single number"


def expect(name: str, x: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse signals of another shape than an operator was made for; broadcasting would hide it.

    Raises:
        UserError: one example of `x` has not the given shape.
    """
    if x.shape[1:] != shape:
        raise UserError(
            f"{name} was made for signals of {times(shape)} but is given {times(x.shape[1:])}; "
            "make it for the shape of what it measures"
        )
