"""Learning from completed signals, and signals told from measurements alone: the whole way."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import FACES, Command, blobs

from abprop.run import Layers, fit, load
from abprop.run.directory import recorded
from abprop.run.recipe import compose as recipe_of

SETS = (*FACES, "model.latent=4", "data.limit=24")


@pytest.fixture(scope="module")
def halved(shelf: Path) -> Path:
    """A run that saw 24 pictures at half their size; only to be read."""
    given = {"data.source": str(shelf / "faces.npy"), "data.measure": "down:2"}
    fit(shelf / "run-halved", Layers(None, SETS, given))
    return shelf / "run-halved"


@pytest.fixture(scope="module")
def whole(shelf: Path) -> Path:
    """A run that saw them whole; only to be read."""
    fit(shelf / "run-whole", Layers(None, SETS, {"data.source": str(shelf / "faces.npy")}))
    return shelf / "run-whole"


def last(folder: Path) -> dict[str, bytes]:
    newest = max((folder / "checkpoints").iterdir())
    return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}


def test_what_is_learned_from_are_completed_signals(halved: Path):
    run = load(halved)
    assert run.recipe.data.complete == "yes" and run.known is not None
    x = blobs(60)[:24].reshape(24, 1, 8, 8) / 127.5 - 1
    seen = run.split.train.batch(np.arange(24))[0].numpy()
    coarse = x.reshape(24, 1, 4, 2, 4, 2).mean((3, 5)).repeat(2, 2).repeat(2, 3)
    assert ((seen - x) ** 2).mean() < 0.7 * ((coarse - x) ** 2).mean()
    told = seen.reshape(24, 1, 4, 2, 4, 2).mean((3, 5))
    np.testing.assert_allclose(told, coarse[:, :, ::2, ::2], atol=0.02)


def test_a_resumed_run_is_the_same_bit_for_bit(shelf: Path, tmp_path: Path):
    given = {"data.source": str(shelf / "faces.npy"), "data.measure": "projection:20"}
    for stops in ((None,), (3, None)):
        folder = tmp_path / str(len(stops))
        for stop in stops:
            fit(folder, Layers(None, SETS, given), stop_at=stop)
    assert last(tmp_path / "1") == last(tmp_path / "2")


def test_runs_of_earlier_versions_go_on_from_measurements():
    told = recipe_of(None, ("data.measure=down:2",))
    assert told.data.complete == "auto" and recorded(told, {}).data.complete == "no"
    new = recipe_of(None, ("data.measure=down:2", "data.complete=yes"))
    assert recorded(new, {}).data.complete == "yes"


def test_recover_what_was_measured(halved: Path, tmp_path: Path, abprop: Command):
    done = abprop("recover", halved, "-o", tmp_path / "out", "--draws", "4")
    assert done.code == 0, done.err
    with np.load(tmp_path / "out" / "recovered.npz") as saved:
        found = dict(saved)
    assert found["mean"].shape == (24, 1, 8, 8) and found["draws"].shape == (24, 4, 1, 8, 8)
    assert found["hidden"].all() and (found["std"] > 0).mean() > 0.9
    page = (tmp_path / "out" / "recovered.html").read_text("utf-8")
    assert "16 of 64 numbers" in page and "what was measured" in page and "truth" in page


def test_a_run_of_whole_pictures_answers_for_small_ones(
    whole: Path, shelf: Path, tmp_path: Path, abprop: Command
):
    x = np.load(shelf / "other.npy")
    small = x.reshape(12, 4, 2, 4, 2).mean((2, 4))
    np.save(tmp_path / "small.npy", np.rint(small).astype(np.uint8))
    found = []
    for name, words in (
        ("simulated", (shelf / "other.npy", "--measure", "down:2")),
        ("real", (tmp_path / "small.npy", "--operator", "down:2")),
    ):
        out = tmp_path / f"{name}.npz"
        done = abprop("recover", whole, *words, "-o", out)
        assert done.code == 0, done.err
        with np.load(out) as saved:
            found.append(saved["mean"].astype(float))
        assert found[-1].shape == (12, 1, 8, 8)
    # The pictures of half the size were rounded to grey levels.
    assert np.abs(found[0] - found[1]).mean() < 3
    again = found[0].reshape(12, 4, 2, 4, 2).mean((2, 4))
    assert np.abs(again - small).mean() < 3, "an answer agrees with what was measured"


def test_evaluate_through_a_measurement(whole: Path, shelf: Path, abprop: Command):
    words = ("--measure", "down:2", "--against", "bicubic,minnorm,kriging,pca")
    done = abprop("evaluate", whole, shelf / "other.npy", *words, "--json")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert (result["n"], result["scored"]) == (12, "signals")
    assert set(result["baselines"]) == {"bicubic", "minnorm", "kriging", "pca"}
    assert result["mse"] < result["baselines"]["minnorm"]["mse"]
    assert {"coverage90", "crps", "all", "draws"} <= set(result)


def test_measured_pictures_have_copies_as_pictures_have(shelf: Path, tmp_path: Path):
    given = {"data.source": str(shelf / "faces.npy"), "data.measure": "down:2"}
    sets = (*SETS, "data.mirror=yes", "data.shift=1")
    fit(tmp_path / "run", Layers(None, sets, given), stop_at=1)
    assert len(load(tmp_path / "run").ids) == 24 * 10


def test_what_cannot_be_completed_is_learned_from_as_it_is(shelf: Path, tmp_path: Path):
    rows = np.random.default_rng(0).normal(size=(30, 6)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    given = {"data.source": str(tmp_path / "rows.npy"), "data.measure": "projection:3"}
    fit(tmp_path / "run", Layers(None, ("model.latent=2", "train.iterations=3"), given))
    run = load(tmp_path / "run")
    assert run.recipe.data.complete == "no"
    answer = run.recover(rows[:4], draws=4)
    assert answer.mean.shape[0] == 4 and (answer.std > 0).all()
