"""A run on one page: facts, curves, pictures, the recipe.

The page is one file that still works as a mail attachment in ten years: pictures are data URIs,
curves inline SVG; it has no script and fetches nothing. The same page always gives the same bytes.
"""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abprop.app.charts import Curve, draw, number, text
from abprop.errors import UserError

LIMIT = 10_000_000  # bytes of the whole page

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

# Series colours after Okabe and Ito, which colour-blind readers tell apart; lighter in the dark.
_STYLE = """
:root{--page:#fff;--ink:#1b1b1f;--soft:#62626b;--line:#dcdce1;--wash:#f6f6f8;
--s0:#0072b2;--s1:#d55e00;--s2:#009e73;--s3:#b5558f;--s4:#b07d00;--s5:#4a4a55}
@media screen and (prefers-color-scheme:dark){:root{--page:#16161a;--ink:#e7e7ea;--soft:#9d9da8;
--line:#35353d;--wash:#1f1f25;--s0:#56b4e9;--s1:#f08a3c;--s2:#2cc79a;--s3:#e08fc0;--s4:#f0c648;--s5:#c9c9d2}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1000px;margin:0 auto;padding:48px 24px 72px}
h1{font-size:30px;line-height:1.2;font-weight:650;letter-spacing:-.015em;margin:0}
h2{font-size:20px;font-weight:650;margin:56px 0 16px;padding-top:14px;
border-top:1px solid var(--line)}
h3{font-size:16px;font-weight:600;margin:0}
h1,h2,h3,p,li,dd{overflow-wrap:anywhere}
.subtitle,.caption,.unit,.small,dt{color:var(--soft)}
.subtitle{font-size:18px;margin:6px 0 0}
.facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:18px 28px;
margin:36px 0 0}
dt,.unit,.small,.legend,.heads{font-size:13px}
dd{margin:0;font-variant-numeric:tabular-nums}
.notes{list-style:none;margin:32px 0 0;padding:2px 0 2px 16px;max-width:70ch;
border-left:3px solid var(--s0)}
.notes li+li{margin-top:6px}
.curves{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,340px),1fr));
gap:36px 40px}
.curves figure{max-width:560px}
figure{margin:0;break-inside:avoid;min-width:0}
section>figure+figure{margin-top:44px}
.unit{font-weight:400;margin-left:.5em}
.caption{margin:2px 0 12px;max-width:70ch}
.heads{display:grid;grid-auto-columns:1fr;grid-auto-flow:column;text-align:center;max-width:100%;margin-bottom:4px}
img{display:block;max-width:100%;height:auto}
.zoomed{image-rendering:pixelated}
svg{display:block;width:100%;height:auto;margin-top:6px;overflow:visible}
svg text{font:11px system-ui,sans-serif;fill:var(--soft);font-variant-numeric:tabular-nums}
svg .name{fill:currentColor;font-weight:600}
.grid{stroke:var(--line);stroke-width:1;shape-rendering:crispEdges}
.run{fill:none;stroke:currentColor;stroke-width:1.6;stroke-linejoin:round;stroke-linecap:round}
.dot{fill:currentColor}
.legend{display:flex;flex-wrap:wrap;gap:2px 18px;list-style:none;margin:6px 0 0;padding:0}
.legend:empty{display:none}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;background:currentColor;
margin-right:6px;vertical-align:middle;print-color-adjust:exact;-webkit-print-color-adjust:exact}
.legend b{font-weight:400;color:var(--ink);overflow-wrap:anywhere}
.value{color:var(--soft);margin-left:.5em;font-variant-numeric:tabular-nums}
.s0{color:var(--s0)}.s1{color:var(--s1)}.s2{color:var(--s2)}.s3{color:var(--s3)}.s4{color:var(--s4)}.s5{color:var(--s5)}
.wide{overflow-x:auto}
table{border-collapse:collapse;font-size:15px;font-variant-numeric:tabular-nums}
th,td{padding:6px 28px 6px 0;text-align:left;border-bottom:1px solid var(--line)}
thead th{font-size:13px;font-weight:400;color:var(--soft)}
tbody th{font-weight:400}
.number{text-align:right}
details{margin-top:56px;padding-top:14px;border-top:1px solid var(--line)}
summary{font-size:20px;font-weight:650;cursor:pointer}
pre{font:13px/1.55 ui-monospace,monospace;background:var(--wash);border-radius:6px;
padding:16px 20px;overflow-x:auto;white-space:pre-wrap;overflow-wrap:anywhere}
@media print{body{font-size:13px}main{max-width:none;padding:0}h2{break-after:avoid}
.curves{grid-template-columns:1fr 1fr}}
"""


@dataclass(frozen=True, eq=False)
class Figure:
    """A picture with its words.

    Attributes:
        title: a few words, also the text for those who cannot see it.
        caption: what to look at, in a sentence or two.
        image: uint8, (H, W, 3) or (H, W).
        columns: headings of equally wide columns of the picture, left to right.
        scale: CSS pixels per picture pixel; None picks one that is about 600 to 900 wide.

    Raises:
        ValueError: the image has another shape or type, or the scale is below 1.
    """

    title: str
    caption: str
    image: np.ndarray
    columns: tuple[str, ...] = ()
    scale: int | None = None

    def __post_init__(self) -> None:
        shape, dtype = self.image.shape, self.image.dtype
        colours = shape[2:] in ((), (3,))
        if dtype != np.uint8 or len(shape) not in (2, 3) or not colours or not self.image.size:
            raise ValueError(f"{self.title!r} is {dtype} {shape}, not uint8 (H, W, 3) or (H, W)")
        if self.scale is not None and self.scale < 1:
            raise ValueError(f"{self.title!r} has scale {self.scale}; give 1 or more")


@dataclass(frozen=True)
class Table:
    """Rows under a header; the first cell of a row names it, numbers are aligned right."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str | float]]


@dataclass(frozen=True)
class Page:
    """What the page says, in its order. Everything but the title may be empty.

    Attributes:
        facts: short (name, value) pairs.
        notes: plain sentences ("Held-out error turned at iteration 400.").
        recipe: TOML text.
    """

    title: str
    subtitle: str = ""
    facts: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    curves: Sequence[Curve] = ()
    figures: Sequence[Figure] = ()
    recipe: str = ""
    table: Table | None = None


def write(path: str | os.PathLike[str], page: Page) -> None:
    """Write the page; a reader finds the old file or the new one, never half of one.

    Raises:
        UserError: it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    data = render(page).encode()
    try:
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(
            f"cannot write the report {path} ({why}); free some space or make its folder writable"
        ) from error


def render(page: Page) -> str:
    """The page as HTML, at most LIMIT bytes of UTF-8 (unless its words alone are more).

    Where pictures would take it over the limit, the largest in turn become JPEG, then smaller.
    """
    words = _document(page, [_JPEG] * len(page.figures))  # the longest tag, but for the data
    room = LIMIT - len(words.encode())
    return _document(page, _embedded(page.figures, room))


def _document(page: Page, sources: Sequence[str]) -> str:
    body = "\n".join(part for part in _parts(page, sources) if part)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{text(page.title)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _parts(page: Page, sources: Sequence[str]) -> Iterator[str]:
    subtitle = f'<p class="subtitle">{text(page.subtitle)}</p>' if page.subtitle else ""
    yield f"<header><h1>{text(page.title)}</h1>{subtitle}</header>"
    facts = (f"<div><dt>{text(k)}</dt><dd>{text(v)}</dd></div>" for k, v in page.facts)
    yield _wrapped('<dl class="facts">', facts, "</dl>")
    notes = (f"<li>{text(note)}</li>" for note in page.notes)
    yield _wrapped('<ul class="notes">', notes, "</ul>")
    curves = map(draw, page.curves)
    yield _wrapped('<section><h2>Curves</h2><div class="curves">', curves, "</div></section>")
    figures = map(_figure, page.figures, sources)
    yield _wrapped("<section><h2>Pictures</h2>", figures, "</section>")
    yield _table(page.table) if page.table else ""
    recipe = [f"<pre>{text(page.recipe)}</pre>"] if page.recipe else []
    yield _wrapped("<details><summary>Recipe</summary>", recipe, "</details>")


def _wrapped(before: str, parts: Iterable[str], after: str) -> str:
    inner = "\n".join(parts)
    return f"{before}\n{inner}\n{after}" if inner else ""


def _table(table: Table) -> str:
    header = "".join(f'<th scope="col">{text(name)}</th>' for name in table.header)
    rows = "\n".join(f"<tr>{''.join(map(_cell, range(len(row)), row))}</tr>" for row in table.rows)
    return (
        f'<section><h2>{text(table.title)}</h2><div class="wide"><table>\n'
        f"<thead><tr>{header}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>"
    )


def _cell(column: int, value: str | float) -> str:
    if column == 0:
        return f'<th scope="row">{text(value)}</th>'
    if isinstance(value, str):
        return f"<td>{text(value)}</td>"
    return f'<td class="number">{number(value)}</td>'


def _figure(figure: Figure, source: str) -> str:
    height, width = figure.image.shape[:2]
    scale = figure.scale or max(1, min(900 // width, 1600 // height))
    heads = (f"<span>{text(name)}</span>" for name in figure.columns)
    style = f'style="width:{width * scale}px"'
    kind = "zoomed" if scale > 1 and source.startswith(_PNG) else "plain"
    alt = text(": ".join(filter(None, (figure.title, ", ".join(figure.columns)))))
    picture = f'<img class="{kind}" {style} alt="{alt}" src="{source}">'
    fate = "" if source.startswith(_PNG) else _REDUCED if source else _LEFT_OUT
    return "\n".join(
        (
            f"<figure><figcaption><h3>{text(figure.title)}</h3>",
            f'<p class="caption">{text(figure.caption)}{fate}</p></figcaption>',
            _wrapped(f'<div class="heads" {style} aria-hidden="true">', heads, "</div>"),
            f"{picture if source else ''}</figure>",
        )
    )


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
