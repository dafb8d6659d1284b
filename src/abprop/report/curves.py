"""Curves as inline SVG: matplotlib draws them, the page around gives them colours and type.

matplotlib never sees a word of the user's: it draws axes and lines, and names are put beside
these here, escaped. Of its SVG only the marks are kept (paths and tick labels), so that neither
ids nor dates nor addresses come with them.
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from abprop.report.words import number, text, tick_labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point = tuple[float, float]

_WIDTH, _HEIGHT = 460, 250  # of a drawing, in its own units
_TOP, _BOTTOM = 12, 40
_LETTER, _BOLD = 6.3, 7.2  # mean width of an 11-pixel letter
_BINS = 400  # of a longer line, the extremes of so many stretches are drawn
_NAME = 16  # letters of a name beside its line
_TINY, _HUGE = 1e-150, 1e150  # beyond these even a logarithmic axis would overflow

# Colours that stand for the page's own until the SVG is written.
_SERIES = ("#000001", "#000002", "#000003", "#000004", "#000005", "#000006")
_SOFT, _GRID = "#000007", "#000008"
_COLOURS = {colour: f"var(--s{i})" for i, colour in enumerate(_SERIES)}
_COLOURS |= {_SOFT: "var(--soft)", _GRID: "var(--line)"}

_LOOK = {
    "svg.fonttype": "none",  # letters stay letters
    "path.simplify": False,  # long lines are thinned here
    "font.size": 11,
    "lines.linewidth": 1.6,
    "lines.solid_capstyle": "round",
    "axes.autolimit_mode": "round_numbers",  # an axis ends on ticks
    "axes.ymargin": 0,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": _GRID,
    "grid.linewidth": 1,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 7,
    "ytick.major.pad": 7,
    "xtick.labelcolor": _SOFT,
    "ytick.labelcolor": _SOFT,
}
_DOT = 5.2  # across

_MARK = re.compile(r"<path [^>]*/>|<text [^>]*>[^<]*</text>")
_UNWANTED = re.compile(r' (?:clip-path|transform|id)="[^"]*"|font[^;"]*; ')
_DIGITS = re.compile(r"\d+\.\d+")


@dataclass(frozen=True)
class Curve:
    """Named series of (x, y) in one frame.

    What is not finite is a gap in its line, and so is what is not positive where log is asked for.

    Attributes:
        unit: of y, beside the title.
        series: points in the order to draw them, by name.
        log: whether y has a logarithmic axis.
        said: by name, what the legend says of a series instead of its last value.
    """

    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]
    log: bool = False
    x_label: str = "iteration"
    said: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Line:
    """A series that has something to show.

    Attributes:
        colour: its number among the page's.
        points: (n, 2), gaps nan in both.
        first: of the values, in words; `last` likewise.
    """

    name: str
    colour: int
    points: np.ndarray
    first: str
    last: str

    @property
    def seen(self) -> np.ndarray:
        """The points that are no gaps, at least one."""
        return self.points[~np.isnan(self.points[:, 1])]


def draw(curve: Curve) -> str:
    """The curve as an HTML figure: title, SVG, legend."""
    lines = list(_lines(curve))
    drawing = _drawing(curve, lines) if lines else '<p class="small">Nothing to draw yet.</p>'
    legend = "\n".join(map(_entry, lines))
    return (
        f"<figure><figcaption><h3>{text(curve.title)}"
        f'<span class="unit">{text(curve.unit)}</span></h3></figcaption>\n'
        f'{drawing}\n<ul class="legend">{legend}</ul></figure>'
    )


def _entry(line: _Line) -> str:
    value = f'<span class="value">{text(line.last)}</span>'
    return f'<li class="s{line.colour}"><i></i><b>{text(line.name)}</b>{value}</li>'


def _lines(curve: Curve) -> Iterator[_Line]:
    for index, (name, series) in enumerate(curve.series.items()):
        points = np.array([(float(x), float(y)) for x, y in series]).reshape(-1, 2)
        gaps = ~np.isfinite(points).all(1) | (curve.log & (points[:, 1] <= 0))
        if not gaps.all():
            first, last = points[~gaps, 1][[0, -1]].tolist()
            points = np.where(gaps[:, None], np.nan, _within(points, curve.log))
            end = curve.said.get(name, number(last))
            yield _Line(name, index % len(_SERIES), points, number(first), end)


def _within(points: np.ndarray, log: bool) -> np.ndarray:
    """The points as near to their places as an axis can hold."""
    points = np.where(abs(points) < _TINY, 0.0, points.clip(-_HUGE, _HUGE))
    return points.clip([-_HUGE, _TINY], None) if log else points


def _drawing(curve: Curve, lines: Sequence[_Line]) -> str:
    from matplotlib import style
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    names = [_short(line.name) for line in lines] if len(lines) > 1 else []
    right = _WIDTH - 14 - _BOLD * max(map(len, names), default=0)
    file = io.StringIO()
    with style.context(["default", _LOOK]):  # nobody's own settings, and nobody's left changed
        figure = Figure((_WIDTH / 72, _HEIGHT / 72), dpi=72, frameon=False)
        axes = figure.add_axes((0, 0, 1, 1), frame_on=False)
        _set_axes(axes, np.concatenate([line.seen for line in lines]), curve.log)
        for line in lines:
            points = _thinned(line.points)
            axes.plot(*_joined(points).T, color=_SERIES[line.colour])
            axes.plot(*_dots(points).T, color=_SERIES[line.colour], linewidth=_DOT)
        left = 12 + _LETTER * max(len(label.get_text()) for label in axes.get_yticklabels())
        across, up = (right - left) / _WIDTH, 1 - (_TOP + _BOTTOM) / _HEIGHT
        axes.set_position((left / _WIDTH, _BOTTOM / _HEIGHT, across, up))
        FigureCanvasSVG(figure).print_svg(file)
        ends = [_HEIGHT - axes.transData.transform(line.seen[-1])[1] for line in lines]
    marks = "\n".join(_marks(file.getvalue()))
    words = "\n".join(_words(curve, lines, names, _apart(ends), left, right))
    label = text(_description(curve, lines))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">\n'
        f"{marks}\n{words}\n</svg>"
    )


def _set_axes(axes: Axes, seen: np.ndarray, log: bool) -> None:
    """An x axis that ends where the data do, in whole steps where they are whole; round ys."""
    from matplotlib.ticker import Formatter, LogLocator, MaxNLocator

    class Labels(Formatter):
        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return tick_labels(values)

    class LogLabels(Formatter):
        def format_ticks(self, values: Sequence[float]) -> list[str]:
            return list(map(number, values))

    (left, low), (right, high) = seen.min(0), seen.max(0)
    margin = max(1.0, abs(left) / 10) if left == right else 0.0
    steps, whole = [1, 2, 5, 10], bool((seen[:, 0] % 1 == 0).all())
    axes.set_xlim(left - margin, right + margin)
    axes.xaxis.set_major_locator(MaxNLocator(6, steps=steps, integer=whole))
    axes.xaxis.set_major_formatter(Labels())
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=steps))
    axes.yaxis.set_major_formatter(Labels())
    if log:
        subs = (1.0, 2.0, 5.0) if high / low < 200 else (1.0,)
        axes.set_yscale("log")
        axes.set_ylim(low / 1.1, high * 1.1)
        axes.yaxis.set_major_locator(LogLocator(subs=subs, numticks=7))
        axes.yaxis.set_major_formatter(LogLabels())
        axes.minorticks_off()


def _marks(svg: str) -> Iterator[str]:
    """What matplotlib drew, in the page's colours and type, to a tenth of a unit."""
    for mark in _MARK.findall(svg):
        tag, end, label = mark.partition(">")
        tag = " ".join(_UNWANTED.sub("", tag).split()).replace(" L ", "L").replace("M ", "M")
        for colour, own in _COLOURS.items():
            tag = tag.replace(colour, own)
        tag = _DIGITS.sub(lambda digits: f"{float(digits[0]):.1f}".removesuffix(".0"), tag)
        yield tag + end + label


def _words(
    curve: Curve,
    lines: Sequence[_Line],
    names: Sequence[str],
    heights: Sequence[float],
    left: float,
    right: float,
) -> Iterator[str]:
    at = f'x="{(left + right) / 2:.1f}" y="{_HEIGHT - 6}"'
    yield f'<text {at} text-anchor="middle">{text(curve.x_label)}</text>'
    for line, name, y in zip(lines, names, heights, strict=False):
        at = f'x="{right + 7:.1f}" y="{y + 4:.1f}"'
        yield f'<text class="name s{line.colour}" {at}>{text(name)}</text>'


def _description(curve: Curve, lines: Sequence[_Line]) -> str:
    ends = (f"{line.name}: {line.first} to {line.last}" for line in lines)
    unit = f" ({curve.unit})" if curve.unit else ""
    return f"{curve.title}{unit} by {curve.x_label}. {'; '.join(ends)}."


def _short(name: str) -> str:
    return name if len(name) <= _NAME else name[: _NAME - 1] + "…"


def _apart(ends: Sequence[float]) -> list[float]:
    """Heights near the given ones, in the same order, that leave room for a line of text each."""
    bottom = _HEIGHT - _BOTTOM
    gap = min(13.0, (bottom - _TOP) / len(ends))
    order = sorted(range(len(ends)), key=lambda i: ends[i])
    places = [0.0] * len(ends)
    above = -math.inf
    for i in order:
        above = places[i] = max(ends[i], above + gap)
    below = bottom + gap
    for i in reversed(order):
        below = places[i] = min(places[i], below - gap)
    return places


# Points -----------------------------------------------------------------------------------------


def _thinned(points: np.ndarray) -> np.ndarray:
    """Lowest, highest and a gap of each stretch, in order: all one sees of a long line."""
    if len(points) <= 2 * _BINS:
        return points
    kept = {0, len(points) - 1}
    for stretch in np.array_split(np.arange(len(points)), _BINS):
        heights = points[stretch, 1]
        gaps, there = stretch[np.isnan(heights)], stretch[~np.isnan(heights)]
        kept.update(gaps[:1])
        if len(there):
            heights = points[there, 1]
            kept.update(there[[heights.argmin(), heights.argmax()]])
    return points[sorted(kept)]


def _alone(points: np.ndarray) -> np.ndarray:
    """Which points have a gap on either side, so that no line shows them."""
    there = np.pad(~np.isnan(points[:, 1]), 1)
    return there[1:-1] & ~there[:-2] & ~there[2:]


def _joined(points: np.ndarray) -> np.ndarray:
    return np.where(_alone(points)[:, None], np.nan, points)


def _dots(points: np.ndarray) -> np.ndarray:
    """Lone points and the last one, twice each and then a gap: with round ends, lines of no length.

    matplotlib's own markers would be defined once and used by an id, and a page has many curves.
    """
    shown = _alone(points)
    shown[np.flatnonzero(~np.isnan(points[:, 1]))[-1]] = True
    dots = points[shown].repeat(3, axis=0)
    dots[2::3] = np.nan
    return dots
