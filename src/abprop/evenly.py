"""Few of many, where few will do."""

from __future__ import annotations


def evenly(n: int, most: int) -> slice:
    """At most so many of n things in a row, equally far apart, the first one among them."""
    return slice(None, None, max(1, -(-n // most)))
