"""A run on one page: facts, curves, pictures, the recipe.

The page is one file that still works as a mail attachment in ten years: pictures, sounds
and videos are data URIs, curves inline SVG; it has no script and fetches nothing. The same page
always gives the same bytes.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np

from abprop.checkpoint import write_text
from abprop.report.curves import Curve, draw
from abprop.report.words import number, text

LIMIT = 10_000_000  # bytes of the whole page
SCREEN = 256  # CSS pixels of a video's height

_POLICY = "default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture with its words.

    Attributes:
        title: a few words, also the text for those who cannot see it.
        caption: what to look at, in a sentence or two.
        image: uint8, (H, W, 3) or (H, W).
        columns: headings of equally wide columns of the picture, left to right.
        rows: names of equally high rows of it, from the top.
        scale: CSS pixels per picture pixel; None picks one that is about 600 to 900 wide.
        sound: a file of a sound to play, FLAC, or b"" for none.
        video: a file of a video to play, MP4, or b"" for none.

    Raises:
        ValueError: the image has another shape or type, or the scale is below 1.
    """

    title: str
    caption: str
    image: np.ndarray
    columns: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    scale: int | None = None
    sound: bytes = b""
    video: bytes = b""

    def __post_init__(self) -> None:
        shape, dtype = self.image.shape, self.image.dtype
        colours = shape[2:] in ((), (3,))
        if dtype != np.uint8 or len(shape) not in (2, 3) or not colours or not self.image.size:
            raise ValueError(f"{self.title!r} is {dtype} {shape}, not uint8 (H, W, 3) or (H, W)")
        if self.scale is not None and self.scale < 1:
            raise ValueError(f"{self.title!r} has scale {self.scale}; give 1 or more")


@dataclass(frozen=True)
class Cell:
    """A number in words.

    Attributes:
        said: the number.
        below: what is said of it, small, in the next line.
        stands_out: whether it is bold.
    """

    said: str
    below: str = ""
    stands_out: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first cell of a row names it, numbers are aligned right.

    Attributes:
        caption: what to know of it, in a sentence or two.
        dense: whether it is set small, for many columns.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | float | Cell]]
    caption: str = ""
    dense: bool = False


@dataclass(frozen=True)
class Beside:
    """Figures side by side, as many in a row as fit, under one heading."""

    title: str
    caption: str
    figures: Sequence[Figure]


@dataclass(frozen=True)
class Page:
    """What the page says, in its order. Everything but the title may be empty.

    Attributes:
        facts: short (name, value) pairs.
        notes: plain sentences ("Held-out error turned at iteration 400.").
        first: a table to begin with.
        beside: figures of the same thing by several.
        recipe: TOML text.
    """

    title: str
    subtitle: str = ""
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    curves: Sequence[Curve] = ()
    figures: Sequence[Figure] = ()
    recipe: str = ""
    tables: Sequence[Table] = ()
    first: Table | None = None
    beside: Beside | None = None

    @property
    def pictures(self) -> list[Figure]:
        """All figures, in their order on the page."""
        return [*(self.beside.figures if self.beside else ()), *self.figures]


def write(path: Path, page: Page) -> None:
    """Write the page; a reader finds the old file or the new one, never half of one.

    Raises:
        UserError: it cannot be written; the old one is untouched.
    """
    write_text(path, render(page))


def render(page: Page) -> str:
    """The page as HTML, at most LIMIT bytes of UTF-8 (unless its words alone are more).

    Where pictures would take it over the limit, the largest in turn become JPEG, then smaller.
    """
    curves = [draw(curve) for curve in page.curves]
    words = _document(page, curves, [_JPEG] * len(page.pictures))  # the longest tag, but for data
    room = LIMIT - len(words.encode())
    return _document(page, curves, _embedded(page.pictures, room))


def _document(page: Page, curves: Sequence[str], sources: Sequence[str]) -> str:
    # A template is read once: what is put in, whatever it says, is never looked at again.
    return Template(_asset("page.html")).substitute(
        policy=_POLICY,
        title=text(page.title),
        style=_asset("style.css"),
        body="\n".join(part for part in _parts(page, curves, sources) if part),
    )


def _asset(name: str) -> str:
    return files("abprop.report").joinpath("assets", name).read_text("utf-8")


def _parts(page: Page, curves: Sequence[str], sources: Sequence[str]) -> Iterator[str]:
    subtitle = f'<p class="subtitle">{text(page.subtitle)}</p>' if page.subtitle else ""
    yield f"<header><h1>{text(page.title)}</h1>{subtitle}</header>"
    facts = (f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in page.facts)
    yield _wrapped('<dl class="facts">', facts, "</dl>")
    notes = (f"<li>{text(note)}</li>" for note in page.notes)
    yield _wrapped('<ul class="notes">', notes, "</ul>")
    yield _table(page.first) if page.first else ""
    yield _wrapped('<section><h2>Curves</h2><div class="curves">', curves, "</div></section>")
    drawn = list(map(_figure, page.pictures, sources))
    apart = len(drawn) - len(page.figures)
    yield _beside(page.beside, drawn[:apart]) if page.beside else ""
    yield _wrapped("<section><h2>Pictures</h2>", drawn[apart:], "</section>")
    yield from map(_table, page.tables)
    recipe = [f"<pre>{text(page.recipe)}</pre>"] if page.recipe else []
    yield _wrapped("<details><summary>Recipe</summary>", recipe, "</details>")


def _wrapped(before: str, parts: Iterable[str], after: str) -> str:
    inner = "\n".join(parts)
    return f"{before}\n{inner}\n{after}" if inner else ""


def _beside(beside: Beside, drawn: Sequence[str]) -> str:
    head = f"<section><h2>{text(beside.title)}</h2>{_caption(beside.caption)}"
    return _wrapped(f'{head}<div class="beside">', drawn, "</div></section>")


def _caption(words: str) -> str:
    return f'<p class="caption">{text(words)}</p>' if words else ""


def _table(table: Table) -> str:
    look = "wide dense" if table.dense else "wide"
    header = "".join(f'<th scope="col">{text(name)}</th>' for name in table.header)
    rows = "\n".join(f"<tr>{''.join(map(_cell, range(len(row)), row))}</tr>" for row in table.rows)
    return (
        f"<section><h2>{text(table.title)}</h2>{_caption(table.caption)}"
        f'<div class="{look}"><table>\n'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>"
    )


def _cell(column: int, value: str | float | Cell) -> str:
    if column == 0:
        return f'<th scope="row">{text(value)}</th>'
    if isinstance(value, Cell):
        said = f"<b>{text(value.said)}</b>" if value.stands_out else text(value.said)
        below = f'<span class="small">{text(value.below)}</span>' if value.below else ""
        return f'<td class="number">{said}{below}</td>'
    if isinstance(value, str):
        return f"<td>{text(value)}</td>"
    return f'<td class="number">{number(value)}</td>'


def _figure(figure: Figure, source: str) -> str:
    height, width = figure.image.shape[:2]
    scale = figure.scale or max(1, min(900 // width, 1600 // height))
    heads = (f"<span>{text(name)}</span>" for name in figure.columns)
    style = f'style="width:{width * scale}px"'
    kind = "zoomed" if scale > 1 and source.startswith(_PNG) else "plain"
    alt = text(": ".join(filter(None, (figure.title, ", ".join(figure.columns + figure.rows)))))
    picture = _named(figure.rows, f'<img class="{kind}" {style} alt="{alt}" src="{source}">')
    fate = "" if source.startswith(_PNG) else _REDUCED if source else _LEFT_OUT
    return "\n".join(
        (
            f"<figure><figcaption><h3>{text(figure.title)}</h3>",
            f'<p class="caption">{text(figure.caption)}{fate}</p></figcaption>',
            _wrapped(f'<div class="heads" {style} aria-hidden="true">', heads, "</div>"),
            f"{_player(figure.sound)}{_screen(figure.video)}{picture if source else ''}</figure>",
        )
    )


def _named(rows: Sequence[str], picture: str) -> str:
    names = "".join(f"<span>{text(name)}</span>" for name in rows)
    if not names:
        return picture
    return f'<div class="named"><div aria-hidden="true">{names}</div>{picture}</div>'


def _player(sound: bytes) -> str:
    if not sound:
        return ""
    return (
        f'<audio controls src="data:audio/flac;base64,{base64.b64encode(sound).decode()}">'
        "</audio>\n"
    )


def _screen(video: bytes) -> str:
    if not video:
        return ""
    data = base64.b64encode(video).decode()
    source = f"data:video/mp4;base64,{data}"
    return f'<video controls loop muted height="{SCREEN}" src="{source}"></video>\n'


_PNG, _JPEG = "data:image/png;base64,", "data:image/jpeg;base64,"
_JPEG_SIDE = 4096  # the longest side of a first JPEG; each further step halves it
_STEPS = 8
_REDUCED = " (Reduced, to keep this page small.)"
_LEFT_OUT = " (Left out, to keep this page small.)"


def _embedded(figures: Sequence[Figure], room: int) -> list[str]:
    """Data URIs that together take at most `room` characters; the last resort is an empty one."""
    sources = [_encoded(figure.image, 0) for figure in figures]
    steps = [0] * len(sources)
    while sum(map(len, sources)) > max(room, 0):
        largest = max(range(len(sources)), key=lambda i: len(sources[i]))
        steps[largest] += 1
        sources[largest] = _encoded(figures[largest].image, steps[largest])
    return sources


def _encoded(pixels: np.ndarray, step: int) -> str:
    from PIL import Image

    if step > _STEPS:
        return ""
    image, file = Image.fromarray(np.ascontiguousarray(pixels)), io.BytesIO()
    if step == 0:
        image.save(file, "PNG", optimize=True)
    else:
        shrink = max(1.0, max(image.size) / (_JPEG_SIDE >> (step - 1)))
        width, height = (max(1, round(side / shrink)) for side in image.size)
        image.resize((width, height), Image.Resampling.BOX).save(file, "JPEG", quality=85)
    return (_JPEG if step else _PNG) + base64.b64encode(file.getvalue()).decode()
