"""What is given away: the wheel's files, what it says of itself, and that it works by itself."""

from __future__ import annotations

import email
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from email.message import Message
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import TINY, blobs, keys

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
# Of this environment alone: a folder that a .pth file names has its own .pth files left unread,
# so that an editable install of this checkout is not seen.
DEPENDENCIES = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
PIP_OPTIONS = os.environ.get("ABPROP_PIP")

with (ROOT / "pyproject.toml").open("rb") as _file:
    PROJECT = tomllib.load(_file)["project"]


def call(*words: object, cwd: Path, limit: int = 120) -> str:
    """What a program says on stdout, out of reach of the checkout; it must succeed."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL"))}
    done = subprocess.run(
        list(map(str, words)), cwd=cwd, env=environment, capture_output=True, text=True,
        timeout=limit,
    )  # fmt: skip
    assert done.returncode == 0, f"{shlex.join(map(str, words))}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr and "Warning" not in done.stderr, done.stderr
    return done.stdout


def built(folder: Path, *options: str) -> Path:
    """The wheel that `python -m build` makes of the checkout."""
    words = ("-m", "build", "--no-isolation", *options, "--outdir", folder, ROOT)
    call(sys.executable, *words, cwd=folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("dist"), "--wheel")


def environment(folder: Path, pip: bool = False) -> Path:
    """A new virtual environment; its folder of programs."""
    venv.create(folder, with_pip=pip, symlinks=os.name != "nt")
    return folder / ("Scripts" if os.name == "nt" else "bin")


@pytest.fixture(scope="module")
def programs(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel is installed and the dependencies are seen, but not the checkout."""
    folder = tmp_path_factory.mktemp("venv")
    found = environment(folder)
    (packages,) = folder.glob("[Ll]ib/**/site-packages")
    (packages / "dependencies.pth").write_text("\n".join(DEPENDENCIES), "utf-8")
    options = ("--no-deps", "--no-index", "--disable-pip-version-check")
    pip = (sys.executable, "-m", "pip", "--python", found / "python", "install", "-q")
    call(*pip, *options, wheel, cwd=folder)
    where = call(found / "python", "-c", "import abprop; print(abprop.__file__)", cwd=folder)
    assert Path(where.strip()).is_relative_to(folder.resolve())
    return found


# What is in it --------------------------------------------------------------------------------


def names(wheel: Path) -> set[str]:
    """The files of a wheel."""
    with zipfile.ZipFile(wheel) as file:
        return set(file.namelist())


def metadata(wheel: Path) -> Message:
    """What a wheel says of itself."""
    (name,) = [name for name in names(wheel) if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as file:
        return email.message_from_bytes(file.read(name))


def test_the_wheel_holds_every_module_and_data_file_and_nothing_else(wheel: Path):
    files = [path for path in (SOURCE / "abprop").rglob("*") if path.is_file()]
    own = {p.relative_to(SOURCE).as_posix() for p in files if "__pycache__" not in p.parts}
    for name in ("py.typed", "report/assets/style.css", "run/presets/images.toml"):
        assert f"abprop/{name}" in own
    about = {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}
    stem = f"abprop-{PROJECT['version']}.dist-info"
    assert names(wheel) == own | {f"{stem}/{name}" for name in about}
    assert wheel.name == f"abprop-{PROJECT['version']}-py3-none-any.whl"


def test_the_wheel_says_what_it_is(wheel: Path):
    told = metadata(wheel)
    assert (told["Name"], told["Version"]) == ("abprop", PROJECT["version"])
    assert told["License-Expression"] == PROJECT["license"]
    assert told["Requires-Python"] == PROJECT["requires-python"]
    assert set(told.get_all("Provides-Extra", [])) == set(PROJECT["optional-dependencies"])
    required = [text for text in told.get_all("Requires-Dist", []) if "extra ==" not in text]
    assert len(required) == len(PROJECT["dependencies"])
    urls = [text.split(", ") for text in told.get_all("Project-URL", [])]
    assert dict(urls) == PROJECT.get("urls", {})
    assert str(told.get_payload()).startswith("# abprop")


def test_the_citation_is_of_this_version():
    """A textual check, so that YAML needs no reader here."""
    text = (ROOT / "CITATION.cff").read_text("utf-8")
    pairs = re.findall(r'^([a-z-]+): *"?(.*?)"?$', text, re.MULTILINE)
    top = dict(pairs)
    assert len(top) == len(pairs), "a key twice"
    assert top["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "preferred-citation"} <= set(top)
    assert (top["version"], top["license"]) == (PROJECT["version"], PROJECT["license"])
    assert [{"name": name} for name in re.findall(r'^  - name: "(.*)"$', text, re.MULTILINE)] == (
        PROJECT["authors"]
    )
    assert '"arXiv:1606.08571"' in text and "\t" not in text
    lines = [line for line in text.splitlines() if line.strip()]
    assert [line for line in lines if not re.match(r"( *(- )?[a-z-]+:( |$)| +- )", line)] == []


# What a newcomer does with it -----------------------------------------------------------------


def pictures(folder: Path, holes: bool = False) -> Path:
    """A folder of small PNGs; with a hole in each if asked, which is where alpha is 0."""
    folder.mkdir()
    for i, picture in enumerate(blobs(12)):
        alpha = np.full_like(picture, 255)
        alpha[2:5, 2:5] = 0
        layers = [picture] * 3 + [alpha] * holes
        Image.fromarray(np.stack(layers, -1)).save(folder / f"{i:02}.png")
    return folder


def try_as_a_newcomer(programs: Path, folder: Path) -> None:
    """The command line from its version to completed pictures, as it was installed."""
    abprop = programs / "abprop"
    assert call(abprop, "--version", cwd=folder) == f"abprop {PROJECT['version']}\n"
    assert "recover" in call(programs / "python", "-m", "abprop", "--help", cwd=folder)
    pictures(folder / "pngs")
    sets = keys(*TINY, "train.iterations=2", "model.latent=2")
    call(abprop, "fit", "pngs", "--run", "run", *sets, cwd=folder)
    assert "<style>" in (folder / "run" / "report.html").read_text("utf-8")
    holes = pictures(folder / "holes", holes=True)
    call(abprop, "recover", "run", "holes/", "-o", "whole/", cwd=folder)
    with Image.open(folder / "whole" / "00.png") as whole, Image.open(holes / "00.png") as given:
        assert whole.size == given.size and whole.mode == "RGB"
    call(abprop, "sample", "run", "-o", "samples.png", cwd=folder)
    assert (folder / "samples.png").is_file()


def test_the_wheel_works_by_itself(programs: Path, tmp_path: Path):
    try_as_a_newcomer(programs, tmp_path)


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path):
    """`python -m build` makes the wheel from the sdist."""
    assert names(built(tmp_path)) == names(wheel)
    (sdist,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(sdist) as file:
        held = {name.partition("/")[2] for name in file.getnames()}
    assert {"LICENSE", "README.md", "CITATION.cff", "tests/test_packaging.py"} <= held


@pytest.mark.slow
@pytest.mark.skipif(
    PIP_OPTIONS is None,
    reason="asks a package index; set ABPROP_PIP to pip's options for torch, or to nothing",
)
def test_the_wheel_brings_its_dependencies(wheel: Path, tmp_path: Path):
    programs = environment(tmp_path / "venv", pip=True)
    pip = (programs / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check")
    pinned = ("-c", ROOT / "constraints.txt")
    call(*pip, *pinned, *shlex.split(PIP_OPTIONS or ""), "torch", cwd=tmp_path, limit=1800)
    call(*pip, *pinned, wheel, cwd=tmp_path, limit=1800)
    try_as_a_newcomer(programs, tmp_path)


# What a type checker makes of it --------------------------------------------------------------

TYPED = """\
import numpy as np
import abprop
from abprop import Generator, Imputer, Run, UserError, fit, load

table = np.zeros((10, 3))
run = abprop.load("x")
reveal_type(run)  # Run
reveal_type(run.sample(4))  # ndarray
reveal_type(fit(table, latent=2, budget="1m", sets={"model.channels": 8}).embed())  # ndarray
reveal_type(run.recover(table).mean)  # ndarray
reveal_type(load("x").info())  # dict
reveal_type(Generator(n_components=2).fit(table).transform(table))  # ndarray
reveal_type(Imputer(random_state=0).draws(table, 10))  # ndarray
reveal_type(abprop.__version__)  # str
abprop.lod  # an error
fit(table, verbose="yes")  # an error
"""


def checked(programs: Path, folder: Path, text: str) -> Sequence[dict]:
    """What pyright says of a program of a user."""
    (folder / "program.py").write_text(text, "utf-8")
    words = ("-m", "pyright", "--outputjson", "--pythonpath", programs / "python", "program.py")
    done = subprocess.run(
        [sys.executable, *map(str, words)], cwd=folder, capture_output=True, text=True, timeout=120
    )
    return json.loads(done.stdout)["generalDiagnostics"]


@pytest.mark.slow
def test_a_users_type_checker_knows_the_types(programs: Path, tmp_path: Path):
    told = checked(programs, tmp_path, TYPED)
    line = {at["range"]["start"]["line"]: at for at in told}
    for number, wanted in enumerate(TYPED.splitlines()):
        comment = wanted.partition("  # ")[2]
        if comment == "an error":
            assert line.pop(number)["severity"] == "error", wanted
        elif comment:
            assert f'is "{comment}' in line.pop(number)["message"], wanted
    assert line == {}
