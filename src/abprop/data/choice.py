"""Which examples: `data.select` and `data.limit`."""

from __future__ import annotations

import numpy as np

from abprop.errors import UserError
from abprop.files.limits import EXAMPLES
from abprop.grammar import parse_selection


def chosen(select: str | int | None, limit: int | str | None, count: int, where: str) -> np.ndarray:
    """Positions of the examples to use, int64, in the order asked for.

    Args:
        select: None for all, or numbers and slices between commas: "0:300", "3,17,42", "-50:".
        limit: at most so many.
        count: how many there are.
        where: the source, quoted.

    Raises:
        UserError: not understood, out of range, chosen twice, nothing chosen, or too many.
    """
    parts = [range(count)]  # of any length: what a file tells may be anything
    if select is not None:
        try:
            told = parse_selection(select)
        except UserError as error:
            raise UserError(f"data.select={error}") from None
        parts = [_taken(part, count, where) for part in told]
    if limit is not None and len(parts) == 1:
        parts = [parts[0][: _whole(limit)]]
    many = sum(map(len, parts))
    if many > EXAMPLES:
        raise UserError(
            f"{where} has {many:,} examples, more than {EXAMPLES:,}; set data.select or data.limit"
        )
    positions = np.concatenate([np.arange(p.start, p.stop, p.step) for p in parts])
    if len(np.unique(positions)) < len(positions):
        raise UserError(f"data.select={str(select)!r} chooses an example twice")
    if not len(positions):
        raise UserError(f"data.select={str(select)!r} is empty: {where} has {count} examples")
    return positions if limit is None else positions[: _whole(limit)]


def _taken(part: int | slice, count: int, where: str) -> range:
    if isinstance(part, slice):
        return range(count)[part]
    if not -count <= part < count:
        raise UserError(f"data.select: no example {part} in {where}; they go from 0 to {count - 1}")
    return range(part % count, part % count + 1)


def _whole(limit: int | str) -> int:
    try:
        number = int(limit)
    except (TypeError, ValueError):
        number = 0
    if number < 1:
        raise UserError(f"data.limit={limit!r} is not a whole number of at least 1")
    return number
