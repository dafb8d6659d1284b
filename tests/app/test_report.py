"""The report: well-formed, self-contained, small enough, whatever the names and numbers."""

from __future__ import annotations

import base64
import io
import math
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from abprop.app import charts, report
from abprop.app.charts import Curve, number, tick_labels
from abprop.app.report import Figure, Page, Table, render, write
from abprop.errors import UserError

VOID = {"meta", "img", "line", "path", "circle"}
NASTY = "</title></pre><script>alert('&\"')</script>"


class Outline(HTMLParser):
    """What a browser sees: elements with attributes, and the text; raises where unbalanced."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data):
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def outline(html: str) -> Outline:
    parser = Outline()
    parser.feed(html)
    parser.close()
    assert parser.open == []
    return parser


def noise(height: int, width: int, *channels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


def drawn(points: list[tuple[float, float]], **options) -> str:
    html = charts.draw(Curve("Loss", "nats", {"learning": points}, **options))
    outline(html)
    return html


def sample() -> Page:
    return Page(
        title="faces",
        subtitle="1,000 images",
        facts=[("latent", "100"), ("device", "cpu")],
        notes=["Held-out error turned at iteration 400."],
        curves=[
            Curve("Error", "mse", {"learning": [(0, 1.0), (10, 0.1)], "held out": [(0, 1.1)]}),
            Curve("Nothing", "", {}),
        ],
        figures=[
            Figure("Recovered", "Two draws.", noise(8, 16, 3), columns=("observed", "recovered")),
            Figure("Grey", "", noise(30, 20)),
        ],
        recipe='seed = 0\r\nname = "a"\n',
        table=Table("Baselines", ("method", "error", "n"), [("PCA", 0.05702, 300)]),
    )


def test_a_page_is_well_formed_and_says_everything():
    seen = outline(render(sample()))
    for words in (
        "faces",
        "1,000 images",
        "cpu",
        "turned at",
        "Two draws.",
        "0.05702",
        "seed = 0",
    ):
        assert words in seen.words
    assert len(seen.all("svg")) == 1
    assert "Nothing to draw yet." in seen.words
    assert "\N{REPLACEMENT CHARACTER}" not in seen.words


def test_a_bare_page_has_no_empty_sections():
    seen = outline(render(Page("faces")))
    assert {"dl", "ul", "section", "details"} & {tag for tag, _ in seen.elements} == set()


def test_a_page_fetches_nothing_and_runs_nothing():
    html = render(sample())
    seen = outline(html)
    assert "http://" not in html and "https://" not in html
    assert not seen.all("script") and not seen.all("link")
    assert all(str(image["src"]).startswith("data:image/") for image in seen.all("img"))
    policy = next(meta["content"] for meta in seen.all("meta") if "http-equiv" in meta)
    assert str(policy).startswith("default-src 'none'")


def test_everything_that_is_seen_can_be_heard():
    seen = outline(render(sample()))
    assert [image["alt"] for image in seen.all("img")] == [
        "Recovered: observed, recovered",
        "Grey",
    ]
    (chart,) = seen.all("svg")
    assert chart["role"] == "img"
    label = "Error (mse) by iteration. learning: 1 to 0.1; held out: 1.1 to 1.1."
    assert chart["aria-label"] == label


def test_names_cannot_become_markup():
    page = Page(
        title=NASTY,
        subtitle=NASTY,
        facts=[(NASTY, NASTY)],
        notes=[NASTY],
        curves=[Curve(NASTY, NASTY, {NASTY: [(0, 1)], "b": [(0, 2)]}, x_label=NASTY)],
        figures=[Figure(NASTY, NASTY, noise(4, 4), columns=(NASTY,))],
        recipe=NASTY,
        table=Table(NASTY, (NASTY, NASTY), [(NASTY, NASTY)]),
    )
    seen = outline(render(page))
    assert not seen.all("script")
    assert seen.words.count(NASTY) == 19
    assert seen.all("img")[0]["alt"] == f"{NASTY}: {NASTY}"


def test_a_name_that_is_no_unicode_is_written(tmp_path: Path):
    write(tmp_path / "report.html", Page("caf\udce9\0"))
    title = "<h1>caf\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}</h1>"
    assert title in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_same_page_gives_the_same_bytes():
    assert render(sample()) == render(sample())


def embedded(html: str) -> list[Image.Image]:
    sources = (str(image["src"]) for image in outline(html).all("img"))
    return [Image.open(io.BytesIO(base64.b64decode(s.split(",")[1]))) for s in sources]


def test_pictures_arrive_unchanged():
    page = sample()
    for picture, figure in zip(embedded(render(page)), page.figures, strict=True):
        assert np.array_equal(np.asarray(picture), figure.image)


def test_a_view_of_another_array_is_a_picture():
    image = noise(12, 10, 3)[::2, ::-1]
    (picture,) = embedded(render(Page("a", figures=[Figure("f", "", image)])))
    assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize("limit", [400_000, 60_000, 20_000])
def test_a_page_keeps_to_the_limit(monkeypatch: pytest.MonkeyPatch, limit: int):
    monkeypatch.setattr(report, "LIMIT", limit)
    large = [Figure(f"noise {i}", "", noise(256, 256, 3, seed=i)) for i in range(3)]
    small = Figure("small", "", noise(8, 8))
    html = render(replace(sample(), figures=[*large, small]))
    assert len(html.encode()) <= limit
    formats = [picture.format for picture in embedded(html)]
    assert formats == ["JPEG"] * 3 + ["PNG"]
    assert "Reduced" in html


def test_pictures_that_cannot_fit_are_left_out_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report, "LIMIT", 1)
    html = render(sample())
    assert not outline(html).all("img")
    assert html.count("Left out") == 2


def test_a_panorama_wider_than_jpeg_allows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(report, "LIMIT", 30_000)
    html = render(Page("a", figures=[Figure("wide", "", noise(1, 70_000))]))
    assert len(html.encode()) <= 30_000
    assert embedded(html)[0].format == "JPEG"


@pytest.mark.parametrize(
    ("shape", "scale", "width"),
    [
        ((64, 64), None, 896),
        ((300, 300), None, 900),
        ((512, 512), None, 512),
        ((10, 2000), None, 2000),
        ((650, 130), None, 260),
        ((64, 64), 2, 128),
    ],
)
def test_a_picture_is_enlarged_to_be_read(shape, scale, width):
    html = render(Page("a", figures=[Figure("f", "", np.zeros(shape, np.uint8), scale=scale)]))
    (image,) = outline(html).all("img")
    assert image["style"] == f"width:{width}px"
    assert image["class"] == ("zoomed" if width > shape[1] else "plain")


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4)), np.zeros((4, 4, 4), np.uint8), np.zeros((0, 4), np.uint8)]
)
def test_what_is_no_picture_is_refused(image: np.ndarray):
    with pytest.raises(ValueError, match="'f' is"):
        Figure("f", "", image)


def test_a_scale_below_one_is_refused():
    with pytest.raises(ValueError, match="scale 0"):
        Figure("f", "", noise(4, 4), scale=0)


def test_write_replaces_and_leaves_nothing_behind(tmp_path: Path):
    target = tmp_path / "report.html"
    target.write_text("old")
    write(target, sample())
    assert target.read_bytes() == render(sample()).encode()
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        write(target, sample())
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["report.html"]


def test_write_names_a_folder_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match="cannot write the report"):
        write(tmp_path / "nowhere" / "report.html", sample())


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
    html = charts.draw(Curve("Loss", "", series))
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
