"""A run directory that somebody changed: told in one line, with what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import FACES, Command, blobs, keys

from abprop import checkpoint
from abprop.errors import UserError
from abprop.run import load


@pytest.fixture
def copy(faces: Path, tmp_path: Path) -> Path:
    """A run that may be spoilt."""
    return Path(shutil.copytree(faces, tmp_path / "copy"))


def edit(run: Path, old: str, new: str) -> None:
    """Change a line of the recipe by hand."""
    text = (run / "recipe.toml").read_text("utf-8")
    assert f"\n{old}\n" in text, text
    (run / "recipe.toml").write_text(text.replace(f"\n{old}\n", f"\n{new}\n"), "utf-8")


def replace(run: Path, change) -> None:
    """Save every checkpoint again with something changed."""
    for step in checkpoint.steps(run / "checkpoints"):
        found = checkpoint.load(run / "checkpoints" / checkpoint.step_name(step))
        change(found)
        checkpoint.save(run / "checkpoints", step, found.tensors, found.meta)


# A recipe edited by hand ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("channels = 8", "channels = 16"),
        ("channels = 8", "channels = 1000000"),
        ("seed = 0", "seed = 1"),
        ("batch = 20", "batch = 10"),
        ('latent = "4"', 'latent = "5"'),
    ],
)
def test_a_recipe_edited_by_hand_is_refused(
    old: str, new: str, copy: Path, shelf: Path, abprop: Command
):
    edit(copy, old, new)
    key, _, value = new.partition(" = ")
    before = old.partition(" = ")[2].strip('"')
    for words in (("sample", copy), ("info", copy), ("fit", shelf / "faces.npy", "--run", copy)):
        line = abprop(*words).complaint
        assert f"{key} = {value}".replace('"', "") in line.replace("'", ""), line
        assert before in line and "put it back" in line and "--run" in line


def test_what_may_change_on_resume_may_be_edited_and_is_told(
    copy: Path, shelf: Path, abprop: Command
):
    edit(copy, "iterations = 8", "iterations = 9")
    assert abprop("sample", copy).code == 0
    done = abprop("fit", shelf / "faces.npy", "--run", copy)
    assert done.code == 0 and "train.iterations was 8, now 9" in done.err
    assert load(copy, last=True).step == 9


def test_what_is_of_no_account_may_be_edited(copy: Path, shelf: Path, abprop: Command):
    edit(copy, "every = 3", "every = 4")
    edit(copy, "keep = 2", "keep = 3")
    assert abprop("sample", copy).code == 0
    assert abprop("fit", shelf / "faces.npy", "--run", copy).code == 0


def test_a_recipe_without_what_was_added_since_still_loads(copy: Path):
    replace(copy, lambda found: found.meta["recipe"]["model"].pop("prior"))
    assert load(copy).step


# A checkpoint of another network --------------------------------------------------------------


def _another_name(found: checkpoint.Checkpoint) -> None:
    group = found.tensors["network"]
    group["other"] = group.pop(min(group))


def _another_shape(found: checkpoint.Checkpoint) -> None:
    group = found.tensors["network"]
    name = max(group, key=lambda name: group[name].numel())
    group[name] = torch.cat([group[name], group[name]])


@pytest.mark.parametrize("change", [_another_name, _another_shape])
def test_a_network_that_is_not_the_recipes(change, copy: Path, shelf: Path, abprop: Command):
    replace(copy, change)
    for words in (("sample", copy), ("fit", shelf / "faces.npy", "--run", copy)):
        line = abprop(*words).complaint
        assert "network.safetensors" in line and "does not fit its recipe" in line
    with pytest.raises(checkpoint.CheckpointError):
        load(copy)


def test_a_network_larger_than_the_memory_is_refused(run_dir: Path, abprop: Command):
    np.save("large.npy", blobs(12, side=32))
    words = keys(*FACES, "model.channels=1000000")
    line = abprop("fit", "large.npy", "--run", run_dir, *words).complaint
    assert "model.channels" in line and "GB" in line
    with pytest.raises(UserError):
        load(run_dir)
