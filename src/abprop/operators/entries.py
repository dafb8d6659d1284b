"""Measurements of single entries: all of them, or those that no mask hides.

Identity    y = x
Mask        y = m * x,  m = 0 where hidden and 1 elsewhere, one m per example
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.operators.base import Alike, Measurement, Pullback, expect, taken


class Identity(Alike):
    """Everything is observed: A(x) = x.

    Args:
        batch: number of examples.
        shape: shape of one signal, (C, *size).
        device: where the signals are.
    """

    def __init__(
        self, batch: int, shape: tuple[int, ...], device: torch.device | str = "cpu"
    ) -> None:
        super().__init__(batch, shape, prod(shape), device=device)

    def __call__(self, x: Tensor) -> Tensor:
        return x

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """x and the identity."""
        return x, lambda v: v


class Mask:
    """Some entries are hidden: A(x) = x where observed, 0 where hidden.

    Args:
        hidden: bool (B, C, *size), True where nothing was observed (the inpainting convention).

    Raises:
        UserError: `hidden` is not boolean, or the signals have another shape.
    """

    linear: bool = True

    def __init__(self, hidden: Tensor) -> None:
        if hidden.dtype != torch.bool:
            raise UserError(f"mask: expected booleans (True = hidden), got {hidden.dtype}")
        self.hidden, self.shape = hidden, tuple(hidden.shape[1:])
        self.count = (~hidden).flatten(1).sum(1).float()

    def __call__(self, x: Tensor) -> Tensor:
        expect("mask", x, self.shape)
        # where, not a product: NaN and inf behind the mask must not leak.
        return torch.where(self.hidden, torch.zeros((), dtype=x.dtype, device=x.device), x)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A is its own adjoint. Here x is a generator's, so a product does; it is 30 times as fast
        as `where`, whose branches a random mask makes unpredictable."""
        expect("mask", x, self.shape)
        shown = (~self.hidden).to(x.dtype)
        return x * shown, lambda v: v * shown

    def __getitem__(self, rows: Tensor) -> Mask:
        return Mask(taken(self.hidden, rows))

    def to(self, device: torch.device | str) -> Mask:
        """The same mask on another device."""
        return Mask(self.hidden.to(device))


def observe(y: Tensor, hidden: Tensor | None) -> tuple[Tensor, Measurement]:
    """A batch's observation and operator from signals and what is hidden of them.

    Args:
        y: signals (B, C, *size); anything at all behind the mask.
        hidden: bool (B, C, *size) or (B, 1, *size), or None when everything is observed.

    Returns:
        y with 0 behind the mask, and the operator.
    """
    if hidden is None:
        return y, Identity(len(y), tuple(y.shape[1:]), y.device)
    A = Mask(hidden.expand_as(y))
    return A(y), A
