"""What is said on the way: who takes a line, and how so many of something are called."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def quiet(line: str) -> None:
    """Tell no one."""


def counted(count: int, one: str, many: str) -> str:
    """So many of something: "1 row", "3 rows"."""
    return f"{count} {one if count == 1 else many}"
