"""Curves as inline SVG: round numbers on the axes, names where lines end, last values below.

The page around gives the classes `s0` to `s5` their colours, for light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from abprop.report.words import number, text, tick_labels

Point = tuple[float, float]

_WIDTH, _HEIGHT = 460, 250  # of a drawing, in its own units
_TOP, _BOTTOM = 12, 40
_LETTER, _BOLD = 6.3, 7.2  # mean width of an 11-pixel letter
_COLOURS = 6
_BINS = 400  # of a longer line, the extremes of so many stretches are drawn
_NAME = 16  # letters of a name beside its line
_TINY, _HUGE = 1e-290, 1e290  # beyond these even the axis would overflow


@dataclass(frozen=True)
class Curve:
    """Named series of (x, y) in one frame.

    What is not finite is a gap in its line, and so is what is not positive where log is asked for.

    Attributes:
        unit: of y, beside the title.
        series: points in the order to draw them, by name.
        log: whether y has a logarithmic axis.
    """

    title: str
    unit: str
    series: Mapping[str, Sequence[Point]]
    log: bool = False
    x_label: str = "iteration"


@dataclass(frozen=True)
class _Axis:
    """Values between two ends placed between two positions on the paper."""

    low: float
    high: float
    ticks: Sequence[float]
    labels: Sequence[str]
    log: bool = False

    def place(self, value: float, start: float, end: float) -> float:
        scale = math.log10 if self.log else float
        low, high, at = map(scale, (self.low, self.high, value))
        return start + (end - start) * (at - low) / (high - low)


@dataclass(frozen=True)
class _Line:
    """A series that has something to show: its unbroken runs, the last point, a colour class."""

    name: str
    colour: str
    runs: Sequence[Sequence[Point]]

    @property
    def last(self) -> Point:
        return self.runs[-1][-1]


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
    name, value = text(line.name), number(line.last[1])
    return f'<li class="{line.colour}"><i></i><b>{name}</b><span class="value">{value}</span></li>'


def _lines(curve: Curve) -> Iterator[_Line]:
    for index, (name, points) in enumerate(curve.series.items()):
        if runs := _runs(points, curve.log):
            yield _Line(name, f"s{index % _COLOURS}", runs)


def _runs(points: Sequence[Point], log: bool) -> list[list[Point]]:
    """Unbroken runs of points that can be drawn."""
    runs: list[list[Point]] = [[]]
    for x, y in points:
        x, y = float(x), float(y)
        if math.isfinite(x) and math.isfinite(y) and (y > 0 or not log):
            runs[-1].append((_within(x), max(_within(y), _TINY) if log else _within(y)))
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _within(value: float) -> float:
    return 0.0 if abs(value) < _TINY else min(max(value, -_HUGE), _HUGE)


def _drawing(curve: Curve, lines: Sequence[_Line]) -> str:
    points = [point for line in lines for run in line.runs for point in run]
    xs, ys = ([point[i] for point in points] for i in (0, 1))
    x_axis = _across(min(xs), max(xs), whole=all(x.is_integer() for x in xs))
    y_axis = _log_axis(min(ys), max(ys)) if curve.log else _up(min(ys), max(ys))
    names = [_short(line.name) for line in lines] if len(lines) > 1 else []
    left = 12 + _LETTER * max(map(len, y_axis.labels))
    right = _WIDTH - 14 - _BOLD * max(map(len, names), default=0)

    def place(point: Point) -> Point:
        x, y = x_axis.place(point[0], left, right), y_axis.place(point[1], _HEIGHT - _BOTTOM, _TOP)
        return round(x, 1), round(y, 1)

    parts = [*_grid(curve, x_axis, y_axis, left, right)]
    parts += [
        _stroke(line, [list(map(place, _thinned(run))) for run in line.runs]) for line in lines
    ]
    parts += _names(lines, names, [place(line.last)[1] for line in lines], right)
    label = text(_description(curve, lines))
    inner = "\n".join(parts)
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{label}">\n{inner}\n</svg>'
    )


def _description(curve: Curve, lines: Sequence[_Line]) -> str:
    ends = (
        f"{line.name}: {number(line.runs[0][0][1])} to {number(line.last[1])}" for line in lines
    )
    unit = f" ({curve.unit})" if curve.unit else ""
    return f"{curve.title}{unit} by {curve.x_label}. {'; '.join(ends)}."


def _grid(curve: Curve, x_axis: _Axis, y_axis: _Axis, left: float, right: float) -> Iterator[str]:
    floor = _HEIGHT - _BOTTOM
    for tick, label in zip(y_axis.ticks, y_axis.labels, strict=True):
        y = y_axis.place(tick, floor, _TOP)
        yield f'<line class="grid" x1="{left:.1f}" y1="{y:.1f}" x2="{right:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{left - 7:.1f}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'
    for tick, label in zip(x_axis.ticks, x_axis.labels, strict=True):
        x = x_axis.place(tick, left, right)
        yield f'<line class="grid" x1="{x:.1f}" y1="{floor}" x2="{x:.1f}" y2="{floor + 4}"/>'
        yield f'<text x="{x:.1f}" y="{floor + 16}" text-anchor="middle">{label}</text>'
    at = f'x="{(left + right) / 2:.1f}" y="{_HEIGHT - 6}"'
    yield f'<text {at} text-anchor="middle">{text(curve.x_label)}</text>'


def _stroke(line: _Line, runs: Sequence[Sequence[Point]]) -> str:
    path = "".join("M" + "L".join(f"{x:g} {y:g}" for x, y in run) for run in runs if len(run) > 1)
    dots = {run[0] for run in runs if len(run) == 1} | {runs[-1][-1]}
    drawn = f'<path class="run" d="{path}"/>' if path else ""
    drawn += "".join(
        f'<circle class="dot" cx="{x:g}" cy="{y:g}" r="2.6"/>' for x, y in sorted(dots)
    )
    return f'<g class="{line.colour}">{drawn}</g>'


def _thinned(run: Sequence[Point]) -> Sequence[Point]:
    """Lowest and highest of each stretch, in order: all one sees of a long line."""
    if len(run) <= 2 * _BINS:
        return run
    edges = [len(run) * i // _BINS for i in range(_BINS + 1)]
    kept = {0, len(run) - 1}
    for start, end in pairwise(edges):
        kept |= {pick(range(start, end), key=lambda i: run[i][1]) for pick in (min, max)}
    return [run[i] for i in sorted(kept)]


def _names(
    lines: Sequence[_Line], names: Sequence[str], ends: Sequence[float], right: float
) -> Iterator[str]:
    for line, name, y in zip(lines, names, _apart(ends), strict=False):
        at = f'x="{right + 7:.1f}" y="{y + 4:.1f}"'
        yield f'<text class="name {line.colour}" {at}>{text(name)}</text>'


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


def _up(low: float, high: float) -> _Axis:
    """A linear axis that ends on ticks."""
    low, high = _opened(low, high)
    step = _round_step((high - low) / 5)
    count = range(math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9) + 1)
    ticks = [i * step for i in count]
    return _Axis(ticks[0], ticks[-1], ticks, tick_labels(ticks))


def _across(low: float, high: float, whole: bool) -> _Axis:
    """A linear axis that ends where the data do; whole numbers get whole ticks."""
    low, high = _opened(low, high)
    step = _round_step((high - low) / 6)
    step = max(1.0, step) if whole else step
    count = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = [i * step for i in count]
    return _Axis(low, high, ticks, tick_labels(ticks))


def _log_axis(low: float, high: float) -> _Axis:
    """A logarithmic axis that ends on ticks: powers of ten, or 1, 2, 5 where those are few."""
    low, high = (low / 1.5, high * 1.5) if low == high else (low, high)
    first, last = math.floor(math.log10(low) + 1e-9), math.ceil(math.log10(high) - 1e-9)
    stride = math.ceil((last - first) / 6)
    mantissas = (1, 2, 5) if high / low < 200 else (1,)
    decades = range(first, last + stride, stride)
    every = [mantissa * 10.0**decade for decade in decades for mantissa in mantissas]
    start = max(i for i, tick in enumerate(every) if tick <= low * (1 + 1e-9))
    end = min(i for i, tick in enumerate(every) if tick >= high * (1 - 1e-9))
    ticks = every[start : end + 1]
    return _Axis(ticks[0], ticks[-1], ticks, [number(tick) for tick in ticks], log=True)


def _opened(low: float, high: float) -> tuple[float, float]:
    """The same ends, or apart where they are too close to tell."""
    if high - low > 1e-9 * max(abs(low), abs(high)):
        return low, high
    margin = abs(low) / 10 or 1.0
    return low - margin, high + margin


def _round_step(least: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((m * power for m in (1, 2, 5) if m * power >= least * (1 - 1e-9)), 10 * power)
