"""What was measured of a signal: y = A(x) + noise, one operator per example if need be.

    A(x)          the measurement, shape (B, ...)
    A.vjp(x)      the measurement and the map  v -> (dA/dx)^T v
    A.count       how many numbers of each example were measured, (B,)
    A[rows]       the operator of some of the batch's examples

A mask is no special case: it is the operator x -> m * x with one m per example.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Protocol

import torch
from torch import Tensor

from abprop.errors import UserError


class Operator(Protocol):
    """What the model asks of a measurement."""

    count: Tensor

    def __call__(self, x: Tensor) -> Tensor: ...
    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]: ...
    def __getitem__(self, rows: Tensor) -> Operator: ...
    def to(self, device: torch.device | str) -> Operator: ...


class Identity:
    """Everything is observed: A(x) = x.

    Args:
        batch: number of examples.
        shape: shape of one signal, (C, *size).
    """

    def __init__(self, batch: int, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.count = torch.full((batch,), float(prod(shape)))

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """x and the identity."""
        return x, lambda v: v

    def __getitem__(self, rows: Tensor) -> Identity:
        return Identity(len(self.count[rows]), self.shape).to(self.count.device)

    def to(self, device: torch.device | str) -> Identity:
        """Itself on another device."""
        self.count = self.count.to(device)
        return self


class Mask:
    """Some entries are hidden: A(x) = x where observed, 0 where hidden.

    Args:
        hidden: bool (B, C, *size), True where nothing was observed (the inpainting convention).

    Raises:
        UserError: `hidden` is not boolean.
    """

    def __init__(self, hidden: Tensor) -> None:
        if hidden.dtype != torch.bool:
            raise UserError(f"mask: expected booleans (True = hidden), got {hidden.dtype}")
        self.hidden = hidden
        self.count = (~hidden).flatten(1).sum(1).float()

    def __call__(self, x: Tensor) -> Tensor:
        # where, not a product: NaN and inf behind the mask must not leak.
        return torch.where(self.hidden, torch.zeros((), dtype=x.dtype, device=x.device), x)

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """A is its own adjoint."""
        return self(x), self

    def __getitem__(self, rows: Tensor) -> Mask:
        return Mask(self.hidden[rows])

    def to(self, device: torch.device | str) -> Mask:
        """Itself on another device."""
        return Mask(self.hidden.to(device))


def observe(y: Tensor, hidden: Tensor | None) -> tuple[Tensor, Operator]:
    """A batch's observation and operator from signals and what is hidden of them.

    Args:
        y: signals (B, C, *size); anything at all behind the mask.
        hidden: bool (B, C, *size) or (B, 1, *size), or None when everything is observed.

    Returns:
        y with 0 behind the mask, and the operator.
    """
    if hidden is None:
        return y, Identity(len(y), tuple(y.shape[1:]))
    A = Mask(hidden.expand_as(y))
    return A(y), A
