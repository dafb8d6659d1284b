"""What a hostile or hopeless file may not do: fill the memory, or put two lines in a message."""

from __future__ import annotations

from math import prod

from abprop.errors import UserError
from abprop.machine import available_memory
from abprop.say import plain

PIXELS = 89_478_485  # Pillow's limit: a quarter of a gigabyte as 24-bit colour
PIXEL_BYTES = 4  # of those; where one takes more, there may be fewer
EXAMPLES = 5_000_000  # each has a name: of more, names alone take gigabytes
FILE_BYTES = 1 << 30  # of one encoded file, or of one member of a zip once unpacked
TEXT_BYTES = 1 << 20  # of a recipe, which has some ten thousand
TRIFLE = 2**20  # bytes: to ask how much is free takes a millisecond, for each of many pictures
MEMORY_SHARE = 0.7
BATCH = 64  # examples that learning holds as float32, at the least
_REASON_LENGTH = 120


def quoted(name: object) -> str:
    """A file's name for a message: in quotes, with newlines and the like escaped."""
    return repr(str(name))


def reason(error: BaseException) -> str:
    """An exception's own words, on one line and not too many of them."""
    words = plain(" ".join(str(error).split())) or type(error).__name__
    return words if len(words) <= _REASON_LENGTH else words[: _REASON_LENGTH - 3] + "..."


def check_pixels(width: int, height: int, where: str, each: int = PIXEL_BYTES) -> None:
    """Refuse a picture whose header declares too many pixels, before anything is decoded.

    Args:
        width, height: in pixels.
        where: the picture, quoted.
        each: bytes of a pixel.

    Raises:
        UserError: more than `PIXELS` pixels, or than fit where those do.
    """
    most = PIXELS * PIXEL_BYTES // max(each, PIXEL_BYTES)
    if width * height > most:
        raise UserError(
            f"{where} declares {width}x{height} pixels, more than {most:,}; "
            f"cut it into smaller ones"
        )


def check_memory(
    count: int, shape: tuple[int, ...], itemsize: int, where: str, *, batch: int = 0
) -> None:
    """Refuse data that would take more than 70 % of the memory that is free.

    Args:
        count: number of examples.
        shape: shape of one of them.
        itemsize: bytes per number.
        where: the source, quoted.
        batch: so many of them will be float32 besides, at once.

    Raises:
        UserError: too large.
    """
    need = prod(shape) * (count * itemsize + 4 * min(count, batch))
    if need <= TRIFLE:
        return
    free = available_memory()
    if need > MEMORY_SHARE * free:
        each = "x".join(map(str, shape))
        raise UserError(
            f"{where}: {count:,} examples of {each} need {need / 1e9:.3g} GB, more than 70 % "
            f"of the {free / 1e9:.3g} GB free; set data.size, data.select or data.limit"
        )
