"""Tables of numbers: a row is an example, each column has a range of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abprop.files.arrays import is_small_picture
from abprop.kinds import columns as about
from abprop.kinds.base import Kind


class Table(Kind):
    """Rows of numbers, some of them missing."""

    name, one, many = "table", "row", "rows"
    preset, by_column = "table", True
    figures = ("columns", "rows")

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """One or two axes, unless it looks like a grey picture."""
        return len(shape) == 1 or (len(shape) == 2 and not is_small_picture(shape, dtype))

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(N, C)."""
        if values.ndim == 1:
            return values[:, None]
        return values if values.ndim == 2 else None

    def loss(self, values: np.ndarray, columns: Sequence[str]) -> str:
        """Whole numbers that float32 cannot hold."""
        return about.loss(values, columns)

    def remarks(self, values: np.ndarray, hidden: np.ndarray | None, columns: Sequence[str]) -> str:
        """Columns that are empty, constant or squeezed by an outlier."""
        return about.remarks(values, hidden, columns)
