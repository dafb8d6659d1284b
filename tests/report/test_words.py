"""Numbers and words for people."""

from __future__ import annotations

import math

import numpy as np
import pytest

from abprop.report import number, text
from abprop.report.words import tick_labels


def test_text_is_escaped_and_printable():
    assert text("<b>&\"'") == "&lt;b&gt;&amp;&quot;&#x27;"
    assert text("a\0\udce9\x9f") == "a" + 3 * "\N{REPLACEMENT CHARACTER}"
    assert text("\u202egnp\u2066\u200b") == "{0}gnp{0}{0}".format("\N{REPLACEMENT CHARACTER}")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (1_234_567, "1,234,567"),
        (np.int64(1_234_567), "1,234,567"),
        (-8547.2, "−8,547"),
        (0.05401, "0.05401"),
        (1200.0, "1,200"),
        (0.00012345, "0.0001234"),
        (1e-7, "10⁻⁷"),
        (-2.5e12, "−2.5×10¹²"),
        (math.nan, "nan"),
    ],
)
def test_numbers_to_read(value, words):
    assert number(value) == words


@pytest.mark.parametrize(
    ("ticks", "labels"),
    [
        ([0, 0.05, 0.1], ["0", "0.05", "0.10"]),
        ([-5, 0, 5], ["−5", "0", "5"]),
        ([0, 50_000, 100_000], ["0", "50,000", "100,000"]),
        ([0, 2e7, 4e7], ["0", "2×10⁷", "4×10⁷"]),
        ([1e-9, 1.5e-9], ["1.0×10⁻⁹", "1.5×10⁻⁹"]),
        ([1000.25, 1000.5], ["1,000.2", "1,000.5"]),
        ([7], ["7"]),
        ([0], ["0"]),
    ],
)
def test_tick_labels(ticks, labels):
    assert tick_labels(ticks) == labels
