"""Reading ahead: the next item is made in a thread while the one before is in use."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
_END = object()


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, each begun as soon as the one before is handed over.

    What `items` raises is raised here, with its own traceback. Closing this ends the thread; the
    item that it is at is finished first.
    """
    with ThreadPoolExecutor(1, "ahead") as reader:
        coming = reader.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = reader.submit(next, items, _END)
            yield item  # type: ignore[misc]
