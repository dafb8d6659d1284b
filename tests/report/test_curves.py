"""Curves: what a reader sees of them, whatever the numbers; nothing that could disturb a page."""

from __future__ import annotations

import math
import re
import sys
import warnings

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from outline import outline

from abprop.report import Curve
from abprop.report.curves import draw

NASTY = "</title></svg><script>alert('&\"')</script>"


def drawn(points: list[tuple[float, float]], **options) -> str:
    html = draw(Curve("Loss", "nats", {"learning": points}, **options))
    outline(html)
    return html


def strokes(html: str, width: str) -> list[str]:
    found = re.findall(r'<path d="([^"]*)" style="([^"]*)"', html)
    return [d for d, look in found if "var(--s" in look and f"stroke-width: {width};" in look]


def paths(html: str) -> list[str]:
    return strokes(html, "1.6")


def dots(html: str) -> int:
    return sum(d.count("M") for d in strokes(html, "5.2"))


def labels(html: str) -> list[str]:
    """Tick labels, those of x first."""
    return re.findall(r'<text style="[^"]*text-anchor: (?:end|middle)[^>]*>([^<]*)</text>', html)


def places(path: str) -> list[tuple[float, float]]:
    pairs = (pair.split() for pair in re.split("[ML]", path)[1:])
    return [(float(x), float(y)) for x, y in pairs]


def test_what_is_not_finite_is_a_gap():
    points = [(0, 1.0), (1, 2.0), (2, math.nan), (3, 3.0), (4, 2.0), (5, math.inf), (6, 1.0)]
    html = drawn(points)
    assert paths(html)[0].count("M") == 2
    assert dots(html) == 1  # the lone last point
    assert "nan" not in html and "inf" not in html


def test_what_is_not_positive_is_a_gap_of_a_logarithmic_axis():
    html = drawn([(0, 1.0), (1, 0.1), (2, -1.0), (3, 0.1), (4, 0.2)], log=True)
    assert paths(html)[0].count("M") == 2
    assert "Nothing to draw yet." in drawn([(0, 0.0), (1, -1.0)], log=True)


@pytest.mark.parametrize("points", [[], [(0, math.nan)]])
def test_a_series_without_points_is_no_line(points):
    html = drawn(points)
    assert "Nothing to draw yet." in html and "<svg" not in html and "<li" not in html


@pytest.mark.parametrize("log", [False, True])
def test_a_single_point_is_a_dot(log: bool):
    html = drawn([(400, 0.25)], log=log)
    assert dots(html) == 1 and paths(html) == []
    assert '<span class="value">0.25</span>' in html


def test_a_lone_point_between_gaps_is_a_dot():
    html = drawn([(0, 1.0), (1, 2.0), (2, math.nan), (3, 3.0), (4, math.nan), (5, 1.0), (6, 1.0)])
    assert dots(html) == 2 and paths(html)[0].count("M") == 2


def test_a_long_line_is_thinned_but_keeps_its_spikes_and_gaps():
    points = [(float(i), 0.0) for i in range(100_000)]
    points[31_415] = (31_415.0, 9.0)
    points[50_000] = (50_000.0, math.nan)
    html = drawn(points)
    assert len(html) < 30_000
    assert len({y for _, y in places(paths(html)[0])}) == 2
    assert paths(html)[0].count("M") == 2


def test_a_long_line_full_of_gaps_is_small_too():
    html = drawn([(float(i), math.nan if i % 2 else 1.0) for i in range(100_000)])
    assert len(html) < 60_000


def test_lines_are_named_where_they_end_and_names_keep_apart():
    series = {f"run {i}": [(0.0, 0.0), (1.0, 1.0 + i * 1e-6)] for i in range(9)}
    html = draw(Curve("Loss", "", series))
    found = re.findall(r'<text class="name s\d" x="[\d.]+" y="([\d.]+)">run (\d)<', html)
    heights = sorted(float(y) for y, _ in found)
    assert len(found) == 9
    assert min(np.diff(heights)) >= 12.9
    assert heights[0] > 0 and heights[-1] < 215


def test_a_name_stands_beside_the_end_of_its_line():
    html = draw(Curve("Loss", "", {"a": [(0, 0.0), (9, 1.0)], "b": [(0, 0.0), (9, 0.5)]}))
    for index, name in enumerate("ab"):
        end = places(paths(html)[index])[-1]
        x, y = re.findall(rf'class="name s{index}" x="([\d.]+)" y="([\d.]+)">{name}<', html)[0]
        assert float(x) - end[0] == pytest.approx(7, abs=0.11)
        assert float(y) - end[1] == pytest.approx(4, abs=0.11)


def test_a_legend_has_names_last_values_and_the_lines_colours():
    html = draw(Curve("Error", "mse", {"learning": [(0, 1.0), (10, 0.1)], "held out": [(0, 1.1)]}))
    assert '<li class="s0"><i></i><b>learning</b><span class="value">0.1</span></li>' in html
    assert '<li class="s1"><i></i><b>held out</b><span class="value">1.1</span></li>' in html
    (chart,) = outline(html).all("svg")
    said = "Error (mse) by iteration. learning: 1 to 0.1; held out: 1.1 to 1.1."
    assert chart["role"] == "img" and chart["aria-label"] == said


def test_the_page_gives_colours_and_type():
    """So that the dark, paper and other fonts need no other drawing."""
    html = draw(Curve("a", "", {str(i): [(0, i), (1, i)] for i in range(7)}))
    colours = re.findall(r"(?:stroke|fill): ([^;\"]*)", html)
    assert set(colours) == {"none", "var(--soft)", "var(--line)"} | {
        f"var(--s{i})" for i in range(6)
    }
    assert "font" not in html and "#" not in html


def test_nothing_can_be_confused_with_another_curve_of_the_page():
    html = drawn([(0, 1.0), (1, 2.0), (2, math.nan), (3, 1.0)])
    assert not re.search(r"\b(id|href|xmlns|url)\b|<(defs|use|style|metadata|!)|<\?xml", html)
    assert {tag for tag, _ in outline(html[html.index("<svg") :].split("<ul")[0]).elements} == {
        *("svg", "path", "text")
    }


def test_names_are_never_markup_nor_mathematics():
    names = [NASTY, "$x^", r"$\frac{a}$", "名前", "👩‍🔬", "a\nb", "", "@0", "#000001", "a\0"]
    html = draw(Curve(NASTY, NASTY, {n: [(0, 1), (1, 2)] for n in names}, x_label="$" + NASTY))
    seen = outline(html)
    assert not seen.all("script")
    assert "#000001" in seen.words and r"$\frac{a}$" in seen.words
    assert seen.words.count(NASTY) == 4  # title, unit, label, legend; beside the line it is short


def test_matplotlib_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch):
    before = dict(matplotlib.rcParams)
    plain = drawn([(0, 1.0), (1, 2.0)])
    assert dict(matplotlib.rcParams) == before
    monkeypatch.setitem(matplotlib.rcParams, "axes.grid", True)
    monkeypatch.setitem(matplotlib.rcParams, "lines.linewidth", 9.0)
    assert drawn([(0, 1.0), (1, 2.0)]) == plain  # nor do a user's own settings matter


def test_pyplot_and_its_windows_have_no_part_in_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)  # importing it would raise
    assert paths(drawn([(0, 1.0), (1, 2.0)]))


EXTREMES = [0.0, 5e-324, 1e-300, -1e308, 1e308, 1e150, 1e-150, 1e6, 1e6 + 1e-9, -3.0, 0.1 + 0.2]


@pytest.mark.parametrize("log", [False, True])
@given(values=st.lists(st.sampled_from(EXTREMES) | st.floats(), min_size=1, max_size=6))
def test_any_numbers_are_drawn_inside_the_frame(log: bool, values: list[float]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        html = drawn([(0, 1.0), *enumerate(values), *((v, 1.0) for v in values)], log=log)
    for path in (*paths(html), *strokes(html, "5.2")):
        assert all(0 <= x <= 460 and 0 <= y <= 250 for x, y in places(path))
    assert 3 <= len(labels(html)) <= 20
    assert all(re.fullmatch(r"[−\d.,×⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+", label) for label in labels(html))


@pytest.mark.parametrize("value", [0.0, -7.0, 0.25, 1e6 + 1e-9, 1e300])
def test_a_constant_is_a_level_line_between_ticks(value: float):
    html = drawn([(0, value), (10, value)])
    (a, b) = places(paths(html)[0])
    assert a[1] == b[1] and 12 < a[1] < 210


def test_what_is_too_large_to_draw_is_told():
    assert '<span class="value">10³⁰⁰</span>' in drawn([(0, 1.0), (1, 1e300)], log=True)


def test_axes_have_round_numbers():
    html = drawn([(0, 0.013), (1196, 0.112)])
    assert labels(html)[:6] == ["0", "200", "400", "600", "800", "1,000"]
    assert labels(html)[6:] == ["0", "0.05", "0.10", "0.15"]
    assert ">iteration</text>" in html


def test_ticks_say_where_they_are():
    html = drawn([(0, 0.05), (100, 0.4), (200, 0.2)])
    text = r'<text style="[^"]*text-anchor: end[^>]* y="([\d.]+)">([\d.]+)</text>'
    ticks = [(float(label), float(y)) for y, label in re.findall(text, html)]
    (low, bottom), (high, top) = ticks[0], ticks[-1]
    for value, y in zip((0.05, 0.4, 0.2), (y for _, y in places(paths(html)[0])), strict=True):
        at = bottom + (top - bottom) * (value - low) / (high - low)
        assert y == pytest.approx(at - 4, abs=0.5)  # a label's foot is below its line


def test_iterations_are_whole_and_decades_are_powers():
    html = drawn([(0, 1e-6), (2, 3.0)], log=True)
    assert labels(html)[:3] == ["0", "1", "2"]
    assert set(labels(html)[3:]) <= {"10⁻⁶", "10⁻⁵", "0.0001", "0.001", "0.01", "0.1", "1"}
    assert labels(drawn([(1, 2.0)]))[:3] == ["0", "1", "2"]


def test_a_narrow_logarithmic_axis_has_ticks():
    assert len(labels(drawn([(0, 0.31), (9, 0.44)], log=True))) >= 6
