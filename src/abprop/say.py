"""What is said on the way: who takes a line, what a line may hold, and how so many are called."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]


def quiet(line: str) -> None:
    """Tell no one."""


def plain(text: str) -> str:
    """Text from a file with nothing in it that could move the cursor or turn the line around."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def shown(text: str) -> str:
    """Text for a terminal or a table: bytes that are no UTF-8 as escapes, see `plain`."""
    return plain(text.encode("utf-8", "backslashreplace").decode("utf-8"))


def counted(count: int, one: str, many: str) -> str:
    """So many of something: "1 row", "3 rows"."""
    return f"{count} {one if count == 1 else many}"
