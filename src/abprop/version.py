"""Which abprop this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed


def version() -> str:
    """The installed version, or "0+source" for a source tree that was never installed."""
    try:
        return _installed("abprop")
    except PackageNotFoundError:
        return "0+source"
