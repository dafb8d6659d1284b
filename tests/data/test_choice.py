"""Which examples are chosen, and how many may be."""

from __future__ import annotations

import numpy as np
import pytest

from abprop.data.choice import chosen
from abprop.errors import UserError
from abprop.files.limits import EXAMPLES


@pytest.mark.parametrize(
    ("select", "limit", "rows"),
    [
        (None, None, [0, 1, 2, 3, 4]),
        (None, 2, [0, 1]),
        ("1:4", 2, [1, 2]),
        ("-1", None, [4]),
        ("3,0:2,-1", None, [3, 0, 1, 4]),
        ("3,0:2,-1", 3, [3, 0, 1]),
        ("4:0:2", 9, []),
        (2, None, [2]),
    ],
)
def test_numbers_and_ranges(select, limit, rows: list[int]):
    if not rows:
        with pytest.raises(UserError, match="is empty"):
            chosen(select, limit, 5, "'x'")
        return
    found = chosen(select, limit, 5, "'x'")
    assert found.tolist() == rows and found.dtype == np.int64


@pytest.mark.parametrize(
    ("select", "wrong"),
    [("5", "no example 5"), ("-6", "from 0 to 4"), ("1,1", "twice"), ("0:3,2", "twice")],
)
def test_what_cannot_be_chosen(select: str, wrong: str):
    with pytest.raises(UserError, match=wrong):
        chosen(select, None, 5, "'x'")


def test_more_than_can_be_named_are_refused_before_anything_is_as_long():
    assert chosen(None, 3, 2**62, "'x'").tolist() == [0, 1, 2]
    assert chosen(f"{2**40}:", 2, 2**62, "'x'").tolist() == [2**40, 2**40 + 1]
    with pytest.raises(UserError, match=f"more than {EXAMPLES:,}; set data.select or data.limit"):
        chosen(None, None, 2**62, "'x'")
    with pytest.raises(UserError, match="more than"):
        chosen(",".join(["0:"] * 9), None, EXAMPLES, "'x'")
