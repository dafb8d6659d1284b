"""Where a run's data are: it works from any folder, and never reads its own pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import FACES, Command, blobs, keys

import abprop
from abprop.files.entries import placed
from abprop.run.directory import read_recipe
from abprop.sources import read


def test_a_run_works_from_another_folder(
    run_dir: Path, tmp_path: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    np.save("x.npy", blobs(60))
    np.save("hidden.npy", np.arange(60 * 64).reshape(60, 8, 8) % 7 == 0)
    words = ("x.npy", "--run", "run", *keys(*FACES))
    assert abprop("fit", *words, "--masks", "hidden.npy").code == 0
    data = read_recipe(run_dir).data
    assert (data.source, data.masks) == (str(tmp_path / "x.npy"), str(tmp_path / "hidden.npy"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert abprop("reconstruct", run_dir, "-o", "y.npy").code == 0
    words = ("../x.npy", "--run", "../run", "--masks", "../hidden.npy")
    assert abprop("fit", *words, *keys("train.iterations=9")).code == 0


def test_from_python_too(run_dir: Path, tmp_path: Path):
    np.save("x.npy", blobs(60))
    sets = {"model.channels": 8, "train.iterations": 2, "infer.steps": 2}
    abprop.fit("x.npy", run=run_dir, sets=sets, verbose=False)
    assert read_recipe(run_dir).data.source == str(tmp_path / "x.npy")


@pytest.mark.parametrize("name", ["x.npy", "./x.npy", "~/x.npy"])
def test_a_place_keeps_what_is_no_path(name: str, run_dir: Path):
    whole = str(Path(name).expanduser().absolute())
    assert placed(name) == whole and placed(f"not:{name}") == f"not:{whole}"
    assert placed(f"{name.removesuffix('.npy')}.npz:key") == f"{whole.removesuffix('.npy')}.npz:key"
    assert placed("") == "" and placed("<array>") == "<array>"


def test_an_old_recipe_with_a_relative_place_still_loads(
    run_dir: Path, tmp_path: Path, abprop: Command, monkeypatch: pytest.MonkeyPatch
):
    np.save("x.npy", blobs(60))
    assert abprop("fit", "x.npy", "--run", run_dir, *keys(*FACES)).code == 0
    path = run_dir / "recipe.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace(str(tmp_path / "x.npy"), "x.npy"), "utf-8")
    assert abprop("reconstruct", run_dir, "-o", "y.npy").code == 0
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert "--data SOURCE" in abprop("reconstruct", run_dir).complaint
    assert abprop("reconstruct", run_dir, "--data", "../x.npy", "-o", "y.npy").code == 0


def test_a_run_inside_its_data_does_not_read_its_own_pictures(run_dir: Path, abprop: Command):
    Path("data").mkdir()
    for i, picture in enumerate(blobs(12)):
        Image.fromarray(picture).save(f"data/{i:02d}.png")
    assert abprop("fit", "data", "--run", "data/run", *keys(*FACES)).code == 0
    assert abprop("sample", "data/run", "-n", "3", "-o", "data/run/samples/new").code == 0
    assert len(read("data")) == 12
    assert abprop("fit", "data", "--run", "data/run", *keys("train.iterations=9")).code == 0
