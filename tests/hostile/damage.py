"""What may happen to any file: cut, bits turned, bytes put in, overwritten or mistaken."""

from __future__ import annotations

import random
from collections.abc import Iterator

from hostile.whole import files

CUTS, FLIPS, BURSTS = 7, 5, 2
JUNK = bytes(range(256)) * 4


def damaged() -> Iterator[tuple[str, bytes]]:
    """Each whole file in every one of these ways."""
    whole = files()
    for (name, data), (_, other) in zip(
        whole.items(), [*[*whole.items()][1:], ("", b"")], strict=True
    ):
        stem, suffix = name.split(".")
        draw = random.Random(name)
        for i, (what, spoilt) in enumerate(_ways(data, other, draw)):
            yield f"{stem}-{what}-{i}.{suffix}", spoilt


def _ways(data: bytes, other: bytes, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    size = len(data)
    for cut in sorted({1, 8, *(size * k // CUTS for k in range(1, CUTS)), size - 1}):
        yield "cut", data[:cut]
    # Headers are where lengths are.
    for at in [draw.randrange(min(64, size)) for _ in range(FLIPS)] + [
        draw.randrange(size) for _ in range(FLIPS)
    ]:
        yield "flip", data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :]
    for _ in range(BURSTS):
        at = draw.randrange(size)
        yield "ones", data[:at] + b"\xff" * 8 + data[at + 8 :]
    yield "zeros", data[: size // 3] + bytes(size // 3) + data[2 * size // 3 :]
    yield "after", data + JUNK
    yield "before", JUNK + data
    yield "twice", data + data
    yield "mistaken", other
