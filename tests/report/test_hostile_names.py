"""Names from files, zips, tables and checkpoints: on pages they are words, on terminals letters."""

from __future__ import annotations

import json
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from outline import Outline, outline
from PIL import Image
from tiny import FACES, TABLE, Command, Done, blobs, keys, rows

NAMES = (
    "<img src=x onerror=alert(1)>",
    "\"&'</script><script>alert(1)",
    "' onmouseover='alert(1)",
    "two\nlines\r",
    "\x1b[2J\x1b]0;title\x07",
    "\u202egnp.exe",
    "zero\u200bwidth\u2028",
    "${body} $$ {0} %s \\",
    "javascript:alert(1)",
    "<!--",
    "]]><svg/onload=alert(1)>",
    "&#60;b&#62;",
)
SILENT = {"script", "iframe", "object", "embed", "link", "form", "base"}


def seen(page: Path) -> Outline:
    """A page without anything that runs or fetches."""
    text = page.read_text("utf-8")
    found = outline(text)
    assert SILENT & {tag for tag, _ in found.elements} == set()
    for _, attributes in found.elements:
        assert [name for name in attributes if name.startswith("on")] == []
        links = [attributes.get(key) or "data:" for key in ("src", "href", "action", "data")]
        assert all(link.startswith("data:") for link in links)
    assert [letter for letter in text if not letter.isprintable() and letter not in "\n\t\r"] == []
    return found


def alike(a: Outline, b: Outline) -> bool:
    """Whether two pages have the same elements with the same attributes."""
    one, other = (Counter((t, *sorted(at)) for t, at in page.elements) for page in (a, b))
    return one == other


def clean(done: Done) -> Done:
    """Nothing that it told can command a terminal."""
    assert done.code == 0, done.err
    told = (done.out + done.err).replace("\n", "")
    assert told.isprintable(), ascii(told)
    return done


def zipped(path: Path, names: list[str]) -> Path:
    """Pictures of 8x8 by their names in a zip."""
    path.parent.mkdir(parents=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name, picture in zip(names, blobs(len(names)), strict=True):
            with archive.open(f"{name}.png", "w") as file:
                Image.fromarray(picture).save(file, "PNG")
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One whose own name is hostile as well."""
    return tmp_path / "<b>\x1b[2J\u202e&\"'"


def learned(abprop: Command, source: Path, *sets: str) -> Path:
    """A run of it beside it."""
    run = source.parent / "run<i>"
    clean(abprop("fit", source, "--run", run, *keys(*sets)))
    return run


def test_pictures(folder: Path, tmp_path: Path, abprop: Command):
    plain = [f"p{i:02}" for i in range(24)]
    nasty = [f"p{i:02}{name}" for i, name in enumerate(NAMES * 2)]
    pages = []
    for path, names in ((tmp_path / "plain" / "a.zip", plain), (folder / "a.zip", nasty)):
        run = learned(abprop, zipped(path, names), *FACES, "model.latent=4", "data.hide=P.3")
        clean(abprop("recover", run, "-o", path.parent / "out"))
        inside = [p.relative_to(path.parent) for p in path.parent.rglob("*")]
        assert {p.parts[0] for p in inside} == {"a.zip", run.name, "out"}
        pages.append([seen(run / "report.html"), seen(path.parent / "out" / "recovered.html")])
    assert alike(pages[0][0], pages[1][0]) and alike(pages[0][1], pages[1][1])


def test_a_table(folder: Path, tmp_path: Path, abprop: Command):
    pages, numbers = [], np.tile(rows(24), 3)[:, : len(NAMES)]
    plain = [f"c{i}" for i in range(len(NAMES))]
    for path, names in ((tmp_path / "plain" / "a.csv", plain), (folder / "a.csv", list(NAMES))):
        path.parent.mkdir()
        cells = [["" if np.isnan(v) else repr(float(v)) for v in row] for row in numbers]
        quoted = ['"' + name.replace('"', '""') + '"' for name in names]
        named = [[quoted[i % len(names)][:-1] + f'{i}"', *row] for i, row in enumerate(cells)]
        lines = [["name", *quoted], *named]
        path.write_text("\n".join(map(",".join, lines)) + "\n", "utf-8", newline="")
        run = learned(abprop, path, *TABLE)
        clean(abprop("recover", run, "-o", path.parent / "out.csv"))
        clean(abprop("embed", run, "-o", path.parent / "z.csv"))
        clean(abprop("info", run))
        assert json.loads(clean(abprop("info", run, "--json")).out)["kind"] == "table"
        for written in ("out.csv", "z.csv"):
            text = (path.parent / written).read_text("utf-8")
            assert text.replace("\n", "").isprintable() and text.count("\n") == 25
        pages.append(seen(run / "report.html"))
    assert alike(*pages)
    assert all(name in pages[1].words for name in NAMES if name.isprintable())


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused(name: str, tmp_path: Path, abprop: Command):
    """Names that were typed, and those of what cannot be read."""
    (tmp_path / name.replace("/", "_")).write_bytes(b"?")
    for words in (
        ("info", tmp_path / name.replace("/", "_")),
        ("info", tmp_path / "none" / name),
        ("report", tmp_path / name),
        ("compare", tmp_path / name, tmp_path),
        ("keys", name),
        ("fit", "x", "--preset", name),
        ("fit", "x", "--set", name),
        ("fit", "x", "--set", f"data.kind={name}"),
        ("fit", "x", "--set", f"{name}=1"),
        ("fit", "x", "--device", name),
        ("export", tmp_path, "-o", f"{name}.onnx"),
        (f"x{name}",),
        ("fit", "x", f"--{name}"),
    ):
        complaint = abprop(*words).complaint
        assert complaint.isprintable(), words
