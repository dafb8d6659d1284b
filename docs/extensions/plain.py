"""Docstrings are plain text with formulas, not reStructuredText; here they are made into it.

    `name`            code
    indented lines    shown as they are: formulas and tables
    * _ |             themselves

What stands under Args:, Returns: and the like is indented too, and left to napoleon.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from docutils import nodes

SECTIONS = ("Args", "Arguments", "Attributes", "Example", "Returns", "Raises", "Yields", "Note")
MEDIA = ("sounds", "videos")  # what raw HTML plays, beside the page that plays it


def setup(app: Any) -> dict[str, bool]:
    """Before napoleon (500), which reads the sections."""
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    app.connect("autodoc-skip-member", _skipped)
    app.connect("doctree-read", _dashes)
    app.connect("build-finished", _media)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)
    if what in ("attribute", "property") and lines:
        lines[0] = f": {lines[0]}"  # else a colon in it would end a type


def _skipped(app: Any, what: str, name: str, thing: Any, skip: bool, options: Any) -> bool | None:
    """Fields of named tuples have no docstring of their own; their class tells of them."""
    return True if type(thing).__name__ == "_tuplegetter" else None


def _dashes(app: Any, doctree: nodes.document) -> None:
    """Between a parameter's name and what it is."""
    for text in [t for f in doctree.findall(nodes.field) for t in f.findall(nodes.Text)]:
        if " -- " in text:
            text.parent.replace(text, nodes.Text(text.replace(" -- ", " – ")))


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    found: list[str] = []
    section, first, verbatim = "", False, False
    for line in lines:
        if line and not line.startswith(" "):
            section = line[:-1] if line.endswith(":") and line[:-1] in SECTIONS else ""
            first, verbatim = True, False
            found += ["", escaped(line)] if found and found[-1].startswith(" ") else [escaped(line)]
        elif section:
            if first and section in ("Returns", "Yields"):
                line = f"    : {line.strip()}"  # else a colon in it would end a type
            first = False
            if section == "Attributes":  # a space between names would make the first a type
                line = re.sub(r"^ {4}\w+(, \w+)+:", lambda m: m[0].replace(", ", "/"), line)
            found.append(escaped(line))
        else:
            if line and not verbatim:
                found += ["", "::", ""]
                verbatim = True
            found.append(line)
    return found


def escaped(line: str) -> str:
    """One line of prose, code between backticks left as it is."""
    parts = line.split("`")
    if len(parts) % 2 == 0:  # a span that ends on the next line
        return re.sub(r"([*|`])", r"\\\1", line)
    for i, part in enumerate(parts):
        parts[i] = f"``{part}``" if i % 2 else re.sub(r"([*|]|_(?!\w))", r"\\\1", part)
    return "".join(parts)


def _media(app: Any, error: Exception | None) -> None:
    if error is None and app.builder.format == "html":
        for name in MEDIA:
            shutil.copytree(Path(app.srcdir, name), Path(app.outdir, name), dirs_exist_ok=True)
