"""A number over seeds: its mean, how far it spreads, and which of several are better than that.

Two groups of runs are told apart where mean +- sd of the one does not meet mean +- sd of the other;
where it does, another seed may well turn them round. Of one run alone no spread is known: it counts
as none, and who marks it must say so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from abprop.report.words import number

Better = Literal["less", "more", ""]  # "": neither
Mark = Literal["best", "tie", ""]


@dataclass(frozen=True)
class Spread:
    """One number over n runs.

    Attributes:
        mean: arithmetic.
        sd: sample standard deviation (n - 1); NaN of one run.
        low, high: the least and the greatest.
        n: runs that have the number.
    """

    mean: float
    sd: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread | None:
        """Of numbers, those left out that are not finite; None where nothing is left."""
        known = [float(v) for v in values if math.isfinite(v)]
        n = len(known)
        if not n:
            return None
        mean = math.fsum(known) / n
        sd = math.sqrt(math.fsum((v - mean) ** 2 for v in known) / (n - 1)) if n > 1 else math.nan
        return cls(mean, sd, min(known), max(known), n)

    @property
    def middle(self) -> str:
        """ "0.0470", the mean with as many decimals as its deviation."""
        return self._like(self.mean)

    @property
    def width(self) -> str:
        """ "± 0.0012", the deviation with two digits; "" of one run, or where all are alike."""
        return f"± {self._like(self.sd)}" if self.sd > 0 else ""

    @property
    def said(self) -> str:
        """ "0.0470 ± 0.0012"."""
        return f"{self.middle} {self.width}".rstrip()

    @property
    def ends(self) -> str:
        """ "0.0455–0.0481"; "" of one run, or where all are alike."""
        return f"{self._like(self.low)}–{self._like(self.high)}" if self.sd > 0 else ""

    def _like(self, value: float) -> str:
        """A number with as many decimals as its deviation asks for."""
        if not self.sd > 0:
            return number(value)
        decimals = min(9, max(0, 1 - math.floor(math.log10(self.sd))))
        return f"{value:,.{decimals}f}".replace("-", "−")


def apart(a: Spread, b: Spread) -> bool:
    """Whether mean +- sd of the two do not meet."""
    widths = sum(s.sd for s in (a, b) if s.n > 1)
    return abs(a.mean - b.mean) > widths


def marks(found: Sequence[Spread | None], better: Better) -> list[Mark]:
    """The best of several, and those that cannot be told from it; nothing where all are one.

    Args:
        found: a number of each group, None where it has none.
        better: whether less of it is, or more.
    """
    known = [one for one in found if one is not None]
    if not better or len(known) < 2:
        return [""] * len(found)
    best = (min if better == "less" else max)(known, key=lambda one: one.mean)

    def mark(one: Spread | None) -> Mark:
        if one is None or (one is not best and apart(one, best)):
            return ""
        return "best" if one is best else "tie"

    return [mark(one) for one in found]
