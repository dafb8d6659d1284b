"""Who is told what is being done: something that takes a line."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def quiet(line: str) -> None:
    """Tell no one."""
