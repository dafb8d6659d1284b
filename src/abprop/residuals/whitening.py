"""Whitening as a measurement: u_i = (e_i - w_i . e_near(i)) / sqrt(v_i), linear in the signal."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from abprop.residuals.neighbours import Field


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
        forward, backward = self._prepared(x.device)
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

    def _prepared(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._matrices is None:
            step = len(self.fields) // self._distinct
            parts = [_sparse(field) for field in self.fields[::step]]
            whole = _block_diagonal(parts, len(self.fields[0].observed), device)
            self._matrices = whole, _rows_of(whole.to_sparse_coo().T)
        return self._matrices


def _apply(matrix: Tensor, v: Tensor, copies: int) -> Tensor:
    """The block-diagonal matrix on each of (U copies, D)."""
    columns = v.reshape(-1, copies, v.shape[1]).movedim(1, -1).reshape(-1, copies)
    return (matrix @ columns).reshape(-1, v.shape[1], copies).movedim(-1, 1).reshape(v.shape)


def _sparse(field: Field) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of one example's whitening; rows of hidden entries are empty."""
    rows = field.observed.nonzero()[:, 0]
    scale = 1 / field.deviation[rows]
    columns = torch.cat((rows[:, None], field.near[rows]), 1)
    values = torch.cat((scale[:, None], -field.weight[rows] * scale[:, None]), 1)
    return rows[:, None].expand_as(columns).flatten(), columns.flatten(), values.flatten()


def _block_diagonal(
    parts: list[tuple[Tensor, Tensor, Tensor]], side: int, device: torch.device
) -> Tensor:
    rows = torch.cat([part[0] + i * side for i, part in enumerate(parts)])
    columns = torch.cat([part[1] + i * side for i, part in enumerate(parts)])
    values = torch.cat([part[2] for part in parts])
    kept = values != 0
    size = (len(parts) * side,) * 2
    where = torch.stack((rows[kept], columns[kept]))
    whole = torch.sparse_coo_tensor(
        where, values[kept], size, device=device, check_invariants=False
    )
    return _rows_of(whole)


def _rows_of(matrix: Tensor) -> Tensor:
    """A COO matrix by rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # torch calls them beta at first use
        return matrix.coalesce().to_sparse_csr()
