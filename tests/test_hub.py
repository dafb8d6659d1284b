"""Runs pushed to a stand-in of the Hub and loaded from it: the same run, its card, refusals."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from stand_in import Hub
from tiny import Command

import abprop as package
from abprop import hub
from abprop.errors import UserError
from abprop.run import load

pytest.importorskip("huggingface_hub", reason="huggingface_hub is not installed")

# Addresses and caches are read when huggingface_hub is imported: its part is a program of its own.
PROGRAM = """
import sys, json, numpy as np, abprop
run = abprop.load(sys.argv[1])
where = run.push("me/faces")
again = abprop.load(where)
assert (again.sample(4) == run.sample(4)).all()
assert (again.embed() == run.embed()).all() and again.names == run.names
print(again.info()["weights_sha256"] == run.info()["weights_sha256"])
for name in ("hf://me/none", "hf://me", "hf://a/b/c"):
    try:
        abprop.load(name)
    except abprop.UserError as error:
        print("line", str(error).count(chr(10)), error)
"""


@pytest.fixture
def server() -> Iterator[Hub]:
    found = Hub()
    yield found
    found.shutdown()
    found.server_close()


def environment(server: Hub, home: Path, token: str = "mine") -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(Path(package.__file__).parents[1]),
        "HF_ENDPOINT": server.address,
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }


def test_what_was_pushed_is_what_is_loaded(server: Hub, faces: Path, tmp_path: Path):
    told = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(faces)],
        env=environment(server, tmp_path), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    lines = told.stdout.splitlines()
    assert lines[0] == "True" and [line[:6] for line in lines[1:]] == ["line 0"] * 3
    files = server.files["me/faces"]
    assert {"README.md", "recipe.toml", "metrics.jsonl"} < files.keys()
    assert "report.html" not in files  # it shows the data
    card = files["README.md"].decode()
    assert card.startswith("---\nlibrary_name: abprop\n")
    assert 'abprop.load("hf://me/faces")' in card and "57 " in card and "## Limits" in card


def test_on_the_command_line(server: Hub, faces: Path, tmp_path: Path):
    def command(*words: object, token: str = "mine") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "abprop", *map(str, words)], capture_output=True, text=True,
            env=environment(server, tmp_path, token), timeout=120, cwd=tmp_path,
        )  # fmt: skip

    done = command("push", faces, "hf://me/mine", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[-1] == "pushed: hf://me/mine" and server.private["me/mine"]
    done = command("sample", "hf://me/mine", "-n", "4", "-o", "s.npy")
    assert done.returncode == 0, done.stderr
    assert (np.load(tmp_path / "s.npy") == load(faces).sample(4)).all()
    done = command("embed", "hf://me/mine")  # where no -o is given: into the copy here
    assert (
        done.returncode == 0
        and (tmp_path / "abprop").resolve() in Path(done.stderr.rpartition(": ")[2].strip()).parents
    )
    done = command("report", "hf://me/mine")
    assert done.returncode == 0, done.stderr
    done = command("push", faces, "me/other", token="refused")
    assert done.returncode == 2 and done.stderr.count("abprop: ") == 1, done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("name", ["hf://", "hf://one", "hf://a/b/c", "a b/c", "hf://a/b@"])
def test_what_is_no_address(name: str, faces: Path, abprop: Command):
    assert "hf://NAMESPACE/NAME" in abprop("push", faces, name).complaint


def test_a_missing_package_is_named(faces: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(UserError, match=r"pip install abprop\[hub\]"):
        hub.push(load(faces), "me/faces")
