"""The command line: files, JSON, exit codes, and one line for whatever the user can mend."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import FACES, TABLE, Command, blobs, keys, rows

import abprop.app.cli as cli
from abprop import __version__, checkpoint
from abprop.run import Layers, fit, load

ERRORS = {"mse", "mae", "error", "rmse_data", "psnr"}


@pytest.fixture
def copy(faces: Path, tmp_path: Path) -> Path:
    """A run that may be spoilt."""
    return Path(shutil.copytree(faces, tmp_path / "copy"))


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


# fit and info ---------------------------------------------------------------------------------


def test_fit_makes_a_run_directory(shelf: Path, run_dir: Path, abprop: Command):
    done = abprop("fit", shelf / "faces.npy", "--run", run_dir, *keys(*FACES), "--json")
    assert done.code == 0
    assert json.loads(done.out)["iteration"] == 8
    assert "60 of 1x8x8" in done.err and "parameters" in done.err and "held out" in done.err
    assert "peak memory" in done.err and f"report: {run_dir / 'report.html'}" in done.err
    names = {path.name for path in run_dir.iterdir()} - {".lock"}
    assert names == {"recipe.toml", "metrics.jsonl", "report.html", "checkpoints"}
    newest = run_dir / "checkpoints" / "step-00000008"
    files = {f"{name}.safetensors" for name in ("network", "walking", "optimizer", "names")}
    files |= {f"latents-{v:05d}.safetensors" for v in range(5)}  # five divide a batch of 20
    assert {path.name for path in newest.iterdir()} == {*files, "manifest.json"}


def test_the_run_is_named_after_the_source(shelf: Path, run_dir: Path, abprop: Command):
    done = abprop("fit", shelf / "faces.npy", *keys(*FACES), "--stop-at", "2")
    assert done.code == 0 and (run_dir.parent / "runs" / "faces" / "recipe.toml").is_file()
    lines = done.err.strip().splitlines()
    (line,) = [line for line in lines if line.startswith("saved at iteration 2 of 8; resume with")]
    assert lines[-2] == "writing the report" and "planning" in lines
    assert line.endswith(f"--run {Path('runs') / 'faces'}") and "--stop-at" not in line


def test_info_of_a_run(faces: Path, abprop: Command):
    done = abprop("info", faces, "--json")
    facts = json.loads(done.out)
    promised = {"kind", "examples", "shape", "latent", "parameters", "iteration"}
    assert set(facts) >= {*promised, "sigma", "prior_width", "weights_sha256", "latents_sha256"}
    assert (facts["kind"], facts["examples"], facts["shape"]) == ("images", 60, [1, 8, 8])
    assert (facts["latent"], facts["iteration"]) == ([4], 8)
    assert len(facts["weights_sha256"]) == len(facts["latents_sha256"]) == 64
    assert "iteration        8" in abprop("info", faces).out


def test_info_of_data(shelf: Path, abprop: Command):
    facts = json.loads(abprop("info", shelf / "table.csv", "--json").out)
    assert (facts["kind"], facts["examples"], facts["shape"]) == ("table", 60, [5])
    assert 0.05 < facts["hidden"] < 0.2


def test_hashes_are_those_of_the_state(shelf: Path, faces: Path, tmp_path: Path, abprop: Command):
    again = tmp_path / "again"
    fit(again, Layers(None, (*FACES, "model.latent=4"), {"data.source": str(shelf / "faces.npy")}))
    one, two = (json.loads(abprop("info", run, "--json").out) for run in (faces, again))
    assert one == two
    fit(again, Layers(None, ("train.iterations=9",), {"data.source": str(shelf / "faces.npy")}))
    three = json.loads(abprop("info", again, "--json").out)
    assert three["weights_sha256"] != one["weights_sha256"]
    assert three["latents_sha256"] != one["latents_sha256"]


# sample ---------------------------------------------------------------------------------------


def test_sample_one_file_or_a_folder(faces: Path, tmp_path: Path, abprop: Command):
    assert abprop("sample", faces, "-n", "1", "-o", tmp_path / "x.png").code == 0
    assert opened(tmp_path / "x.png").shape == (8, 8)
    assert abprop("sample", faces, "-n", "4", "-o", tmp_path / "grid.png").code == 0
    assert opened(tmp_path / "grid.png").shape == (18, 18)
    assert abprop("sample", faces, "-n", "3", "-o", tmp_path / "some").code == 0
    names = ["000000.png", "000001.png", "000002.png"]
    assert sorted(path.name for path in (tmp_path / "some").iterdir()) == names
    assert np.array_equal(opened(tmp_path / "some" / names[0]), opened(tmp_path / "x.png"))
    assert abprop("sample", faces, "-o", tmp_path / "x.npy").code == 0
    drawn = np.load(tmp_path / "x.npy")
    assert drawn.shape == (64, 1, 8, 8) and drawn.dtype == np.uint8


def test_a_seed_is_all_that_changes_samples(faces: Path, tmp_path: Path, abprop: Command):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        abprop("sample", faces, "-n", "4", "--seed", seed, "-o", tmp_path / f"{name}.npy")
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_a_texture_has_any_size(texture: Path, tmp_path: Path, abprop: Command):
    assert abprop("sample", texture, "--size", "80x48", "-o", tmp_path / "large.png").code == 0
    assert opened(tmp_path / "large.png").shape == (48, 80)
    assert abprop("sample", texture, "--size", "5", "-o", tmp_path / "small.png").code == 0
    assert opened(tmp_path / "small.png").shape == (5, 5)
    assert abprop("sample", texture, "-o", tmp_path / "one.npy").code == 0
    assert np.load(tmp_path / "one.npy").shape == (1, 1, 16, 16)


# reconstruct, interpolate, embed --------------------------------------------------------------


def test_reconstruct(faces: Path, shelf: Path, tmp_path: Path, abprop: Command):
    assert abprop("reconstruct", faces, shelf / "other.npy", "-o", tmp_path / "x.npy").code == 0
    assert np.load(tmp_path / "x.npy").shape == (12, 1, 8, 8)
    assert abprop("reconstruct", faces, "-o", tmp_path / "own").code == 0
    assert len(list((tmp_path / "own").iterdir())) == 60


def test_reconstruct_keeps_the_originals_names(faces: Path, tmp_path: Path, abprop: Command):
    (tmp_path / "in").mkdir()
    for i, picture in enumerate(blobs(3, seed=9)):
        Image.fromarray(picture).save(tmp_path / "in" / f"face {i}.png")
    assert abprop("reconstruct", faces, tmp_path / "in", "-o", tmp_path / "out").code == 0
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["face 0.png", "face 1.png", "face 2.png"]


def test_data_select_and_size_of_another_source(
    faces: Path, shelf: Path, tmp_path: Path, abprop: Command
):
    words = ("-o", tmp_path / "x.npy", "--set", "data.select=2:5")
    assert abprop("reconstruct", faces, shelf / "other.npy", *words).code == 0
    assert np.load(tmp_path / "x.npy").shape == (3, 1, 8, 8)
    np.save(tmp_path / "large.npy", blobs(4, side=16))
    words = ("-o", tmp_path / "y.npy", "--set", "data.size=8")
    assert abprop("reconstruct", faces, tmp_path / "large.npy", *words).code == 0
    assert np.load(tmp_path / "y.npy").shape == (4, 1, 8, 8)


def test_interpolate(faces: Path, plane: Path, tmp_path: Path, abprop: Command):
    words = ("--side", "3", "-o", tmp_path / "x.npy")
    assert abprop("interpolate", faces, *words).code == 0
    assert np.load(tmp_path / "x.npy").shape == (9, 1, 8, 8)
    assert abprop("interpolate", plane, "-o", tmp_path / "z.npy").code == 0
    assert np.load(tmp_path / "z.npy").shape == (81, 1, 8, 8)


def test_corners_are_examples_learned_from_or_held_out(
    faces: Path, tmp_path: Path, abprop: Command
):
    run = load(faces)
    known = run.ids[: len(run.names)].tolist()
    unseen = sorted(set(range(60)) - set(known))
    assert len(unseen) >= 2
    corners = [known[5], unseen[0], unseen[1], known[2]]
    words = ("--ids", ",".join(map(str, corners)), "--side", "3", "-o", tmp_path / "x.npy")
    assert abprop("interpolate", faces, *words).code == 0
    sheet, told = np.load(tmp_path / "x.npy"), run.reconstruct(blobs(60)[unseen[:2]])
    np.testing.assert_array_equal(sheet[[0, 8]], run.decode(run.z[[5, 2]]))
    # Whose company differs, so they round differently, and 8 bits by one at most.
    np.testing.assert_allclose(sheet[[2, 6]].astype(int), told.astype(int), atol=1)


def test_embed(faces: Path, texture: Path, shelf: Path, tmp_path: Path, abprop: Command):
    assert abprop("embed", faces, "-o", tmp_path / "z.csv").code == 0
    lines = (tmp_path / "z.csv").read_text("utf-8").splitlines()
    assert lines[0] == "name,z0,z1,z2,z3" and len(lines) == 1 + 57
    assert abprop("embed", faces, shelf / "other.npy", "-o", tmp_path / "z.npz").code == 0
    with np.load(tmp_path / "z.npz") as found:
        assert found["z"].shape == (12, 4) and list(found["names"][:2]) == ["000000", "000001"]
    assert abprop("embed", texture, "-o", tmp_path / "map.npz").code == 0
    with np.load(tmp_path / "map.npz") as found:
        assert found["z"].shape == (12, 5, 6, 6)


@pytest.mark.parametrize("command", ["sample", "reconstruct", "interpolate", "embed"])
@pytest.mark.parametrize("kind", ["faces", "texture", "table"])
def test_without_out_it_goes_into_the_run(
    command: str, kind: str, request: pytest.FixtureRequest, tmp_path: Path, abprop: Command
):
    run = shutil.copytree(request.getfixturevalue(kind), tmp_path / "run")
    done = abprop(command, run)
    if (command, kind) == ("interpolate", "texture"):
        assert "map" in done.complaint
        return
    assert done.code == 0 and done.out == ""
    written = Path(done.err.strip().splitlines()[-1].rpartition(": ")[2])
    assert written.exists() and written.parent == run / "samples"


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).random((12, 2, 8, 8)).astype(np.float32),
        np.random.default_rng(0).random((12, 5, 8, 8)).astype(np.float32),
        np.random.default_rng(0).random((12, 1, 8, 8)).astype(np.float32),
        np.random.default_rng(0).integers(0, 65536, (12, 8, 8, 3), dtype=np.uint16),
        np.random.default_rng(0).random((12, 2, 16)).astype(np.float32),
        np.random.default_rng(0).random((12, 1, 4, 8, 8)).astype(np.float32),
    ],
    ids=["2 channels", "5 channels", "floats", "16-bit RGB", "1 axis", "3 axes"],
)
def test_every_command_takes_every_array(
    values: np.ndarray, run_dir: Path, abprop: Command, capsys: pytest.CaptureFixture[str]
):
    np.save("x.npy", values)
    words = keys("train.iterations=2", "infer.steps=2", "model.channels=8", "model.latent=3")
    assert abprop("fit", "x.npy", "--run", run_dir, *words).code == 0
    assert (run_dir / "report.html").is_file()
    for command in ("sample", "reconstruct", "interpolate", "embed", "info"):
        done = abprop(command, run_dir)
        assert done.code == 0, done.err
    done = abprop("evaluate", run_dir, "--against", "mean,pca", "--json")
    assert json.loads(done.out)["n"] == 12


def test_a_table_goes_through_every_command(
    table: Path, shelf: Path, tmp_path: Path, abprop: Command
):
    assert abprop("reconstruct", table, "-o", tmp_path / "x.csv").code == 0
    lines = (tmp_path / "x.csv").read_text("utf-8").splitlines()
    assert lines[0] == "name,a,b,c,d,e" and len(lines) == 61
    assert "nan" not in (tmp_path / "x.csv").read_text("utf-8")
    assert abprop("sample", table, "-n", "5", "-o", tmp_path / "s.csv").code == 0
    assert (tmp_path / "s.csv").read_text("utf-8").splitlines()[0] == "a,b,c,d,e"
    assert abprop("sample", table, "-n", "5", "-o", tmp_path / "s.npy").code == 0
    assert np.load(tmp_path / "s.npy").shape == (5, 5)
    assert "csv" in abprop("sample", table, "-o", tmp_path / "x.png").complaint
    assert "missing" in abprop("evaluate", table, "--against", "pca", "--json").complaint


# evaluate -------------------------------------------------------------------------------------


def test_evaluate(faces: Path, shelf: Path, abprop: Command):
    done = abprop("evaluate", faces, shelf / "other.npy", "--against", "mean,pca", "--json")
    assert done.code == 0 and done.out.count("\n") == 1
    result = json.loads(done.out)
    assert set(result) == {"n", "latent_dim", "scored", *ERRORS, "seconds", "baselines", "chains"}
    assert set(result["chains"]) == {"rhat", "ess", "visits", "accepted", "stable"}
    assert result["chains"]["rhat"] > 0.9 and 0 < result["chains"]["ess"] <= 30
    assert (result["n"], result["latent_dim"], result["scored"]) == (12, 4, "all")
    assert set(result["baselines"]) == {"mean", "pca"}
    for errors in (result, *result["baselines"].values()):
        assert set(errors) >= ERRORS
        assert errors["error"] == pytest.approx(errors["mae"] / 2)
        assert errors["rmse_data"] == pytest.approx(errors["mse"] ** 0.5 * 127.5)
        assert errors["psnr"] == pytest.approx(10 * np.log10(4 / errors["mse"]))


def test_evaluate_the_training_data(faces: Path, abprop: Command):
    result = json.loads(abprop("evaluate", faces, "--json").out)
    assert result["n"] == 60 and "baselines" not in result
    shown = abprop("evaluate", faces, "--against", "pca")
    assert shown.code == 0 and "abprop" in shown.out and "pca" in shown.out


def test_evaluate_agrees_with_reconstruct(
    faces: Path, shelf: Path, tmp_path: Path, abprop: Command
):
    abprop("reconstruct", faces, shelf / "other.npy", "-o", tmp_path / "x.npy")
    answer = np.load(tmp_path / "x.npy")[:, 0].astype(float)
    error = answer - np.load(shelf / "other.npy").astype(float)
    result = json.loads(abprop("evaluate", faces, shelf / "other.npy", "--json").out)
    assert result["rmse_data"] == pytest.approx(np.sqrt((error**2).mean()), abs=0.5)


def test_errors_of_a_table_are_in_each_columns_unit(
    shelf: Path, run_dir: Path, tmp_path: Path, abprop: Command
):
    abprop("fit", shelf / "full.csv", "--run", run_dir, *keys(*TABLE))
    result = json.loads(abprop("evaluate", run_dir, "--against", "mean", "--json").out)
    full = rows(gaps=0)
    spread = np.sqrt(((full - full.mean(0)) ** 2).mean())
    assert result["baselines"]["mean"]["rmse_data"] == pytest.approx(spread, rel=1e-4)


def test_data_that_moved(faces: Path, shelf: Path, tmp_path: Path, abprop: Command):
    run = Path(shutil.copytree(faces, tmp_path / "run"))
    text = (run / "recipe.toml").read_text("utf-8")
    (run / "recipe.toml").write_text(text.replace("faces.npy", "gone.npy"), "utf-8")
    assert "gone.npy" in abprop("evaluate", run, "--json").complaint
    assert abprop("evaluate", run, "--data", shelf / "faces.npy", "--json").code == 0
    assert "--data" in abprop("evaluate", run, "--data", shelf / "other.npy", "--json").complaint


# What the user can mend -----------------------------------------------------------------------


BAD = {
    "no source": (("fit", "gone"), "gone"),
    "an empty folder": (("fit", "{empty}"), "empty"),
    "only missing": (("fit", "{missing}"), "missing"),
    "an unknown kind of file": (("fit", "{odd}"), "odd.xyz"),
    "a misspelt key": (("fit", "{faces}", "--set", "model.latnt=3"), "did you mean 'model.latent'"),
    "no value": (("fit", "{faces}", "--set", "model.latent"), "key=value"),
    "a bad value": (("fit", "{faces}", "--set", "train.batch=many"), "train.batch=many"),
    "a bad latent": (("fit", "{faces}", "--set", "model.latent=4x4"), "model.latent"),
    "too many factors": (
        ("fit", "{faces}", *keys("model.latent=500", "infer.start=pca")), "infer.start=prior"),
    "an unknown preset": (("fit", "{faces}", "--preset", "imags"), "did you mean 'images'"),
    "a missing preset": (("fit", "{faces}", "--preset", "x.toml"), "x.toml"),
    "a bad budget": (("fit", "{faces}", "--budget", "soon"), "train.budget=soon"),
    "a bad device": (("fit", "{faces}", "--device", "gpu"), "device"),
    "a bad device index": (("fit", "{faces}", "--device", "cpu:x"), "cpu:x"),
    "a bad precision": (("fit", "{faces}", "--precision", "half"), "run.precision=half"),
    "stop at zero": (("fit", "{faces}", "--stop-at", "0"), "--stop-at"),
    "stop at a word": (("fit", "{faces}", "--stop-at", "x"), "--stop-at"),
    "a run that is a file": (("fit", "{faces}", "--run", "{odd}"), "odd.xyz"),
    "no such command": (("fitt",), "fitt"),
    "no such option": (("sample", "{run}", "--sed", "1"), "--sed"),
    "no argument": (("sample",), "RUN"),
    "no run": (("sample", "gone"), "gone: no such run"),
    "not a run": (("sample", "{empty}"), "is {empty} a run of abprop?"),
    "a device for a task": (("sample", "{run}", "--device", "tpu"), "device"),
    "no samples": (("sample", "{run}", "-n", "0"), "n (-n): must be at least 1"),
    "a size for a vector": (("sample", "{run}", "--size", "80x48"), "--size"),
    "a size that is none": (("sample", "{texture}", "--size", "big"), "--size"),
    "an unknown extension": (("sample", "{run}", "-n", "1", "-o", "x.xyz"), ".xyz"),
    "no letters in ids": (("interpolate", "{run}", "--ids", "a,b"), "ids (--ids) a,b"),
    "too few ids": (("interpolate", "{run}", "--ids", "1,2"), "--ids"),
    "an unknown id": (("interpolate", "{run}", "--ids", "0,1,2,1000"), "(--ids) 1000"),
    "a negative id": (("interpolate", "{run}", "--ids", "0,1,2,-1"), "(--ids) -1"),
    "an id of a mirrored copy": (("interpolate", "{run}", "--ids", "60,61,62,63"), "(--ids) 6"),
    "an endless id": (("interpolate", "{run}", "--ids", f"1,2,3,{'9' * 30}"), "--ids"),
    "corners of a map": (("interpolate", "{texture}"), "map"),
    "latents as a picture": (("embed", "{run}", "-o", "z.png"), ".csv or .npz"),
    "another size": (("evaluate", "{run}", "{large}"), "1x16x16"),
    "a table for pictures": (("evaluate", "{run}", "{csv}"), "table.csv"),
    "an unknown baseline": (
        ("evaluate", "{run}", "--against", "pac", "--json"), "did you mean 'pca'"),
    "more components than data": (("evaluate", "{wide}", "--against", "pca"), "pca"),
    "info on nothing": (("info", "gone"), "gone"),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(
    shelf: Path, faces: Path, texture: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What the words in braces stand for."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "empty").mkdir()
    (folder / "odd.xyz").write_text("?", "utf-8")
    np.save(folder / "missing.npy", np.full((5, 8, 8), np.nan, np.float32))
    np.save(folder / "large.npy", blobs(3, side=16))
    np.save(folder / "few.npy", blobs(5))
    wide = folder / "wide"
    sets = (*FACES, "model.latent=20", "infer.start=prior")
    fit(wide, Layers(None, sets, {"data.source": str(folder / "few.npy")}))
    return {
        "faces": shelf / "faces.npy",
        "csv": shelf / "table.csv",
        "run": faces,
        "texture": texture,
        "wide": wide,
        "empty": folder / "empty",
        "odd": folder / "odd.xyz",
        "missing": folder / "missing.npy",
        "large": folder / "large.npy",
    }


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, places: dict[str, Path], run_dir: Path, abprop: Command):
    words, told = BAD[case]
    done = abprop(*(word.format(**places) for word in words))
    assert told.format(**places) in done.complaint


def test_a_run_without_a_checkpoint(copy: Path, abprop: Command):
    shutil.rmtree(copy / "checkpoints")
    for command in ("sample", "info", "evaluate"):
        assert "no checkpoint yet" in abprop(command, copy).complaint


def test_a_run_of_a_newer_format(copy: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch):
    for step in checkpoint.steps(copy / "checkpoints"):
        found = checkpoint.load(copy / "checkpoints" / checkpoint.step_name(step))
        with monkeypatch.context() as patch:
            patch.setattr("abprop.checkpoint.writing.FORMAT", 2)
            checkpoint.save(copy / "checkpoints", step, found.tensors, found.meta)
    for words in (("sample", copy), ("info", copy), ("fit", "x", "--run", copy)):
        line = abprop(*words).complaint
        assert "newer abprop" in line and "upgrade" in line


def test_a_recipe_that_is_no_recipe(copy: Path, abprop: Command):
    for data in (b"\xff\xfe", b"model = [", b"[model]\nlatnt = 3\n"):
        (copy / "recipe.toml").write_bytes(data)
        for words in (("sample", copy), ("fit", "x", "--run", copy)):
            assert "recipe.toml" in abprop(*words).complaint


def test_every_checkpoint_damaged(copy: Path, abprop: Command):
    for file in (copy / "checkpoints").glob("*/network.safetensors"):
        file.write_bytes(file.read_bytes()[:-1])
    assert "no good checkpoint" in abprop("sample", copy).complaint


@pytest.mark.parametrize(
    "words",
    [
        ("sample", "-o", "{0}/x.png"),
        ("sample", "-o", "{0}/x"),
        ("reconstruct", "-o", "{0}/x"),
        ("embed", "-o", "{0}/z.csv"),
        ("embed", "-o", "{0}/z.npz"),
    ],
)
def test_a_place_that_cannot_be_written(
    words: tuple[str, ...], faces: Path, tmp_path: Path, abprop: Command
):
    (tmp_path / "file").write_text("in the way", "utf-8")
    command, *rest = (word.format(tmp_path / "file") for word in words)
    assert str(tmp_path / "file") in abprop(command, faces, *rest).complaint


def test_a_full_disk_at_each_file(
    faces: Path, tmp_path: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for words in (("sample", "-o", "x.png"), ("embed", "-o", "z.csv")):
        command, *rest = words
        monkeypatch.chdir(tmp_path)
        assert "No space left on device" in abprop(command, faces, *rest).complaint


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_permission(shelf: Path, tmp_path: Path, abprop: Command):
    (tmp_path / "closed").mkdir(mode=0o500)
    words = ("fit", shelf / "faces.npy", "--run", tmp_path / "closed" / "run")
    assert "closed" in abprop(*words).complaint


# The shell ------------------------------------------------------------------------------------


def test_no_words_are_a_call_for_help(abprop: Command):
    bare, asked = abprop(), abprop("--help")
    assert bare == asked and bare.code == 0 and "Learn from SOURCE" in bare.out


@pytest.mark.parametrize(
    "command", sorted(c.callback.__name__ for c in cli.app.registered_commands)
)
def test_every_command_explains_itself(command: str, abprop: Command):
    done = abprop(command, "--help")
    assert done.code == 0 and "Usage" in done.out and done.err == ""


def test_the_version_is_told(abprop: Command):
    done = abprop("--version")
    assert (done.code, done.err) == (0, "") and done.out == f"abprop {__version__}\n"


def test_the_package_runs_as_a_module():
    words = [sys.executable, "-m", "abprop", "--version"]
    told = subprocess.run(words, capture_output=True, text=True, check=True)
    assert told.stdout == f"abprop {__version__}\n"


def test_ctrl_c_is_not_a_crash(faces: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch):
    def pressed(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("abprop.app.api.load", pressed)
    done = abprop("info", faces)
    assert done.code == 3 and done.err.startswith("abprop: stopped")


def test_a_bug_is_a_bug(faces: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch):
    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("abprop.app.api.load", broken)
    with pytest.raises(ZeroDivisionError):
        abprop("info", faces)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_signal_in_code_made_of_text_is_an_ordinary_stop(number: str, tmp_path: Path):
    (tmp_path / "stopped.py").write_text(
        "import os, signal\n"
        "import abprop.app.cli as cli\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # some start tests without
        "def app(*words, **options):\n"
        f"    exec('os.kill(os.getpid(), signal.{number})\\nwhile True: pass', globals())\n"
        "cli.app = app\n"
        "cli.main()\n"
    )
    where = [str(tmp_path), str(Path(cli.__file__).resolve().parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(where)}
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 3 and done.stdout == ""
    assert done.stderr.startswith("abprop: stopped") and "Traceback" not in done.stderr


def test_handlers_that_python_did_not_set_are_no_error(monkeypatch: pytest.MonkeyPatch):
    """Python calls them None, and takes no None back."""
    real = signal.signal

    def in_c(number: int, handler: Any) -> None:
        real(number, handler)

    monkeypatch.setattr(signal, "signal", in_c)
    monkeypatch.setattr(signal, "getsignal", lambda number: None)
    monkeypatch.setattr(cli, "app", lambda *words, **options: None)
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert not left.value.code


def test_only_the_result_is_on_stdout(faces: Path, shelf: Path):
    command = [sys.executable, "-m", "abprop.app.cli", "evaluate", str(faces), "--json"]
    environment = {**os.environ, "PYTHONPATH": str(Path(cli.__file__).resolve().parents[2])}
    environment["OMP_NUM_THREADS"] = "1,2"  # OpenMP takes a number for each level
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) >= {"n", "latent_dim", "scored", *ERRORS, "seconds"}
    assert "inferring the latents" in done.stderr
