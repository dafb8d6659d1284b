"""Runs whose manifests are sealed but made up: every command ends with a result or one line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import Command

from abprop import checkpoint
from abprop.errors import UserError
from abprop.hub import _gathered
from abprop.run import directory, load

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 2**70, 1.5, 1e308, "x", "", [], [1], ["a"], [[1]], [[-1, -1]], {}, {"a": 1},
    "\x1b[2J<b>", [None], ["a"] * 10_000,
)  # fmt: skip
PLACES = ("data.kind", "data.columns", "data.places", "data.about", "data.sensed", "data.examples",
          "data.shape", "data.scale.low", "data.scale.high", "data.scale.dtype", "data.names",
          "dtype", "recipe", "versions", "scores", "chunk")  # fmt: skip
RECIPES = (
    {"model": {"latent": "9" * 9}},
    {"data": {"kind": "zzz"}},
    {"seed": 2**80},
    {"a": {"b": {}}},
)


def forged(run: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a run whose only checkpoint tells something else, and whose seal is right."""
    copy = Path(shutil.copytree(run, folder / "run"))
    *olds, last = sorted((copy / "checkpoints").iterdir())
    for old in olds:
        shutil.rmtree(old)
    content = json.loads((last / "manifest.json").read_text("utf-8"))
    change(content["meta"])
    (last / "manifest.json").write_bytes(checkpoint.manifest.sealed(content))
    return copy


def told(path: str, value: Any) -> Callable[[dict[str, Any]], object]:
    *outer, last = path.split(".")

    def change(table: dict[str, Any]) -> None:
        for key in outer:
            table = table[key]
        table[last] = value

    return change


def ends(abprop: Command, run: Path, *words: object) -> int:
    """The exit code of a command; what it tells is checked."""
    done = abprop(*words, run, *(("-o", run.parent / "out.npy") * (words[0] == "sample")))
    if done.code:
        assert done.complaint.isprintable()
    assert (done.out + done.err).replace("\n", "").isprintable()
    return done.code


@pytest.mark.parametrize(
    ("path", "value", "wrong"),
    [
        ("data.kind", "zzz", "data.kind is none of"),
        ("data.places", [[1, 2]] * 3, "data.places are 3, but there are"),
        ("data.shape", [1, 2**20, 2**20], "does not fit its recipe"),
        ("recipe", {"model": {"latent": "999999999"}}, "model.latent"),
        ("recipe", {"data": {"kind": "\x1b[2J"}}, "data.kind="),
    ],
)
def test_what_no_run_tells_is_named(
    faces: Path, tmp_path: Path, abprop: Command, path: str, value: Any, wrong: str
):
    run = forged(faces, tmp_path, told(path, value))
    assert wrong in abprop("info", run).complaint
    assert wrong in abprop("sample", run).complaint


def test_a_recipe_of_a_larger_network_is_refused_before_there_is_one(
    faces: Path, tmp_path: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    run = forged(faces, tmp_path, lambda meta: meta["recipe"]["model"].update(channels=512))
    recipe = run / "recipe.toml"
    text = recipe.read_text("utf-8")
    recipe.write_text(text.replace("\nchannels = 8\n", "\nchannels = 512\n"), "utf-8")

    def never(*asked: Any) -> Any:
        raise AssertionError("a network was made")

    monkeypatch.setattr(directory, "make_model", never)
    assert "does not fit its recipe" in abprop("info", run).complaint


@pytest.mark.slow
@pytest.mark.parametrize("path", PLACES)
def test_whatever_is_told(table: Path, tmp_path: Path, abprop: Command, path: str):
    for i, value in enumerate((*JUNK, *RECIPES)):
        (tmp_path / str(i)).mkdir()
        run = forged(table, tmp_path / str(i), told(path, value))
        assert {ends(abprop, run, word) for word in ("info", "sample", "report")} <= {0, 2}


def test_a_run_of_pipes_and_links(faces: Path, tmp_path: Path, abprop: Command):
    """Nothing waits for a writer, and nothing but a run's own files is uploaded."""
    run = Path(shutil.copytree(faces, tmp_path / "run"))
    (tmp_path / "secret").write_text("secret")
    step = run / "checkpoints" / checkpoint.step_name(load(run).step)
    (step / "extra.txt").symlink_to(tmp_path / "secret")
    _gathered(load(run), tmp_path / "up", "me/faces")
    assert not [p for p in (tmp_path / "up").rglob("*") if p.is_file() and "secret" in p.name]
    assert not (tmp_path / "up" / step.relative_to(run) / "extra.txt").exists()
    metrics = run / "metrics.jsonl"
    metrics.unlink()
    metrics.symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match=r"metrics\.jsonl is a symbolic link"):
        _gathered(load(run), tmp_path / "again", "me/faces")
    metrics.unlink()
    os.mkfifo(metrics)  # opening it would wait for a writer
    assert abprop("report", run).code == 0
    (run / "recipe.toml").unlink()
    os.mkfifo(run / "recipe.toml")
    assert "no recipe" in abprop("info", run).complaint
