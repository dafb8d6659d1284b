"""Square sparse matrices by rows, made once for each signal and stacked as batches need them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Rows(NamedTuple):
    """A square matrix, its entries row by row.

    Attributes:
        ends: where each row begins, and the last one ends, int32 (D + 1,).
        columns: of the entries, ascending in each row, int32.
        values: of the entries.
    """

    ends: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, rows: Tensor, columns: Tensor, values: Tensor, side: int) -> Rows:
        """From a few entries of each of some rows; zeros are left out.

        Args:
            rows: which rows, ascending, int64 (n,).
            columns: of their entries, (n, most); no column twice unless its value is zero.
            values: of these entries, (n, most).
            side: D.
        """
        columns, order = columns.sort(1)
        values = values.gather(1, order)
        there = values != 0
        lengths = torch.zeros(side, dtype=torch.int32, device=values.device)
        lengths[rows] = there.sum(1, dtype=torch.int32)
        return cls(_ends(lengths), columns[there].int(), values[there])

    @property
    def transposed(self) -> Rows:
        """The transpose."""
        side = len(self.ends) - 1
        order = torch.argsort(self.columns, stable=True)
        places = torch.arange(side, dtype=torch.int32, device=self.ends.device)
        rows = places.repeat_interleave(self.ends.diff())
        lengths = torch.bincount(self.columns, minlength=side).int()
        return Rows(_ends(lengths), rows[order], self.values[order])


def block_diagonal(blocks: Sequence[Rows]) -> Tensor:
    """Matrices of one side along a diagonal, a CSR tensor."""
    side, ends, total = len(blocks[0].ends) - 1, [blocks[0].ends[:1]], 0
    for block in blocks:
        ends.append(block.ends[1:] + total)
        total += len(block.columns)
    columns = torch.cat([block.columns + i * side for i, block in enumerate(blocks)])
    size = (len(blocks) * side,) * 2
    values = torch.cat([block.values for block in blocks])
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # torch calls them beta at first use
        return torch.sparse_csr_tensor(
            torch.cat(ends), columns, values, size, check_invariants=False
        )


def _ends(lengths: Tensor) -> Tensor:
    start = torch.zeros(1, dtype=torch.int32, device=lengths.device)
    return torch.cat((start, lengths.cumsum(0, dtype=torch.int32)))
