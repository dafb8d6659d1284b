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

SECTIONS = ("Args", "Arguments", "Attributes", "Example", "Returns", "Raises", "Yields", "Note")
MEDIA = ("sounds", "videos")  # what raw HTML plays, beside the page that plays it


def setup(app: Any) -> dict[str, bool]:
    """Before napoleon (500), which reads the sections."""
    app.connect("autodoc-process-docstring", _docstring, priority=400)
    app.connect("build-finished", _media)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _docstring(app: Any, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def restructured(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    found: list[str] = []
    section = verbatim = False
    for line in lines:
        indented = line.startswith("    ")
        if line and not indented:
            section = re.fullmatch(rf"({'|'.join(SECTIONS)}):", line) is not None
        if indented and not section:
            if not verbatim:
                found += ["" if not found or not found[-1] else "", "::", ""]
            verbatim = True
            found.append(line)
            continue
        if line and verbatim:
            verbatim = False
            found.append("")
        found.append(line if not line or verbatim else escaped(line))
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
