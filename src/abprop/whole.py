"""A batch as a whole, of which some rows are here and others in other processes.

    sum      f(rows of all processes) of an f that sums over rows
    gather   the rows of all processes, in the order of their ids

Whatever learns from a batch (weights, prior, metric) asks for these two and need not know where
rows lie. Here all of them are at hand; `distributed` has what asks others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

Summed = Callable[..., tuple[Tensor, ...]]


class Whole:
    """A batch that lies in one process."""

    def sum(self, f: Summed, *rows: Any) -> tuple[Tensor, ...]:
        """What f gives of all rows.

        Args:
            f: sums over the rows that it is given; all that it returns is of one dtype.
            rows: whatever `v[index]` gives rows of, of one length; those of a row's chains follow
                each other.
        """
        return f(*rows)

    def gather(self, rows: Tensor) -> Tensor:
        """All rows."""
        return rows

    def share(self, mine: int, of: int) -> float:
        """What part of all examples the batch is.

        Args:
            mine: its rows here.
            of: examples here.
        """
        return mine / of


HERE = Whole()
