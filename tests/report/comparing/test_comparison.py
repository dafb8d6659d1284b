"""Several runs from Python: rows, numbers of `evaluate`, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny import FACES, blobs, learned

import abprop
from abprop.errors import UserError
from abprop.report.comparing import compare
from abprop.run import load, metrics

FOUR = (*FACES, "model.latent=4")


@pytest.fixture(scope="module")
def seeds(shelf: Path, faces: Path, plane: Path) -> list[Path]:
    """Two runs that differ in their seed, and one with two factors."""
    other = learned(shelf / "run-faces-1", shelf / "faces.npy", (*FOUR, "seed=1"))
    return [faces, other, plane]


def test_rows_and_their_numbers(seeds: list[Path]):
    found = abprop.compare(seeds)
    rows = {row["model.latent"]: row for row in found.table}
    four, two = rows["4"], rows["2"]
    assert (four["n"], four["seeds"], two["n"]) == (2, [0, 1], 1)
    assert four["runs"] == [str(seeds[0]), str(seeds[1])]
    errors = [
        min(
            row["heldout_mse"]
            for row in metrics.load(run / "metrics.jsonl")
            if "heldout_mse" in row
        )
        for run in seeds
    ]
    assert four["heldout_mse"] == pytest.approx(np.mean(errors[:2]), rel=1e-12)
    assert four["heldout_mse_sd"] == pytest.approx(np.std(errors[:2], ddof=1), rel=1e-9)
    assert (four["heldout_mse_min"], four["heldout_mse_max"]) == (min(errors[:2]), max(errors[:2]))
    assert two["heldout_mse"] == errors[2] and two["heldout_mse_sd"] is None
    assert sorted(row["heldout_mse_mark"] for row in found.table)[-1] in ("best", "tie")
    assert [row["seed"] for row in found.runs if row["name"] == four["name"]] == [0, 1]
    assert json.loads(json.dumps(found.table)) == found.table


def test_signals_that_are_named(seeds: list[Path], shelf: Path):
    found = compare(seeds, on=str(shelf / "other.npy"), sets=["data.select=0:8"], against="mean")
    for row in found.runs:
        alone = load(row["run"]).evaluate(str(shelf / "other.npy"), sets=["data.select=0:8"])
        assert row["on_mse"] == alone["mse"] == row["scores"]["mse"] and row["scores"]["n"] == 8
        assert row["on_against_mean"] == row["scores"]["baselines"]["mean"]["mse"]


def test_a_rule_hides_the_same_of_all_whatever_their_seeds(seeds: list[Path], shelf: Path):
    found = compare(seeds[:2], on=str(shelf / "other.npy"), hide="P.3", draws=2, against="mean")
    one, two = (row["scores"] for row in found.runs)
    assert one["scored"] == two["scored"] == "hidden"
    assert one["baselines"]["mean"]["mse"] == pytest.approx(two["baselines"]["mean"]["mse"])
    assert "on_crps" in found.table[0] and "on_coverage90" in found.table[0]


def test_a_texture_is_held_against_its_own_picture(texture: Path, shelf: Path, tmp_path: Path):
    other = Path(shutil.copytree(texture, tmp_path / "copy"))
    found = compare([texture, other], on=str(shelf / "texture.npy"))
    assert found.runs[0]["scores"]["n"] == 12  # its crops


def test_kinds_side_by_side(faces: Path, table: Path, texture: Path, tmp_path: Path):
    found = compare([faces, table, texture])
    assert any("The data differ (data.kind" in note for note in found.notes)
    assert all(row.get("heldout_mse_mark", "") == "" for row in found.table)
    with pytest.raises(UserError, match="run-table: "):
        compare([faces, table], on=blobs(9))


def test_fitted_runs_that_are_in_memory(faces: Path, twice: Path, tmp_path: Path):
    runs = [abprop.load(faces), abprop.load(twice)]
    found = abprop.compare(runs)
    assert [row["run"] for row in found.runs] == [str(faces), str(twice)]
    assert found.page(tmp_path / "a.html").is_file()


def test_what_is_refused(faces: Path, plane: Path):
    for runs in ([faces], faces, str(faces), []):
        with pytest.raises(UserError, match="needs two runs or more, not"):
            compare(runs)
    with pytest.raises(UserError, match="named twice"):
        compare([faces, plane, faces / ".." / faces.name])
    with pytest.raises(UserError, match="--hide, --against: of which signals"):
        compare([faces, plane], hide="P.5", against="mean")
    with pytest.raises(UserError, match="draws"):
        compare([faces, plane], draws=1)
