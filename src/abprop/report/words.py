"""Words and numbers on a page: escaped, and written the way people read them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from numbers import Integral

# Controls, halves of letters, and what turns a line around or hides a part of it.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def text(value: object) -> str:
    """Anything as HTML text: escaped, without the characters a page must not hold."""
    return escape(_UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", str(value)))


def number(value: float) -> str:
    """A number to read: four significant digits, grouped by thousands, or a power of ten."""
    if not math.isfinite(value) or value == 0:
        return f"{value:g}"
    if isinstance(value, Integral) and abs(value) < 10**9:
        return f"{value:,}".replace("-", "−")
    mantissa, exponent = f"{value:.3e}".split("e")
    if -4 <= int(exponent) < 6:
        digits = f"{value:,.{max(0, 3 - int(exponent))}f}"
        digits = digits.rstrip("0").rstrip(".") if "." in digits else digits
        return digits.replace("-", "−")
    mantissa = mantissa.rstrip("0").rstrip(".")
    power = "10" + str(int(exponent)).translate(_SUPERSCRIPT)
    return (power if mantissa == "1" else f"{mantissa}×{power}").replace("-", "−")


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """Evenly spaced ticks with just the digits that tell neighbours apart."""
    largest = max(map(abs, ticks))
    gap = min((b - a for a, b in pairwise(ticks)), default=largest) or 1.0
    exponent = math.floor(math.log10(largest)) if largest else 0
    shift = 0 if -4 <= exponent < 6 else exponent
    decimals = min(12, max(0, shift - math.floor(math.log10(gap) + 1e-9)))
    power = "×10" + str(shift).translate(_SUPERSCRIPT) if shift else ""
    labels = [f"{tick / 10.0**shift:,.{decimals}f}" for tick in ticks]
    return [
        "0" if not tick else label.replace("-", "−") + power
        for tick, label in zip(ticks, labels, strict=True)
    ]
