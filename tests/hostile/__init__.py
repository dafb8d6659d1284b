"""Malformed and hostile files of every kind that is read, made by code: the same ones each time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from hostile.archives import archives
from hostile.damage import damaged
from hostile.numbers import numbers
from hostile.pictures import pictures
from hostile.recipes import recipes
from hostile.sounds import sounds
from hostile.videos import videos

SETS = {
    "damaged": damaged,
    "pictures": pictures,
    "sounds": sounds,
    "videos": videos,
    "numbers": numbers,
    "archives": archives,
    "recipes": recipes,
}


def corpus() -> Iterator[tuple[str, bytes]]:
    """(file name, contents) of each; no two have one name."""
    return chain.from_iterable(made() for made in SETS.values())
