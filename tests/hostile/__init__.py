"""Malformed and hostile files of every kind that is read, made by code: the same ones each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from hostile.archives import archives
from hostile.damage import damaged
from hostile.numbers import numbers
from hostile.pictures import pictures
from hostile.recipes import recipes
from hostile.sounds import sounds
from hostile.videos import videos

# Each gives (file name, contents) of its files; no two of all have one name.
SETS: dict[str, Callable[[], Iterator[tuple[str, bytes]]]] = {
    "damaged": damaged,
    "pictures": pictures,
    "sounds": sounds,
    "videos": videos,
    "numbers": numbers,
    "archives": archives,
    "recipes": recipes,
}
