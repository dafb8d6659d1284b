"""What is worth a word about the columns of a table before it is learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abprop.say import plain

SQUEEZED = 50  # a range of so many interquartile ranges leaves the bulk a fiftieth of [-1, 1]
EXACT = 1 << 24  # float32 holds every whole number up to here
_NAMED = 5


def remarks(values: np.ndarray, hidden: np.ndarray | None, columns: Sequence[str]) -> str:
    """Columns that nothing or too little can be learned of; "" if there are none.

    Args:
        values: (N, C), NaN where missing.
        hidden: bool (N, C), what must not be looked at; None for nothing.
        columns: their names.
    """
    empty, constant, squeezed = [], [], []
    for c, name in enumerate(columns):
        column = values[:, c] if hidden is None else values[~hidden[:, c], c]
        column = column[~np.isnan(column)] if column.dtype.kind == "f" else column
        if not len(column):
            empty.append(name)
        elif len(column) > 1 and column.min() == column.max():
            constant.append(name)
        elif _is_squeezed(column):
            squeezed.append(name)
    parts = (
        _said(empty, "{} never observed: what is filled in there is invented", "was", "were"),
        _said(constant, "{} constant: nothing is learned there", "is", "are"),
        _said(
            squeezed,
            f"{{}} a range of more than {SQUEEZED} times the middle half, which is squeezed by it: "
            "mend or empty the outlying cells",
            "has", "have",
        ),
    )  # fmt: skip
    return "; ".join(filter(None, parts))


def loss(values: np.ndarray, columns: Sequence[str]) -> str:
    """Columns of whole numbers too large for float32, before they become it."""
    if values.dtype.kind != "f" or values.dtype.itemsize <= 4:
        return ""
    with np.errstate(over="ignore"):
        large = (np.abs(values) > EXACT) & (values == np.rint(values))
        lost = (large & (values.astype(np.float32) != values)).any(0)
    names = [name for name, is_lost in zip(columns, lost.tolist(), strict=True) if is_lost]
    return _said(
        names, "{} whole numbers beyond 2^24, which float32 rounds: subtract an offset",
        "holds", "hold",
    )  # fmt: skip


def _is_squeezed(column: np.ndarray) -> bool:
    low, high = np.quantile(column.astype(np.float64), (0.25, 0.75))
    return bool(high > low and np.ptp(column.astype(np.float64)) > SQUEEZED * (high - low))


def _said(names: Sequence[str], words: str, one: str, several: str) -> str:
    if not names:
        return ""
    told = ", ".join(f"'{plain(name)}'" for name in names[:_NAMED])
    told += ", ..." if len(names) > _NAMED else ""
    return words.format(f"column {told} {one}" if len(names) == 1 else f"columns {told} {several}")
