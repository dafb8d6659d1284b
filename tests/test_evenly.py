"""Few of many: never more than asked for, from end to end."""

from __future__ import annotations

import pytest

from abprop.evenly import evenly


@pytest.mark.parametrize("most", [1, 2, 7, 128])
@pytest.mark.parametrize("n", [0, 1, 2, 6, 7, 8, 127, 128, 129, 1000])
def test_few_of_many(n: int, most: int):
    found = range(n)[evenly(n, most)]
    assert len(found) <= most and found[:1] == range(n)[:1]
    # Another one would be too many, or stand behind the last.
    assert len(found) >= min(n, (most + 1) // 2)
    assert not n or n - found[-1] <= found.step


def test_which_they_are():
    assert list(range(10)[evenly(10, 4)]) == [0, 3, 6, 9]
    assert list(range(3)[evenly(3, 9)]) == [0, 1, 2] and list(range(7)[evenly(7, 1)]) == [0]
