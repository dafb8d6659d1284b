"""Samples of a run held against its picture, in `evaluate`."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import data
from tiny import TEXTURE

import abprop
from abprop.errors import UserError
from abprop.evaluate.samples import textures
from abprop.measures import portilla
from abprop.run import Layers, fit

PICTURE = data.gravel()[:128, :128]
SETS = (*TEXTURE, "data.crop=32", "data.kind=texture")


def fitted(folder, picture, sets):
    fit(folder, Layers(None, sets, {"data.source": "<array>"}), source=picture)
    return abprop.load(folder, data=picture)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return fitted(tmp_path_factory.mktemp("texture") / "run", PICTURE, SETS)


def test_ratios_stand_beside_errors_and_those_of_rivals(run) -> None:
    found = run.evaluate(against="mean,tiles,quilting")
    assert found["n"] == 12 and found["mse"] > 0
    distances = {"wasserstein", "coherence", "completeness"}
    distances |= {"portilla_simoncelli"} if portilla.available() else set()
    assert found["ratios"].keys() == distances
    assert found["sample_ratio"] == max(found["ratios"].values()) > 1.5, "six iterations are few"
    assert found["baselines"].keys() == {"mean", "tiles", "quilting"}
    quilted = found["baselines"]["quilting"]
    assert quilted["sample_ratio"] < found["sample_ratio"] and 0 < quilted["copy_ratio"] < 1
    if portilla.available():
        assert found["noise_ratio"] > 0


def test_another_picture_is_scored_without_ratios(run) -> None:
    found = run.evaluate(data.brick()[:64, :64], sets=("data.size=32x32",))
    assert "sample_ratio" not in found and found["mse"] > 0


def test_what_is_too_small_or_has_holes_is_said(tmp_path) -> None:
    told: list[str] = []
    run = fitted(tmp_path / "small", PICTURE[:60, :60], (*TEXTURE, "data.kind=texture"))
    assert "sample_ratio" not in run.evaluate(progress=told.append)
    assert any("60x60 is too small to be judged" in line for line in told)
    holed = PICTURE.astype(np.float32) / 255
    holed[30:40, 30:90] = np.nan
    run = fitted(tmp_path / "holed", holed, SETS)
    assert "sample_ratio" not in run.evaluate(progress=told.append)
    assert any("the picture has holes" in line for line in told)


def test_a_rival_of_textures_is_none_of_faces(faces) -> None:
    with pytest.raises(UserError, match="--against tiles: not for"):
        abprop.load(faces).evaluate(against="tiles")


def test_a_piece_of_the_picture_is_found_where_it_is() -> None:
    picture = torch.from_numpy(PICTURE.astype(np.float32) / 127.5 - 1)[None]
    asked, found = textures.pieces(picture, picture)
    assert asked.shape == found.shape == (8, 1, 64, 64)
    assert torch.equal(asked[0], found[0]) and torch.equal(asked[7], found[7])
    small = picture[:, :30, :50]
    assert textures.pieces(small, small)[1].shape == (8, 1, 28, 28)


def test_of_a_large_picture_a_part_is_judged() -> None:
    wide = torch.rand(1, 64, 1200, generator=torch.Generator().manual_seed(0))
    real = textures.material(wide, lambda said: None)
    assert real is not None and real.picture.shape == (1, 64, textures.LARGEST)


def test_every_ratio_has_words(run) -> None:
    found = run.evaluate()
    for name in ("sample_ratio", "copy_ratio", "repeat_ratio", *found["ratios"]):
        assert textures.words(name, 1.0) != textures.words(
            name, 0.1 if name[:4] in ("copy", "repe") else 9.0
        )
