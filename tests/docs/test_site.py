"""The site: every command on it runs, every link leads somewhere, and it builds without a warning.

`blocks` says what is run, what is made shorter for it, and what is only looked at.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import blocks
import pytest
from tiny import Command

# Pages whose commands take a few seconds in all; the others wait for `make test-all`.
QUICK = {"index.md", "quickstart.md"}
TOOLS = "the site's tools are the extra `docs`"
SOURCES, PAGES = blocks.sources(), blocks.pages()


def name(page: Path) -> str:
    return page.relative_to(blocks.DOCS).as_posix()


def followed(page: Path):
    slow = [] if name(page) in QUICK else [pytest.mark.slow]
    return pytest.param(page, marks=slow, id=name(page))


@pytest.mark.parametrize("page", [followed(page) for page in PAGES])
def test_a_page_can_be_followed(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, abprop: Command
):
    monkeypatch.chdir(tmp_path)
    blocks.run(page, abprop)


def test_the_five_commands_are_those_of_the_quickstart():
    front = blocks.DOCS.joinpath("index.md").read_text("utf-8")
    followed = [b for b in blocks.blocks(blocks.DOCS / "quickstart.md") if b.language == "bash"]
    assert len(followed) == 5
    assert f"```text\n{''.join(block.text for block in followed)}```" in front


@pytest.mark.parametrize("page", SOURCES, ids=name)
def test_links_and_pictures_are_there(page: Path):
    assert blocks.broken_links(page) == []


def test_what_is_made_shorter():
    words = ["fit", "x", "--budget", "5m", "--set", "model.latent=9", "--stop-at", "300"]
    shorter = ["fit", "x", "--set", "model.latent=9", "--stop-at", "1"]
    assert blocks.briefly(words) == [*shorter, "--set", "train.iterations=2"]
    assert blocks.briefly(["fit", "--set", "train.iterations=800"])[-1] == "train.iterations=4"
    assert blocks.briefly(["sample", "runs/a"]) == ["sample", "runs/a"]
    assert blocks.shortened('fit(x, budget="5m")') == "fit(x, iterations=2)"
    assert blocks.shortened("fit(x, iterations=300)") == "fit(x, iterations=2)"
    assert blocks.shortened("Imputer()") == "Imputer(max_iter=2, )"
    assert blocks.shortened("Imputer(seed=0)") == "Imputer(max_iter=2, seed=0)"


def test_blocks_and_their_words(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("a\n```bash\nabprop fit x \\\n  -n 1  # why\n```\n```text\nno\n```\n", "utf-8")
    (block,) = blocks.blocks(page)
    assert list(blocks.commands(block.text)) == [["abprop", "fit", "x", "-n", "1"]]


@pytest.fixture
def extensions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The site's own modules can be imported."""
    pytest.importorskip("sphinx", reason=TOOLS)
    monkeypatch.syspath_prepend(blocks.DOCS / "extensions")


def test_docstrings_become_pages(extensions: None):
    from plain import restructured

    text = ["A `name` and x*y.", "", "    z = a | b", "", "Args:", "    n_: how many.", ""]
    text += ["Returns:", "    The sum: of all."]
    assert restructured(text) == [
        "A ``name`` and x\\*y.", "", "", "::", "", "    z = a | b", "",
        "Args:", "    n\\_: how many.", "", "Returns:", "    : The sum: of all.",
    ]  # fmt: skip


def test_what_is_read_from_the_code(extensions: None):
    import tables

    from abprop.run.recipe import KEYS, presets

    told, listed = tables.commands(), tables.keys()
    commands = [c.callback.__name__ for c in tables.cli.app.registered_commands]
    assert [name for name in commands if f"## abprop {name}\n" not in told] == []
    assert "| `-n <int>` | how many; 64, or 1 for a map |" in told
    assert [key for key in KEYS if f"| `{key}` |" not in listed] == []
    assert [name for name in presets() if f"| `{name}` |" not in tables.ready()] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("furo", reason=TOOLS)
    words = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q"]
    done = subprocess.run(
        [*words, "-d", tmp_path / "trees", blocks.DOCS, tmp_path / "html"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "html" / "reference" / "command-line.html").read_text("utf-8")
    assert "abprop recover" in page and "--masks" in page
    assert "https://fonts" not in page and "cdn" not in page
