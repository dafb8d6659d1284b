"""What can go wrong, said in one line: what, where, and what to do about it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from abprop.say import shown

LONGEST = 80  # letters of a name that are repeated


class AbpropError(Exception):
    """Base of every error this library raises on purpose."""


class UserError(AbpropError, ValueError):
    """Something the caller can mend. The message is one line: what was wrong, where, what to do.

    Whatever names from files are in it, every terminal can print it, and no letter of it is a
    command to one.

    Attributes:
        told: whether another process says so.
        code: with which a command ends.
    """

    told = False
    code = 2

    def __init__(self, message: str) -> None:
        super().__init__(shown(" ".join(message.splitlines())))


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """The error for a misspelt name, with the nearest names first.

    Args:
        kind: what the name names ("preset", "key", "kernel").
        name: what was given.
        choices: the names that exist.
    """
    choices = sorted(choices)
    name = name if len(name) <= LONGEST else name[: LONGEST - 3] + "..."
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"choose one of: {', '.join(choices)}"
    return UserError(f"unknown {kind} {name!r}; {hint}")
