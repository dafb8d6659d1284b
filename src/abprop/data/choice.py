"""Which examples: `data.select` and `data.limit`; and `data.range`."""

from __future__ import annotations

import math
import re

import numpy as np

from abprop.errors import UserError

_PART = re.compile(r"(-?\d{1,15})?(:(-?\d{1,15})?)?(:([1-9]\d{0,14})?)?")


def chosen(select: str | int | None, limit: int | str | None, count: int, where: str) -> np.ndarray:
    """Positions of the examples to use, int64, in the order asked for.

    Args:
        select: None for all, or numbers and slices between commas: "0:300", "3,17,42", "-50:".
        limit: at most so many.
        count: how many there are.
        where: the source, quoted.

    Raises:
        UserError: not understood, out of range, chosen twice, or nothing chosen.
    """
    positions = np.arange(count)
    if select is not None:
        parts = [_part(part.strip(), positions, where) for part in str(select).split(",")]
        positions = np.concatenate(parts)
        if len(np.unique(positions)) < len(positions):
            raise UserError(f"data.select={str(select)!r} chooses an example twice")
    if not len(positions):
        raise UserError(f"data.select={str(select)!r} is empty: {where} has {count} examples")
    return positions if limit is None else positions[: _whole(limit)]


def _part(part: str, positions: np.ndarray, where: str) -> np.ndarray:
    match = _PART.fullmatch(part)
    if not part or match is None:
        raise UserError(f"data.select: {part!r} is no example or range; write 0:300 or 3,17,42")
    first, colon, last, _, step = (match[group] for group in (1, 2, 3, 4, 5))
    if colon is not None:
        return positions[_int(first) : _int(last) : _int(step)]
    index = int(first)
    if not -len(positions) <= index < len(positions):
        raise UserError(
            f"data.select: no example {index} in {where}; they go from 0 to {len(positions) - 1}"
        )
    return positions[[index]]


def _int(text: str | None) -> int | None:
    return int(text) if text else None


def _whole(limit: int | str) -> int:
    try:
        number = int(limit)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise UserError(f"data.limit={limit!r} is not a whole number of at least 1")
    return number


def parse_range(text: str | tuple[float, float] | None) -> tuple[float, float] | None:
    """(low, high) of "low:high" or of a pair; None stays None.

    Raises:
        UserError: not two finite numbers with low < high.
    """
    if text is None:
        return None
    try:
        low, high = map(float, text.split(":") if isinstance(text, str) else text)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise UserError(f"data.range={text!r} is not low:high with low < high, such as 0:1")
    return low, high
