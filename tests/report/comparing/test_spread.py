"""Means and spreads are exact, written with the digits they deserve; best and ties are honest."""

from __future__ import annotations

import math

import pytest

from abprop.report.comparing.spread import Spread, apart, marks


def of(*values: float) -> Spread:
    found = Spread.of(values)
    assert found is not None
    return found


def test_mean_deviation_and_ends_are_exact():
    assert of(1.0, 2.0, 6.0) == Spread(3.0, math.sqrt(7.0), 1.0, 6.0, 3)
    alone = of(2.5)
    assert (alone.mean, alone.low, alone.high, alone.n) == (2.5, 2.5, 2.5, 1)
    assert math.isnan(alone.sd)


def test_what_is_not_finite_does_not_count():
    assert of(1.0, math.nan, 3.0, math.inf) == of(1.0, 3.0)
    assert Spread.of([]) is None and Spread.of([math.nan]) is None


@pytest.mark.parametrize(
    ("values", "said", "ends"),
    [
        ((0.047, 0.0482, 0.0458), "0.0470 ± 0.0012", "0.0458–0.0482"),
        ((0.047,), "0.047", ""),
        ((7.0, 7.0), "7", ""),
        ((1000.0, 3000.0), "2,000 ± 1,414", "1,000–3,000"),
        ((-1.0, -2.0), "−1.50 ± 0.71", "−2.00–−1.00"),
    ],
)
def test_digits(values: tuple[float, ...], said: str, ends: str):
    assert (of(*values).said, of(*values).ends) == (said, ends)


def test_apart_is_when_the_bars_do_not_meet():
    low, high = of(0.9, 1.0, 1.1), of(1.2, 1.3, 1.4)  # 1 +- .1 and 1.3 +- .1
    assert apart(low, high) and not apart(low, of(1.05, 1.15, 1.25))
    assert apart(low, of(1.3)) and not apart(low, of(1.05))


def test_best_and_ties():
    found = [of(1.05, 1.15, 1.25), of(0.9, 1.0, 1.1), None, of(1.9, 2.0, 2.1)]
    assert marks(found, "less") == ["tie", "best", "", ""]
    assert marks(found, "more") == ["", "", "", "best"]
    assert marks(found, "") == [""] * 4
    assert marks([of(1.0), None], "less") == ["", ""]  # of one alone nothing is said
    assert marks([of(1.0), of(1.0)], "less") == ["best", "tie"]
