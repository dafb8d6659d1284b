"""What is worth a word about the columns of a table before it is learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from abprop.say import plain

SQUEEZED = 50  # a range of so many interquartile ranges leaves the bulk a fiftieth of [-1, 1]
EXACT = 1 << 24  # float32 holds every whole number up to here
_NAMED = 5
_NUMBERS = 1 << 20  # looked at together


def remarks(values: np.ndarray, hidden: np.ndarray | None, columns: Sequence[str]) -> str:
    """Columns that nothing or too little can be learned of; "" if there are none.

    Args:
        values: (N, C), NaN where missing.
        hidden: bool (N, C), what must not be looked at; None for nothing.
        columns: their names.
    """
    width = max(1, _NUMBERS // len(values))
    blocks = (np.s_[:, c : c + width] for c in range(0, len(columns), width))
    found = [_looked_at(values[b], None if hidden is None else hidden[b]) for b in blocks]
    empty, constant, squeezed = (
        [columns[int(c)] for c in np.concatenate(which).nonzero()[0]]
        for which in zip(*found, strict=True)
    )
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


def _looked_at(
    values: np.ndarray, hidden: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which columns are empty, which constant, which squeezed: bool (C,) each."""
    known = values.astype(np.float64)
    if hidden is not None:
        known[hidden] = np.nan
    known.sort(0)  # what is missing comes last
    count = np.sum(~np.isnan(known), 0)
    last = np.maximum(count - 1, 0)

    def quantile(share: float) -> np.ndarray:
        below = np.floor(share * last).astype(np.int64)
        low, high = (_rows(known, np.minimum(below + more, last)) for more in (0, 1))
        return low + (high - low) * (share * last - below)

    low, high, middle = known[0], _rows(known, last), quantile(0.75) - quantile(0.25)
    constant = (count > 1) & (low == high)
    squeezed = (middle > 0) & (high - low > SQUEEZED * middle) & ~constant
    return count == 0, constant, squeezed


def _rows(values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of each column the number in a row of its own."""
    return np.take_along_axis(values, rows[None], 0)[0]


def _said(names: Sequence[str], words: str, one: str, several: str) -> str:
    if not names:
        return ""
    told = ", ".join(f"'{plain(name)}'" for name in names[:_NAMED])
    told += ", ..." if len(names) > _NAMED else ""
    return words.format(f"column {told} {one}" if len(names) == 1 else f"columns {told} {several}")
