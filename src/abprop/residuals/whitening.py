"""Whitening as a measurement: u_i = (e_i - w_i . e_near(i)) / sqrt(v_i), linear in the signal."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from abprop.residuals.neighbours import Field
from abprop.residuals.sparse import block_diagonal


class Whitened:
    """A(x) = B turn^T x: what was observed of each signal, made white. sigma is 1 under it.

    The same example may occur several times in a row (the chains of several draws): its weights
    are then kept, and gone through, once.

    Args:
        turn: (C, C).
        fields: one for each example.
    """

    linear = True

    def __init__(self, turn: Tensor, fields: list[Field]) -> None:
        self.turn, self.fields = turn, fields
        self.count = torch.stack([field.observed.sum() for field in fields]).float()
        self._matrices: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return self.vjp(x)[0]

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """B turn^T x and  v -> turn B^T v."""
        forward, backward = self._prepared()
        copies = len(x) // self._distinct
        turned = torch.einsum("ab,na...->nb...", self.turn, x).reshape(len(x), -1)
        shape = x.shape

        def adjoint(v: Tensor) -> Tensor:
            back = _apply(backward, v, copies).reshape(shape)
            return torch.einsum("ab,nb...->na...", self.turn, back)

        return _apply(forward, turned, copies), adjoint

    def __getitem__(self, rows: Tensor) -> Whitened:
        return Whitened(self.turn, [self.fields[row] for row in rows.cpu().tolist()])

    def to(self, device: torch.device | str) -> Whitened:
        """The same on another device."""
        moved = {id(field): field.to(device) for field in self.fields}  # copies stay one object
        return Whitened(self.turn.to(device), [moved[id(field)] for field in self.fields])

    @property
    def _distinct(self) -> int:
        """Examples with weights of their own, if each occurs equally often in a row."""
        firsts = [i for i, f in enumerate(self.fields) if i == 0 or f is not self.fields[i - 1]]
        copies = len(self.fields) // len(firsts)
        even = firsts == list(range(0, len(self.fields), copies))
        return (
            len(firsts) if even and copies * len(firsts) == len(self.fields) else len(self.fields)
        )

    def _prepared(self) -> tuple[Tensor, Tensor]:
        if self._matrices is None:
            parts = [f.whitening for f in self.fields[:: len(self.fields) // self._distinct]]
            forward, backward = zip(*parts, strict=True)
            self._matrices = block_diagonal(forward), block_diagonal(backward)
        return self._matrices


def _apply(matrix: Tensor, v: Tensor, copies: int) -> Tensor:
    """The block-diagonal matrix on each of (U copies, D)."""
    columns = v.reshape(-1, copies, v.shape[1]).movedim(1, -1).reshape(-1, copies)
    return (matrix @ columns).reshape(-1, v.shape[1], copies).movedim(-1, 1).reshape(v.shape)
