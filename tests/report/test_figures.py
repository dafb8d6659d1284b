"""What is missing is grey in every figure, and a table's report says what became of its columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import FACES, TEXTURE, blobs, rows, waves

from abprop.report import pages
from abprop.report.figures import FIGURES
from abprop.report.page import Table
from abprop.run import Layers, Run, fit, load
from abprop.sources import read

GREY = 128


def holed() -> np.ndarray:
    """60 pictures in [0, 1] whose upper left corner is missing."""
    values = blobs(60).astype(np.float32) / 255
    values[:, :3, :3] = np.nan
    return values


@pytest.fixture(scope="module")
def gaps(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of pictures with NaN."""
    folder = tmp_path_factory.mktemp("gaps")
    asked = Layers(None, (*FACES, "model.latent=4"), {"data.source": "<array>"})
    fit(folder, asked, source=holed())
    return load(folder, data=holed())


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run of red pictures, a corner of which is transparent with green under it."""
    folder = tmp_path_factory.mktemp("clear")
    (folder / "data").mkdir()
    for i, picture in enumerate(blobs(24, side=16)):
        pixels = np.zeros((16, 16, 4), np.uint8)
        pixels[..., 0], pixels[..., 3] = picture, 255
        pixels[:4, :4] = (0, 255, 0, 0)
        Image.fromarray(pixels).save(folder / "data" / f"{i:02d}.png")
    asked = Layers(None, (*FACES, "model.latent=4"), {"data.source": str(folder / "data")})
    fit(folder / "run", asked)
    return load(folder / "run")


def test_nan_is_grey(gaps: Run):
    [shown] = FIGURES["reconstructions"](gaps)
    assert (shown.image[:3, :3] == GREY).all() and (shown.image[3:8, 3:8] != GREY).any()
    [twins] = FIGURES["nearest"](gaps)
    assert (twins.image[10:13, :3] == GREY).all()


def test_colours_under_alpha_are_never_shown(clear: Run):
    assert not clear.signals.values[:, 1].any()  # nor kept
    [shown] = FIGURES["reconstructions"](clear)
    assert (shown.image[:4, :4] == GREY).all()
    [twins] = FIGURES["nearest"](clear)
    assert (twins.image[18:22, :4] == GREY).all()


def test_a_texture_with_holes(tmp_path: Path):
    values = waves().astype(np.float32) / 255
    values[:6, :6] = np.nan
    fit(
        tmp_path,
        Layers(None, (*TEXTURE, "data.kind=texture"), {"data.source": "<array>"}),
        source=values,
    )
    run = load(tmp_path, data=values)
    [source] = FIGURES["source"](run)
    assert (source.image[:6, :6] == GREY).all() and source.image.std() > 1
    assert len(pages.page(run).figures) == 3


def test_evaluating_and_recovering_what_has_holes_warns_of_nothing(gaps: Run):
    assert np.isfinite(gaps.evaluate(draws=2)["mse"])
    few = gaps.given(holed()[:3], ("data.kind=images",))
    assert np.isfinite(gaps.recovered(few, draws=2).mean).all()
    assert len(read(holed(), size="4").values) == 60


# Tables ---------------------------------------------------------------------------------------


def test_the_columns_of_a_table(table: Path):
    run = load(table)
    [columns] = FIGURES["columns"](run)
    assert isinstance(columns, Table) and [row[0] for row in columns.rows] == list("abcde")
    values = rows()
    for c, (_, observed, mean, sd, rmse, _) in enumerate(columns.rows):
        assert observed == pytest.approx(100 * np.mean(~np.isnan(values[:, c])))
        assert mean == pytest.approx(np.nanmean(values[:, c]), rel=1e-4)
        assert sd == pytest.approx(np.nanstd(values[:, c]), rel=1e-4)
        assert isinstance(rmse, float) and 0 < rmse < 10 * float(sd)


def test_the_first_rows_of_a_table(table: Path):
    [shown] = FIGURES["rows"](load(table))
    assert len(shown.rows) == 8 and "*" in shown.title
    missing = np.isnan(rows()[:8])
    for cells, gone in zip(shown.rows, missing, strict=True):
        assert [cell.endswith("*") for cell in cells[1:]] == gone.tolist()
        assert [" → " in cell for cell in cells[1:]] == (~gone).tolist()


def test_a_table_whose_data_are_gone(tmp_path: Path, table: Path):
    run = load(table)
    run.source = str(tmp_path / "no.csv")
    assert list(FIGURES["columns"](run)) == list(FIGURES["rows"](run)) == []


def test_recovered_rows_are_a_page(table: Path, tmp_path: Path, abprop):
    assert abprop("recover", table, "--draws", "3", "-o", tmp_path / "all").code == 0
    html = (tmp_path / "all" / "recovered.html").read_text("utf-8")
    assert html.count("±") == np.isnan(rows()[:8]).sum() + 1  # and the title
    assert "data:image" not in html
