"""The run directory: runs of earlier versions, names beside the manifest."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import blobs, rows

import abprop
from abprop import checkpoint
from abprop.checkpoint.manifest import MANIFEST_BYTES
from abprop.run import load

OLD = Path(__file__).parent / "old"


@pytest.fixture(params=["pictures", "rows"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run that the first version wrote: a `distributed` section, names in the manifest."""
    return Path(shutil.copytree(OLD / request.param, tmp_path / request.param))


def test_runs_of_the_first_version_load_and_answer(old: Path):
    data = blobs(60) if old.name == "pictures" else rows()
    run = load(old, data=data, last=True)
    told = json.loads((old / "checkpoints/step-00000006/manifest.json").read_text("utf-8"))
    assert run.names == told["meta"]["data"]["names"]
    assert np.isfinite(run.sample(2).astype(float)).all()
    assert np.isfinite(run.evaluate()["mse"])
    assert run.embed().shape == (57, 2)


def test_runs_of_the_first_version_go_on(old: Path):
    data = blobs(60) if old.name == "pictures" else rows()
    run = abprop.fit(data, run=old, iterations=8, verbose=False)
    assert load(old, last=True).step == 8 and run.recipe.train.iterations == 8


def test_very_many_names_leave_the_manifest_small(tmp_path: Path, faces: Path):
    found = checkpoint.latest(Path(shutil.copytree(faces, tmp_path / "run")) / "checkpoints", print)
    assert found is not None and "names" not in found.meta["data"]
    names = [f"{i:06d}-" + "x" * 120 for i in range(150_000)]
    tensors = {**found.tensors, "names": checkpoint.named(names)}
    ids = checkpoint.named(names)["json"]
    assert len(ids) > MANIFEST_BYTES
    path = checkpoint.save(tmp_path / "c", 1, {"names": tensors["names"]}, {})
    assert checkpoint.names_in(checkpoint.load(path)) == names
    assert (path / "manifest.json").stat().st_size < 1000
