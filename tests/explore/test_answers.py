"""What the page answers, without a browser: sliders, corners, painted masks, cells, new signals."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from abprop.errors import UserError
from abprop.run import Run, load

pytest.importorskip("gradio", reason="gradio is not installed")

from abprop.explore import between, cells, complete, endless, shown, vary
from abprop.explore.page import TABS


@pytest.fixture(scope="module")
def run(faces: Path) -> Run:
    return load(faces)


def tabs(run: Run) -> list[str]:
    return [name for name, tab in TABS.items() if tab.fits(run)]


def test_each_kind_has_what_it_can_do(run: Run, texture: Path, table: Path):
    assert tabs(run) == ["Vary", "Complete", "Between four"]
    assert tabs(load(texture)) == ["Complete", "Any size"]
    assert tabs(load(table)) == ["Vary", "Complete a row"]


def test_without_its_data_nothing_is_completed(run: Run, tmp_path: Path):
    lost = load(run.folder, data=tmp_path / "nowhere.npy")
    assert tabs(lost) == ["Vary", "Between four"]


# Sliders --------------------------------------------------------------------------------------


def test_sliders_are_coordinates_of_z():
    along = torch.linalg.qr(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)))[0].T
    z = np.linspace(-1, 1, 5, dtype=np.float32)
    values = vary.coordinates(along, z)
    assert np.allclose(vary.placed(along, z, tuple(values)), z, atol=0.01)  # values are rounded
    moved = vary.placed(along, z, (0.5, -1.0, 2.0))
    assert np.allclose(vary.coordinates(along, moved), [0.5, -1.0, 2.0], atol=1e-6)
    rest = np.eye(5) - (along.T @ along).numpy()
    assert np.allclose(rest @ moved, rest @ z, atol=1e-6)  # the rest of z stays
    assert max(vary.coordinates(along, 100 * z)) <= vary.EXTENT


# Corners --------------------------------------------------------------------------------------


def test_a_dropped_picture_becomes_a_corner(run: Run, tmp_path: Path):
    z = run.z[:4].cpu().numpy()
    Image.fromarray(run.signals.values[9, 0]).resize((24, 24)).save(tmp_path / "mine.png")
    there, sheet = between.dropped(run, 2, str(tmp_path / "mine.png"), z)
    assert (there[[0, 1, 3]] == z[[0, 1, 3]]).all() and not np.allclose(there[2], z[2])
    assert sheet.dtype == np.uint8 and sheet.shape[2] == 3
    (tmp_path / "no.png").write_text("no picture")
    with pytest.raises(UserError, match=r"no\.png"):
        between.dropped(run, 2, str(tmp_path / "no.png"), z)


# Painted masks --------------------------------------------------------------------------------


def drawing(over: np.ndarray, times: int) -> dict[str, object]:
    layer = np.zeros((*(n * times for n in over.shape), 4), np.uint8)
    layer[..., 3] = 255 * over.repeat(times, 0).repeat(times, 1)
    return {"background": layer, "layers": [layer], "composite": layer}


@pytest.mark.parametrize("times", [1, 3, 48])
def test_half_covered_pixels_are_hidden(times: int):
    over = np.zeros((8, 6), bool)
    over[2:4, 1:5] = True
    assert (complete.painted(drawing(over, times), (8, 6)) == over).all()
    assert not complete.painted(None, (8, 6)).any()
    assert not complete.painted({"layers": []}, (8, 6)).any()
    assert not complete.painted({"layers": [None]}, (8, 6)).any()


def test_what_is_not_painted_stays(run: Run):
    pictures = complete.own(run)
    answers = complete.prepared(run, pictures)
    one, over = pictures.take([0]), np.zeros((8, 8), bool)
    over[2:6, 2:6] = True
    mean, spread, draws, words = complete.completed(run, answers, drawing(over, 48), one)
    before = shown.picture(run, one.values[0])
    away = ~over.repeat(48, 0).repeat(48, 1)
    assert (mean[away] == before[away]).all() and (mean[~away] != before[~away]).any()
    assert (spread[~away].mean() > spread[away].mean()) and draws.shape == (384, 4 * 384, 3)
    assert words.startswith("25 % hidden")
    again = complete.completed(run, answers, drawing(over, 48), one)
    assert all(np.array_equal(a, b) for a, b in zip((mean, spread, draws), again, strict=False))


def test_nothing_painted_is_nothing_answered(run: Run):
    one = complete.own(run).take([0])
    assert complete.completed(run, None, None, one) == (None, None, None, "")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no picture yet"):
        complete.completed(run, None, None, None)  # type: ignore[arg-type]


def test_a_larger_picture_is_cropped(texture: Path, tmp_path: Path):
    run = load(texture)
    grey = np.arange(200 * 300).reshape(200, 300) % 256
    Image.fromarray(grey.astype(np.uint8)).save(tmp_path / "large.png")
    one = complete.cropped(shown.opened(run, str(tmp_path / "large.png")))
    assert one.shape == (1, 64, 64)


# Rows -----------------------------------------------------------------------------------------


def test_an_empty_cell_is_answered_with_its_spread(table: Path):
    run = load(table)
    rows = run.signals
    told = cells.row(rows, 3)
    given = [["", *told[0][1:]]]
    answer = cells.completed(run, run.posterior(rows, cells.DRAWS), ["a", *"bcde"], given)
    assert [line[0] for line in answer] == ["a", "b", "c", "d", "e"]
    mean, spread = (float(text.replace("−", "-")) for text in answer[0][2:])
    assert answer[0][1] == "" and np.isfinite(mean) and spread > 0
    assert answer[1][3] == "" or given[0][1] == ""
    with pytest.raises(UserError, match="column b: 'one' is no number"):
        cells.completed(run, None, ["a", "b"], [["1", "one"]])  # type: ignore[arg-type]


# New ones -------------------------------------------------------------------------------------


def test_a_texture_of_any_size(texture: Path):
    run = load(texture)
    made = endless._woven(run, 48, 32, 3)
    assert made.shape == (32, 48, 3) and made.dtype == np.uint8 and made.std() > 0


# Refusals -------------------------------------------------------------------------------------


def test_a_missing_package_is_named(run: Run, monkeypatch: pytest.MonkeyPatch):
    from abprop.explore import explore

    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(UserError, match=r"pip install abprop\[explore\]"):
        explore(run)
