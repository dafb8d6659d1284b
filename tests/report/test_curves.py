"""Curves: what a reader sees of them, whatever the numbers."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outline import outline

from abprop.report import Curve, curves


def drawn(points: list[tuple[float, float]], **options) -> str:
    html = curves.draw(Curve("Loss", "nats", {"learning": points}, **options))
    outline(html)
    return html


def paths(html: str) -> list[str]:
    return re.findall(r'<path class="run" d="([^"]*)"', html)


def test_what_is_not_finite_is_a_gap():
    points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 3.0), (4, 2.0), (5, math.inf), (6, 1.0)]
    html = drawn(points)
    assert paths(html)[0].count("M") == 2
    assert html.count("<circle") == 1  # the lone last point
    assert "nan" not in html and "inf" not in html


def test_what_is_not_positive_is_a_gap_of_a_logarithmic_axis():
    assert (
        paths(drawn([(0, 1.0), (1, 0.1), (2, -1.0), (3, 0.1), (4, 0.2)], log=True))[0].count("M")
        == 2
    )
    assert "Nothing to draw yet." in drawn([(0, 0.0), (1, -1.0)], log=True)


@pytest.mark.parametrize("points", [[], [(0, math.nan)]])
def test_a_series_without_points_is_no_line(points):
    assert "Nothing to draw yet." in drawn(points)


@pytest.mark.parametrize("log", [False, True])
def test_a_single_point_is_a_dot(log: bool):
    html = drawn([(400, 0.25)], log=log)
    assert html.count("<circle") == 1 and paths(html) == []


def test_a_long_line_is_thinned_but_keeps_its_spikes():
    points = [(float(i), 0.0) for i in range(100_000)]
    points[31_415] = (31_415.0, 9.0)
    html = drawn(points)
    assert len(html) < 30_000
    heights = {pair.split()[1] for pair in re.split("[ML]", paths(html)[0])[1:]}
    assert len(heights) == 2


def test_lines_are_named_where_they_end_and_names_keep_apart():
    series = {f"run {i}": [(0.0, 0.0), (1.0, 1.0 + i * 1e-6)] for i in range(9)}
    html = curves.draw(Curve("Loss", "", series))
    found = re.findall(r'<text class="name s\d" x="[\d.]+" y="([\d.]+)">run (\d)<', html)
    heights = sorted(float(y) for y, _ in found)
    assert len(found) == 9
    assert min(np.diff(heights)) >= 12.9
    assert heights[0] > 0 and heights[-1] < 215


EXTREMES = [0.0, 5e-324, 1e-300, -1e308, 1e308, 1e6, 1e6 + 1e-9, -3.0, 0.1 + 0.2]


@pytest.mark.parametrize("log", [False, True])
@given(values=st.lists(st.sampled_from(EXTREMES) | st.floats(), min_size=1, max_size=6))
def test_any_numbers_are_drawn_inside_the_frame(log: bool, values: list[float]):
    html = drawn([(0, 1.0), *enumerate(values), *((v, 1.0) for v in values)], log=log)
    for path in paths(html):
        pairs = [pair.split() for pair in re.split("[ML]", path)[1:]]
        assert all(0 <= float(x) <= 460 and 0 <= float(y) <= 250 for x, y in pairs)
    assert 4 <= html.count('class="grid"') <= 30


def labels(html: str) -> list[str]:
    return re.findall(r'text-anchor="(?:end|middle)">([^<]*)</text>', html)


def test_axes_have_round_numbers():
    html = drawn([(0, 0.013), (1196, 0.112)])
    assert labels(html)[:7] == ["0", "0.02", "0.04", "0.06", "0.08", "0.10", "0.12"]
    assert labels(html)[7:] == ["0", "200", "400", "600", "800", "1,000", "iteration"]


def test_iterations_are_whole_and_decades_are_powers():
    html = drawn([(0, 1e-6), (2, 3.0)], log=True)
    assert labels(html) == [
        *("10⁻⁶", "0.0001", "0.01", "1", "100"),
        *("0", "1", "2", "iteration"),
    ]
