"""Which examples: `data.select` and `data.limit`."""

from __future__ import annotations

import numpy as np

from abprop.errors import UserError
from abprop.grammar import parse_selection


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
        try:
            parts = parse_selection(select)
        except UserError as error:
            raise UserError(f"data.select={error}") from None
        positions = np.concatenate([_taken(part, positions, where) for part in parts])
        if len(np.unique(positions)) < len(positions):
            raise UserError(f"data.select={str(select)!r} chooses an example twice")
    if not len(positions):
        raise UserError(f"data.select={str(select)!r} is empty: {where} has {count} examples")
    return positions if limit is None else positions[: _whole(limit)]


def _taken(part: int | slice, positions: np.ndarray, where: str) -> np.ndarray:
    if isinstance(part, slice):
        return positions[part]
    if not -len(positions) <= part < len(positions):
        raise UserError(
            f"data.select: no example {part} in {where}; they go from 0 to {len(positions) - 1}"
        )
    return positions[[part]]


def _whole(limit: int | str) -> int:
    try:
        number = int(limit)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise UserError(f"data.limit={limit!r} is not a whole number of at least 1")
    return number
