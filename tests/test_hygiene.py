"""Light imports, short functions, small files, a docstring on everything public."""

from __future__ import annotations

import ast
import os
import re
import resource
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "abprop"
FILES = sorted(SOURCE.rglob("*.py"))

FUNCTION_LINES = 40  # without the docstring; aim for 20
FILE_LINES = 350
ROOM_FILES = 8
APP_SHARE = 0.25  # of all lines
FILE_BYTES = 300_000
HELP_SECONDS = 0.5
HEAVY = {"matplotlib", "sklearn", "skimage", "typer", "PIL"}

HELP = """
import sys
sys.argv = ["abprop", "--help"]
from abprop.app.cli import main
try:
    main()
finally:
    print("torch imported:", "torch" in sys.modules, file=sys.stderr)
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter that finds this source tree, installed or not."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE.parent)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, its docstring left out."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def undocumented(tree: ast.Module) -> list[str]:
    """What a reader can import from a module and finds no docstring on."""
    definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    public = [node for node in tree.body if isinstance(node, definitions) and node.name[0] != "_"]
    bare = [node.name for node in public if ast.get_docstring(node) is None]
    return bare if ast.get_docstring(tree) else ["the module itself", *bare]


def test_import_is_light():
    done = python("import abprop, sys; print(*sys.modules, sep='\\n')")
    assert done.returncode == 0, done.stderr
    assert HEAVY & set(done.stdout.split()) == set()


def test_help_is_quick_and_does_not_import_torch():
    """Processor seconds, best of three: the wall clock would measure the other workers too."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = python(HELP)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        assert "torch imported: False" in done.stderr
        seconds.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(seconds) < HELP_SECONDS


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_module_is_short_and_documented(path: Path):
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    assert len(text.splitlines()) <= FILE_LINES
    assert {f.name: length(f) for f in functions(tree) if length(f) > FUNCTION_LINES} == {}
    assert undocumented(tree) == []


def test_no_room_is_crowded():
    """A folder of modules; the package's own holds rooms of one file each."""
    rooms = [folder for folder in SOURCE.rglob("*") if folder.is_dir()]
    assert [r.name for r in rooms if len(list(r.glob("*.py"))) > ROOM_FILES] == []


def test_the_face_is_a_small_part():
    lines = {path: len(path.read_text("utf-8").splitlines()) for path in FILES}
    app = sum(count for path, count in lines.items() if path.is_relative_to(SOURCE / "app"))
    assert app < APP_SHARE * sum(lines.values())


def test_every_dependency_is_used():
    """What a user must install, or may, has a line of source that needs it."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    ours = {"dev", "docs"}  # tools of those who work on abprop
    extras = {k: v for k, v in project["optional-dependencies"].items() if k not in ours}
    wanted = [*project["dependencies"], *(one for some in extras.values() for one in some)]
    called = {"scikit-learn": "sklearn", "scikit-image": "skimage", "Pillow": "PIL"}
    names = {re.split("[^A-Za-z0-9_-]", text)[0] for text in wanted}
    text = "\n".join(path.read_text("utf-8") for path in FILES)
    used = {n for n in names if re.search(rf"(from|import) [\w.]*{_module(n, called)}\b", text)}
    assert names - used == set()


def _module(name: str, called: dict[str, str]) -> str:
    return called.get(name, name.replace("-", "_"))


def test_no_large_file_is_tracked():
    try:
        command = ["git", "-C", str(ROOT), "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.split("\0") if name]
    assert [p.name for p in paths if p.is_file() and p.stat().st_size > FILE_BYTES] == []
