"""What is hidden, filled in: observed entries untouched, true widths, files, and every refusal."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import FACES, TINY, Command, blobs, keys, rows

from abprop.data import ASIDE, MISSING, SECRET, set_aside
from abprop.data.hiding import hidden_by
from abprop.evaluate import Answer, calibration
from abprop.report.recovered import write_answer
from abprop.run import Run, load

SCORES = {"mse", "mae", "error", "rmse_data", "psnr", "coverage90", "crps"}
SOME = ("data.limit=6",)  # of the pictures in other.npy: chains are slow


@pytest.fixture(scope="module")
def masks() -> np.ndarray:
    """Of the pictures in other.npy."""
    return np.random.default_rng(3).random((12, 8, 8)) < 0.3


@pytest.fixture(scope="module")
def known(faces: Path) -> Run:
    """A run whose law of residuals is fitted once."""
    return load(faces)


@pytest.fixture(scope="module")
def answered(known: Run, shelf: Path, masks: np.ndarray) -> Answer:
    return known.recover(shelf / "other.npy", masks, draws=5, sets=SOME)


def opened(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)


# Answers --------------------------------------------------------------------------------------


def test_observed_entries_are_untouched(answered: Answer, masks: np.ndarray):
    values, hidden = blobs(12, seed=5)[:6, None], masks[:6, None]
    np.testing.assert_array_equal(answered.hidden, hidden)
    assert answered.mean.dtype == answered.draws.dtype == np.uint8
    np.testing.assert_array_equal(answered.mean[~hidden], values[~hidden])
    for k in range(answered.draws.shape[1]):
        np.testing.assert_array_equal(answered.draws[:, k][~hidden], values[~hidden])
    assert not answered.std[~hidden].any()
    for quantile in (answered.q05, answered.q50, answered.q95):
        np.testing.assert_allclose(quantile[~hidden], values[~hidden], atol=1e-3)  # float32 of 255


def test_hidden_entries_have_a_spread(answered: Answer):
    hidden = answered.hidden
    assert answered.mean.shape == answered.std.shape == (6, 1, 8, 8)
    assert answered.draws.shape == (6, 5, 1, 8, 8)
    assert (answered.std[hidden] > 0).all() and np.isfinite(answered.std).all()
    assert (answered.q05 <= answered.q50).all() and (answered.q50 <= answered.q95).all()
    assert (answered.q05 < answered.q95)[hidden].all()
    assert answered.names == tuple(f"{i:06d}" for i in range(6))


def test_the_answer_is_always_the_same(
    answered: Answer, known: Run, shelf: Path, masks: np.ndarray
):
    again = known.recover(shelf / "other.npy", masks, draws=5, sets=SOME)
    np.testing.assert_array_equal(again.draws, answered.draws)
    np.testing.assert_array_equal(again.std, answered.std)


@pytest.mark.parametrize("behind", ["noise", "white"])
def test_what_is_behind_a_mask_does_not_matter(
    behind: str, answered: Answer, known: Run, masks: np.ndarray
):
    values = blobs(12, seed=5)
    noise = np.random.default_rng(0).integers(0, 256, values.shape).astype(np.uint8)
    spoilt = np.where(masks, noise if behind == "noise" else np.uint8(255), values)
    answer = known.recover(spoilt, masks, draws=5, sets=SOME)
    for name in ("mean", "std", "q05", "q50", "q95", "draws", "hidden"):
        np.testing.assert_array_equal(getattr(answer, name), getattr(answered, name))


def test_what_a_run_hid_of_its_own_has_no_part_in_its_law(veiled: Path):
    hidden = hidden_by("P.4", (1, 8, 8), np.arange(24), 0)[:, 0]
    spoilt = blobs(60)
    spoilt[:24][hidden] = 255
    one, two = (load(veiled, data=data) for data in (None, spoilt))
    assert (one.signals.values != two.signals.values).any()
    first, second = (run.recovered(run.signals.take(range(3)), draws=3) for run in (one, two))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.std, second.std)


def test_missing_cells_of_a_table_are_filled_in(table: Path):
    answer = load(table).recover(draws=4)
    gaps = np.isnan(rows())
    np.testing.assert_array_equal(answer.hidden, gaps)
    np.testing.assert_array_equal(answer.mean[~gaps], rows()[~gaps])
    for k in range(4):  # not through the scale and back
        np.testing.assert_array_equal(answer.draws[:, k][~gaps], rows()[~gaps])
    assert np.isfinite(answer.mean).all() and (answer.std[gaps] > 0).all()
    # Each column has its own unit: cells of the smallest are told to a hundredth of the largest.
    spread = [np.median(answer.std[gaps[:, j], j]) for j in range(5)]
    assert spread[4] < spread[0] < spread[2]


def test_nothing_hidden_comes_back(known: Run, tmp_path: Path):
    signals = known.given(blobs(2, seed=5))
    answer = known.recovered(signals, draws=3)
    np.testing.assert_array_equal(answer.mean, signals.values)
    assert not answer.hidden.any() and not answer.std.any()
    assert "0.0 %" in _page(known, signals, answer, tmp_path)


def _page(run: Run, signals, answer: Answer, folder: Path) -> str:
    write_answer(run, signals, answer, folder / "answer")
    return (folder / "answer" / "recovered.html").read_text("utf-8")


# The command line -----------------------------------------------------------------------------


def test_recover_into_a_folder(veiled: Path, tmp_path: Path, abprop: Command):
    run = shutil.copytree(veiled, tmp_path / "run")
    done = abprop("recover", run, "--draws", "3")
    assert done.code == 0 and done.out == ""
    folder = run / "samples" / "recovered"
    assert str(folder / "recovered.html") in done.err
    names = {path.name for path in folder.iterdir()}
    maps = {"q05", "q50", "q95", "std", "draw-1", "draw-2", "draw-3"}
    pictures = {f"{i:06d}.png" for i in range(24)}
    assert names == {*maps, *pictures, "recovered.npz", "recovered.html"}
    assert all({path.name for path in (folder / name).iterdir()} == pictures for name in maps)
    with np.load(folder / "recovered.npz") as found:
        for i in (0, 23):
            np.testing.assert_array_equal(opened(folder / f"{i:06d}.png"), found["mean"][i, 0])
        expected = hidden_by("P.4", (1, 8, 8), np.arange(24), 0)
        np.testing.assert_array_equal(found["hidden"], expected)
        np.testing.assert_array_equal(found["mean"][~expected], blobs(60)[:24, None][~expected])
    page = (folder / "recovered.html").read_text("utf-8")
    assert "24 signals" in page and "uncertainty" in page and "truth" in page


def test_recover_into_one_file(veiled: Path, shelf: Path, tmp_path: Path, abprop: Command):
    words = ("--hide", "M3", "--draws", "3", *keys("data.limit=3"))
    done = abprop("recover", veiled, shelf / "other.npy", *words, "-o", tmp_path / "a" / "x.npz")
    assert done.code == 0, done.err
    with np.load(tmp_path / "a" / "x.npz") as found:
        answer = {"mean", "std", "q05", "q50", "q95", "draws", "hidden", "names"}
        assert set(found) == answer
        assert found["mean"].dtype == np.uint8 and found["std"].dtype == np.float32
        assert found["draws"].shape == (3, 3, 1, 8, 8)
        assert found["hidden"].sum((1, 2, 3)).tolist() == [9, 9, 9]
        assert found["names"].tolist() == ["000000", "000001", "000002"]


def test_an_answer_is_one_sheet_or_a_folder_of_maps(
    known: Run, answered: Answer, shelf: Path, masks: np.ndarray, tmp_path: Path
):
    signals = known.given(shelf / "other.npy", SOME, masks)
    assert "x.png" in write_answer(known, signals, answered, tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.png"]
    write_answer(known, signals, answered, tmp_path / "all")
    drawn = opened(tmp_path / "all" / "draw-2" / "000004.png")
    np.testing.assert_array_equal(drawn, answered.draws[4, 1, 0])
    assert opened(tmp_path / "all" / "std" / "000004.png").shape == (8, 8, 3)


def test_recover_a_table(table: Path, tmp_path: Path, abprop: Command):
    done = abprop("recover", table, "--draws", "3", "-o", tmp_path / "x.csv")
    assert done.code == 0 and "60 rows" in done.err
    text = (tmp_path / "x.csv").read_text("utf-8")
    assert text.startswith("name,a,b,c,d,e\n") and "nan" not in text and ",," not in text


def test_recover_masks_are_matched_by_name(
    veiled: Path, tmp_path: Path, abprop: Command, masks: np.ndarray
):
    for folder in ("in", "masks"):
        (tmp_path / folder).mkdir()
    for i, picture in enumerate(blobs(2, seed=5)):
        Image.fromarray(picture).save(tmp_path / "in" / f"face {i}.png")
        Image.fromarray(masks[i]).save(tmp_path / "masks" / f"face {i}.bmp")
    words = ("--masks", f"not:{tmp_path / 'masks'}", "--draws", "2", "-o", tmp_path / "x.npz")
    assert abprop("recover", veiled, tmp_path / "in", *words).code == 0
    with np.load(tmp_path / "x.npz") as found:
        np.testing.assert_array_equal(found["hidden"][:, 0], ~masks[:2])
        assert found["names"].tolist() == ["face 0", "face 1"]


def test_evaluate_what_was_hidden(veiled: Path, abprop: Command):
    baselines = "mean,pca,biharmonic,linear,knn,white"
    done = abprop("evaluate", veiled, "--draws", "3", "--against", baselines, "--json")
    assert done.code == 0 and done.out.count("\n") == 1
    result = json.loads(done.out)
    told = {"n", "latent_dim", "scored", "all", "residual", "draws", "width", "seconds"}
    assert set(result) == {*SCORES, *told, "baselines", "chains"}
    assert (result["n"], result["scored"], result["draws"]) == (24, "hidden", 3)
    assert result["residual"] == "correlated"
    assert calibration.NARROWEST <= result["width"] <= calibration.WIDEST
    assert set(result["baselines"]) == set(baselines.split(","))
    for name, scores in result["baselines"].items():
        assert set(scores) == (
            SCORES if name in ("mean", "pca", "white") else SCORES - {"coverage90", "crps"}
        )
    # The mean of what is seen of an entry, over its hidden ones: a formula of three lines.
    hidden = hidden_by("P.4", (1, 8, 8), np.arange(24), 0)[:, 0]
    seen = np.ma.masked_array(blobs(60)[:24].astype(float), hidden).mean(0)
    off = ((seen - blobs(60)[:24])[hidden] / 127.5) ** 2
    assert result["baselines"]["mean"]["mse"] == pytest.approx(off.mean(), rel=1e-4)


def test_evaluate_scores_what_recover_answers(
    known: Run, shelf: Path, masks: np.ndarray, answered: Answer
):
    signals = known.given(shelf / "other.npy", SOME, masks)
    result = known.evaluate(signals, draws=5)
    posterior, hidden = known.posterior(signals, 5), answered.hidden
    assert result["width"] == round(posterior.width, 4)
    blocks = [block.mean for block in posterior.draws(signals, 5, known.device)]
    mean, truth = torch.cat(blocks).numpy(), known.scale.to_model(signals.values)
    assert result["mse"] == pytest.approx(((mean - truth)[hidden] ** 2).mean(), rel=1e-4)
    written = np.clip(np.rint((mean + 1) * 127.5), 0, 255)
    np.testing.assert_allclose(written, answered.mean, atol=1)  # .5 may round either way
    low, high = (v[hidden] for v in (answered.q05, answered.q95))
    inside = (low <= signals.values[hidden]) & (signals.values[hidden] <= high)
    assert result["coverage90"] == pytest.approx(inside.mean(), abs=0.02)  # the same up to rounding


def test_evaluate_other_data_with_a_rule(veiled: Path, shelf: Path, abprop: Command):
    words = ("--hide", "S.2", "--draws", "2", *keys("data.limit=4"))
    result = json.loads(abprop("evaluate", veiled, shelf / "other.npy", *words, "--json").out)
    assert (result["n"], result["scored"]) == (4, "hidden") and "baselines" not in result


def test_scores_are_shown_as_a_table(table: Path, shelf: Path, abprop: Command):
    words = ("--hide", "S.2", "--draws", "2", "--against", "mean,knn")
    shown = abprop("evaluate", table, shelf / "full.csv", *words)
    assert shown.code == 0 and "hidden entries" in shown.out
    assert all(name in shown.out for name in ("abprop", "mean", "knn", "psnr"))


def test_what_no_one_knows_is_not_scored(table: Path, abprop: Command, tmp_path: Path):
    run = load(table)
    signals = run.given(rows(), hide="S.3")
    result = run.evaluate(signals, draws=2, against=["mean"])
    assert result["scored"] == "hidden" and math.isfinite(result["mse"])
    codes = signals.codes(range(60))
    assert codes is not None and (codes[np.isnan(rows())] == MISSING).all()
    unit = run.scale.unit
    seen = np.ma.masked_array(rows(), np.isnan(rows())).mean(0)  # fitted to the run's own data
    off = ((seen - rows()) / unit)[(codes == SECRET) & (codes != ASIDE)]
    assert result["baselines"]["mean"]["mse"] == pytest.approx((off**2).mean(), rel=1e-3)


# fit ------------------------------------------------------------------------------------------


def test_learning_sees_nothing_that_was_set_aside(veiled: Path):
    run = load(veiled)
    train = run.split.train.codes(range(24))
    expected = set_aside(run.signals, 0.1, 0).codes(range(24))
    np.testing.assert_array_equal(train, expected)
    hidden = hidden_by("P.4", (1, 8, 8), np.arange(24), 0)
    np.testing.assert_array_equal(train == SECRET, hidden)


def test_learning_does_not_see_behind_a_mask(shelf: Path, run_dir: Path, abprop: Command):
    masks = np.random.default_rng(0).random((60, 8, 8)) < 0.4
    noise = np.random.default_rng(1).integers(0, 256, (60, 8, 8)).astype(np.uint8)
    np.save("masks.npy", masks)
    np.save("spoilt.npy", np.where(masks, noise, blobs(60)))
    words = (*keys(*FACES, "model.latent=4"), "--masks", "masks.npy", "--json")
    told = []
    for i, source in enumerate((shelf / "faces.npy", "spoilt.npy")):
        done = abprop("fit", source, "--run", f"run-{i}", *words)
        assert done.code == 0, done.err
        told.append(json.loads(done.out))
    assert told[0] == told[1], "the same weights and latents"
    whole = json.loads(
        abprop("fit", shelf / "faces.npy", "--run", "run-2", *words[:-3], "--json").out
    )
    assert whole["weights_sha256"] != told[0]["weights_sha256"]


def test_masks_and_a_rule_add_up(shelf: Path, run_dir: Path, abprop: Command):
    mask = np.zeros((8, 8), bool)
    mask[:2] = True
    np.save("mask.npy", mask)
    words = (*keys(*FACES, "model.latent=4"), "--masks", "mask.npy", "--hide", "S.1")
    done = abprop("fit", shelf / "faces.npy", "--run", run_dir, *words, "--stop-at", "1")
    assert done.code == 0 and "one mask for all 60" in done.err
    codes = load(run_dir).signals.codes(range(60))
    expected = hidden_by("S.1", (1, 8, 8), np.arange(60), 0) | mask
    np.testing.assert_array_equal(codes == SECRET, expected)


# What the user can mend -----------------------------------------------------------------------


OTHER = ("{run}", "{other}")
BAD = {
    "a rule that is none": (("recover", *OTHER, "--hide", "half"), "--hide 'half' is no rule"),
    "a rule that is none, to fit": (("fit", "{other}", "--hide", "P50"), "--hide 'P50' is no rule"),
    "a rule that is none, to evaluate": (("evaluate", *OTHER, "--hide", "P0"), "is no rule"),
    "a block that does not fit": (("fit", "{other}", "--hide", "M9"), "block of 9"),
    "a mask that is not there": (("recover", *OTHER, "--masks", "gone.png"), "gone.png"),
    "a mask of another kind": (("recover", *OTHER, "--masks", "{csv}"), "--masks"),
    "a mask of another size": (("fit", "{other}", "--masks", "{small}"), "is 7x7"),
    "too few masks": (("fit", "{other}", "--masks", "{few}"), "5 masks, but there are 12"),
    "a mask of everything": (("fit", "{other}", "--masks", "{ones}"), "missing everywhere"),
    "everything hidden": (("recover", *OTHER, "--masks", "not:{zeros}"), "missing everywhere"),
    "masks with NaN": (("recover", *OTHER, "--masks", "{nan}"), "no NaN"),
    "a mask without a source": (("recover", "{run}", "--masks", "{zeros}"), "need a SOURCE"),
    "a rule without a source": (("evaluate", "{run}", "--hide", "P.5"), "need a SOURCE"),
    "one draw": (("recover", "{run}", "--draws", "1"), "--draws"),
    "no number of draws": (("evaluate", "{run}", "--draws", "few"), "--draws"),
    "never observed": (("evaluate", *OTHER, "--masks", "{column}"), "no example ever observes"),
    "a baseline for whole signals": (
        ("evaluate", *OTHER, "--against", "biharmonic"), "biharmonic: not for signals of which"),
    "a baseline for measurements": (
        ("evaluate", *OTHER, "--hide", "P.5", "--against", "lasso"), "lasso: not for hidden parts"),
    "an unknown baseline": (
        ("evaluate", *OTHER, "--hide", "P.5", "--against", "linaer"), "did you mean 'linear'"),
    "linear for a table": (
        ("evaluate", "{table}", "{full}", "--hide", "S.2", "--against", "linear"),
        "linear: a table has no neighbours"),
    "another shape": (("recover", "{run}", "{large}", "--hide", "P.5"), "1x16x16"),
    "an unknown extension": (
        ("recover", "{run}", "{two}", "--hide", "M2", "--draws", "2", "-o", "x.xyz"), ".xyz"),
    "no place for it": (
        ("recover", "{run}", "{two}", "--hide", "M2", "--draws", "2", "-o", "{csv}/x.npz"),
        "table.csv"),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(
    shelf: Path, veiled: Path, table: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """What the words in braces stand for."""
    folder = tmp_path_factory.mktemp("masks")
    column = np.zeros((8, 8), bool)
    column[:, 3] = True
    holes = np.zeros((12, 8, 8))
    holes[3, 3, 3] = np.nan
    saved = {
        "small": np.zeros((12, 7, 7)),
        "few": np.eye(8)[None].repeat(5, 0),
        "ones": np.ones((8, 8)),
        "zeros": np.zeros((12, 8, 8)),
        "nan": holes,
        "column": column,
        "large": blobs(3, side=16),
        "two": blobs(2),
    }
    for name, values in saved.items():
        np.save(folder / f"{name}.npy", values)
    return {
        "run": veiled,
        "table": table,
        "other": shelf / "other.npy",
        "csv": shelf / "table.csv",
        "full": shelf / "full.csv",
        **{name: folder / f"{name}.npy" for name in saved},
    }


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, places: dict[str, Path], run_dir: Path, abprop: Command):
    words, told = BAD[case]
    done = abprop(*(word.format(**places) for word in words))
    assert told.format(**places) in done.complaint
    assert not list(run_dir.parent.rglob("recipe.toml")), "no run of what could not be read"


def test_a_recovered_table_can_be_fitted(table: Path, tmp_path: Path, abprop: Command):
    assert abprop("recover", table, "--draws", "2", "-o", tmp_path / "x.csv").code == 0
    sets = keys(*TINY, "train.iterations=2", "model.latent=2", "data.columns=b,d")
    done = abprop("fit", tmp_path / "x.csv", "--run", tmp_path / "again", *sets)
    assert done.code == 0, done.err
    run = load(tmp_path / "again")
    assert run.meta["data"]["columns"] == ["b", "d"] and run.names[0] == load(table).names[0]
    other = run.given(tmp_path / "x.csv")
    np.testing.assert_array_equal(other.values, run.signals.values)
    assert run.given(other.values).shape == (2,)
