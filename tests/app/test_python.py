"""From Python: stopping, what a run says of itself, saving it, and arguments of the wrong type."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny import blobs

import abprop
from abprop.app import api
from abprop.errors import UserError

SHORT = {"iterations": 4, "steps": 2, "batch": 20, "sets": {"model.channels": 8}, "verbose": False}

PROGRAM = """
import abprop, sys
from tiny import blobs
run = abprop.fit(blobs(12), latent=2, iterations=2, steps=2, verbose=False)
print(run.folder)
if len(sys.argv) > 1:
    print(run.save(sys.argv[1]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> abprop.Run:
    folder = tmp_path_factory.mktemp("python") / "run"
    return abprop.fit(blobs(12), run=folder, latent=2, **SHORT)


@pytest.mark.parametrize("named", [True, False])
def test_ctrl_c_is_not_a_finished_run(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    real = api._fit

    def stopped(*args, **more):
        session = real(*args, stop_at=2, **more)
        session.interrupted = True
        return session

    monkeypatch.setattr(api, "_fit", stopped)
    with pytest.raises(KeyboardInterrupt, match="at iteration 2 of 4; fit again with run=") as told:
        abprop.fit(blobs(12), run=tmp_path / "run" if named else None, latent=2, **SHORT)
    folder = Path(str(told.value).split("run='")[1].split("'")[0])
    monkeypatch.undo()
    assert abprop.fit(blobs(12), run=folder, latent=2, **SHORT).step <= 4


def test_it_is_loaded_on_the_device_it_was_learned_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked, real = [], api._load
    monkeypatch.setattr(api, "_load", lambda *a, **k: asked.append(k["device"]) or real(*a, **k))
    abprop.fit(blobs(12), run=tmp_path / "run", latent=2, device="cpu", **SHORT)
    assert asked == ["cpu"]


def test_a_run_says_what_it_is_in_a_few_lines(run: abprop.Run):
    text = repr(run)
    assert len(text.splitlines()) == 3 and len(text) < 400
    for word in ("12 pictures", "1x8x8", "latent 2", "iteration", "of 4", str(run.folder)):
        assert word in text, text


def test_a_copy_is_a_run(run: abprop.Run, tmp_path: Path):
    path = run.save(tmp_path / "kept")
    assert (abprop.load(path).sample(2) == run.sample(2)).all()
    with pytest.raises(UserError, match="exists"):
        run.save(path)


def test_a_report_can_be_written_again(run: abprop.Run):
    assert run.report() == run.folder / "report.html" and run.report().is_file()


def test_a_report_shows_the_data_again_after_they_were_read(tmp_path: Path):
    np.save(tmp_path / "x.npy", blobs(12))
    run = abprop.fit(tmp_path / "x.npy", run=tmp_path / "r", verbose=False, iterations=2)
    before = run.report().read_text("utf-8")
    assert "reconstructions</h3>" in before and run.signals is not None
    assert run.report().read_text("utf-8") == before


def test_a_temporary_run_goes_when_the_program_ends_unless_it_was_saved(tmp_path: Path):
    paths = [str(Path(abprop.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "kept")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90)
    assert done.returncode == 0, done.stderr
    temporary, kept = map(Path, done.stdout.splitlines())
    assert not temporary.exists() and (kept / "recipe.toml").is_file()


def test_names_of_baselines(run: abprop.Run):
    assert set(run.evaluate(against="pca")["baselines"]) == {"pca"}
    assert set(run.evaluate(against="mean,pca")["baselines"]) == {"mean", "pca"}


def test_ids_are_numbers_or_a_text(run: abprop.Run):
    same = run.interpolate([0, 1, 2, 3], 2) == run.interpolate("0,1,2,3", 2)
    assert same.all()


WRONG = {
    "n": (lambda run: run.sample("3"), r"n \(-n\): must be a whole number"),
    "a fraction": (lambda run: run.sample(2.5), r"n \(-n\): must be a whole number"),
    "none": (lambda run: run.sample(0), r"n \(-n\): must be at least 1"),
    "two ids": (lambda run: run.interpolate("1,2"), "four corners"),
    "ids": (lambda run: run.interpolate(3), r"ids \(--ids\)"),
    "side": (lambda run: run.interpolate(side="4"), r"side \(--side\)"),
    "draws": (lambda run: run.recover(blobs(2), hide="P.5", draws="2"), r"draws \(--draws\)"),
    "against": (lambda run: run.evaluate(against=3), "mean,pca"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_type_is_one_line(case: str, run: abprop.Run):
    ask, told = WRONG[case]
    with pytest.raises(UserError, match=told) as caught:
        ask(run)
    assert "\n" not in str(caught.value)
