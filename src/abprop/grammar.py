"""The small languages in which users type sizes, ranges, selections and lengths of time.

size       64x48 (width x height), or 64 for 64x64
latent     100, or CxHxW for a map
range      low:high, in the data's own units
selection  0:300, 3,17,42, -50:, or several between commas
time       90s, 10m, 1.5h or 45
every      a time or a number of iterations
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterable
from typing import NamedTuple

from abprop.errors import UserError

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}
_PART = re.compile(r"(-?\d{1,15})?(:(-?\d{1,15})?)?(:([1-9]\d{0,14})?)?", re.ASCII)


class Every(NamedTuple):
    """How often to save: one of the two is None."""

    seconds: float | None
    iterations: int | None


def parse_duration(text: str) -> float:
    """Seconds in "90s", "10m", "1.5h" or "45".

    Raises:
        UserError: it is none of these, or zero.
    """
    match = re.fullmatch(r"(\d{1,9}(?:\.\d{1,9})?)([smh]?)", text.strip(), re.ASCII)
    if not match or not float(match[1]):
        raise UserError(f"{text!r} must be a length of time, e.g. 90s, 10m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def parse_latent(text: str) -> tuple[int, ...]:
    """The latent's shape: "100" -> (100,), "16x4x4" -> (16, 4, 4).

    Raises:
        UserError: it is neither; "auto" is for the caller to resolve first.
    """
    if not re.fullmatch(r"[1-9]\d{0,8}(x[1-9]\d{0,8}){0,3}", text.strip(), re.ASCII):
        raise UserError(f"{text!r} must be a positive number or CxHxW, e.g. 100 or 16x4x4")
    return tuple(int(number) for number in text.split("x"))


def parse_every(value: str | int) -> Every:
    """ "60s" -> Every(60.0, None); 200 or "200" -> Every(None, 200).

    Raises:
        UserError: it is neither, or zero.
    """
    text = str(value).strip()
    if re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII):
        return Every(None, int(text))
    if not text or text[-1] not in "smh":
        raise UserError(f"{value!r} must be a time or a number of iterations, e.g. 60s or 200")
    return Every(parse_duration(text), None)


def parse_size(text: str | int) -> tuple[int, int]:
    """(width, height) of "64", 64 or "64x48".

    Raises:
        UserError: something else.
    """
    match = re.fullmatch(r"([1-9]\d{0,5})(?:x([1-9]\d{0,5}))?", str(text).strip(), re.ASCII)
    if match is None:
        raise UserError(f"{str(text)!r} must be WxH, e.g. 64x48, or 64 for 64x64")
    return int(match[1]), int(match[2] or match[1])


def parse_range(text: str | tuple[float, float]) -> tuple[float, float]:
    """(low, high) of "low:high" or of a pair.

    Raises:
        UserError: not two finite numbers with low < high.
    """
    try:
        low, high = map(float, text.split(":") if isinstance(text, str) else text)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise UserError(
            f"{text!r} must be low:high in the data's own units, low < high, e.g. 0:1 or -1:1"
        )
    return low, high


def parse_selection(text: str | int) -> list[int | slice]:
    """The numbers and slices of "0:300", "3,17,42" or "-50:", in the order given.

    Raises:
        UserError: a part that is neither.
    """
    return [_part(part.strip(), str(text)) for part in str(text).split(",")]


def _part(part: str, whole: str) -> int | slice:
    match = _PART.fullmatch(part)
    if not part or match is None:
        raise UserError(f"{whole!r} must be a range or a list of numbers, e.g. 0:300 or 3,17")
    first, colon, last, _, step = (match[group] for group in (1, 2, 3, 4, 5))
    if colon is None:
        return int(first)
    return slice(*(int(text) if text else None for text in (first, last, step)))


def whole(name: str, value: object, least: int) -> int:
    """A whole number given from Python or typed.

    Args:
        name: what it is called, "n (-n)".
        value: what was given.
        least: the smallest that makes sense.

    Raises:
        UserError: it is none, or too small.
    """
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise UserError(f"{name}: must be a whole number, got {value!r}")
    number = operator.index(value)  # type: ignore[arg-type]  # numpy's integers as well
    if number < least:
        raise UserError(f"{name}: must be at least {least}, got {number}")
    return number


def names(what: str, value: object) -> list[str]:
    """Names between commas, or a sequence of names.

    Raises:
        UserError: it is neither.
    """
    if isinstance(value, str):
        return [name.strip() for name in value.split(",") if name.strip()]
    if isinstance(value, Iterable):
        found = list(value)
        if all(isinstance(name, str) for name in found):
            return found
    raise UserError(f"{what}: must be names, e.g. 'mean,pca' or ['mean', 'pca'], got {value!r}")


def whole_numbers(name: str, value: object) -> list[int]:
    """Whole numbers: a sequence of them, or a text with commas.

    Raises:
        UserError: it is neither.
    """
    parts = value.split(",") if isinstance(value, str) else value
    try:
        return [int(i) if isinstance(value, str) else operator.index(i) for i in parts]  # type: ignore[union-attr]
    except (TypeError, ValueError):
        raise UserError(
            f"{name} {value}: must be numbers between commas, e.g. 3,17,42,99"
        ) from None
