"""The page: well-formed, self-contained, small enough, whatever the names and numbers."""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from outline import outline
from PIL import Image

from abprop.errors import UserError
from abprop.report import Curve, Figure, Page, Table, page, render, write

NASTY = "</title></pre><script>alert('&\"')</script> $title ${body} $$ {0} %s"


def noise(height: int, width: int, *channels: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (height, width, *channels), dtype=np.uint8)


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
        tables=[Table("Baselines", ("method", "error", "n"), [("PCA", 0.05702, 300)])],
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
        tables=[Table(NASTY, (NASTY, NASTY), [(NASTY, NASTY)])],
    )
    seen = outline(render(page))
    assert not seen.all("script")
    assert seen.words.count(NASTY) == 19
    assert seen.all("img")[0]["alt"] == f"{NASTY}: {NASTY}"


def test_dark_and_paper_have_colours_of_their_own():
    """Every colour a curve asks for is defined, for light and dark; paper is printed as light."""
    html = render(sample())
    light, dark = re.findall(r":root {(.*?)}", html, re.S)
    assert "@media screen and (prefers-color-scheme: dark)" in html and "@media print" in html
    for name in set(re.findall(r"var\(--(\w+)\)", html)):
        assert f"--{name}:" in light and f"--{name}:" in dark


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
    monkeypatch.setattr(page, "LIMIT", limit)
    large = [Figure(f"noise {i}", "", noise(256, 256, 3, seed=i)) for i in range(3)]
    small = Figure("small", "", noise(8, 8))
    html = render(replace(sample(), figures=[*large, small]))
    assert len(html.encode()) <= limit
    formats = [picture.format for picture in embedded(html)]
    assert formats == ["JPEG"] * 3 + ["PNG"]
    assert "Reduced" in html


def test_pictures_that_cannot_fit_are_left_out_by_name(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "LIMIT", 1)
    html = render(sample())
    assert not outline(html).all("img")
    assert html.count("Left out") == 2


def test_a_panorama_wider_than_jpeg_allows(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page, "LIMIT", 30_000)
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
    with pytest.raises(UserError, match=r"No such file.*; make the folder that it"):
        write(tmp_path / "nowhere" / "report.html", sample())
