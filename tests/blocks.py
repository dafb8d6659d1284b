"""The commands and programs on the site's pages, and how a test runs them in moments.

Of each page the ```bash and ```python blocks are run in their order, in one empty folder. So that
this takes moments and not minutes, what is learned is learned for hardly any time:

    --budget 5m, or nothing    --set train.iterations=2
    train.iterations=800       a two-hundredth, 2 at least
    --stop-at 300              --stop-at 1
    budget="5m"                iterations=2              (iterations= as above)
    Generator(, Imputer(       max_iter=2

`ASIDE` lists what is not run but looked at.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer
from tiny import Command

from abprop.app import cli

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
SHARE = 200  # of the iterations on a page one is done
LEAST = 2

_FENCE = re.compile(r"^(`{3,})(bash|console|python)\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
_COUNT = re.compile(r"\b(iterations\s*=\s*)(\d+)")
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)\"")


def pages() -> list[Path]:
    """Those whose commands are run: a reader may follow them from an empty folder."""
    single = [DOCS / name for name in ("index.md", "quickstart.md", "faq.md")]
    return [*single, *sorted((DOCS / "tutorials").glob("*.md")), *sorted(DOCS.glob("howto/*.md"))]


def sources() -> list[Path]:
    """Every page."""
    return sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)


def broken_links(page: Path) -> list[str]:
    """Relative links and pictures of a page that lead nowhere."""
    found = (one or two for one, two in _LINK.findall(page.read_text("utf-8")))
    near = (link.partition("#")[0] for link in found if not re.match(r"[a-z]+:|#", link))
    return [link for link in near if not (page.parent / link).exists()]


@dataclass(frozen=True)
class Block:
    """What stands between two fences: its language and its text."""

    language: str
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """The blocks of a page in their order."""
    for _, language, text in _FENCE.findall(page.read_text("utf-8")):
        yield Block(language, text)


def run(page: Path, abprop: Command) -> None:
    """Follow a page in the present folder, which is empty.

    Args:
        page: a Markdown file.
        abprop: the command line in this process.
    """
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile(shortened(block.text), page.name, "exec"), names)
        else:
            for words in commands(block.text):
                _run(words, abprop)


def commands(text: str) -> Iterator[list[str]]:
    """The commands of a block, a list of words each; without comments."""
    for line in text.replace("\\\n", " ").splitlines():
        if words := shlex.split(line, comments=True):
            yield words


def _run(words: list[str], abprop: Command) -> None:
    line = shlex.join(words)
    for pattern, look in ASIDE.items():
        if re.fullmatch(pattern, line):
            return look(words)
    if words[0] == "abprop":
        done = abprop(*briefly(words[1:]))
        assert done.code == 0, f"{line}: {done.err}"
    else:
        assert words[0] in SHELL, f"{line}: not a command that the site may use"
        subprocess.run(words, check=True, timeout=60)
    return None


# Shorter --------------------------------------------------------------------------------------


def fewer(count: int) -> int:
    """So many iterations stand for `count`."""
    return max(LEAST, count // SHARE)


def briefly(words: list[str]) -> list[str]:
    """The words of a command after `abprop`, such that it learns for hardly any time."""
    if words[0] != "fit":
        return words
    kept: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        if "--budget" in (before, word):
            continue
        word = "1" if before == "--stop-at" else word
        kept.append(_COUNT.sub(lambda m: f"{m[1]}{fewer(int(m[2]))}", word))
    told = any("train.iterations=" in word for word in kept)
    return kept if told else [*kept, "--set", f"train.iterations={LEAST}"]


def shortened(code: str) -> str:
    """A program such that it learns for hardly any time."""
    code = re.sub(r"\bbudget=\"\w+\"", f"iterations={LEAST}", code)
    code = _COUNT.sub(lambda m: f"{m[1]}{fewer(int(m[2]))}", code)
    return re.sub(r"\b(Generator|Imputer)\((?=[^)\w]*\)|\w+=)", rf"\1(max_iter={LEAST}, ", code)


# Not run --------------------------------------------------------------------------------------


def _is_ours(words: list[str]) -> None:
    """`pip install`: this package, with extras that there are."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    name, *extras = re.split(r"[\[\],]", words[-1].rstrip("]"))
    assert name == project["name"] and set(extras) <= set(project["optional-dependencies"])


def _is_there(words: list[str]) -> None:
    """A browser is asked to open a file that has been written."""
    assert Path(words[-1]).is_file(), words


def _is_known(words: list[str]) -> None:
    """Takes minutes: the command and its options exist."""
    group: Any = typer.main.get_command(cli.app)
    group.commands[words[1]].make_context(words[1], words[2:])


ASIDE: dict[str, Callable[[list[str]], None]] = {
    r"python -m pip install .*": _is_ours,
    r"python -m webbrowser .*": _is_there,
    r"abprop (demo|bench|verify)( .*)?": _is_known,
    r"abprop explore .*": _is_known,  # serves until it is stopped
    r"abprop push .*|abprop \w+ hf://.*": _is_known,  # tests/test_hub.py does, on a stand-in
}
SHELL = {"mkdir", "cp", "mv", "ls"}
