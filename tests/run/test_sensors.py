"""Learning from measurements alone: y in model units, what is scored, and every refusal."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import FACES, Command, blobs, keys

from abprop.data import Sensor, Signals
from abprop.errors import UserError
from abprop.evaluate import judging
from abprop.operators import measure, white, written_out
from abprop.run import Layers, fit, load
from abprop.run.recipe import Recipe
from abprop.run.recipe import compose as recipe_of
from abprop.run.split import sensor as sensor_of
from abprop.sources import read

MEASURED = 20
RAW = "data.complete=no"
SETS = (*FACES, "model.latent=4", "data.limit=24")


@pytest.fixture(scope="module")
def matrix() -> np.ndarray:
    """Rows of different lengths, about 5 long."""
    random = np.random.default_rng(0)
    A = random.normal(size=(MEASURED, 64)) * random.uniform(0.2, 1, (MEASURED, 1))
    return A.astype(np.float32)


@pytest.fixture(scope="module")
def bench(matrix: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with A.npy, and y.npy and more.npy measured through it."""
    folder = tmp_path_factory.mktemp("bench")
    np.save(folder / "A.npy", matrix)
    np.save(folder / "y.npy", blobs(24).reshape(24, 64) @ matrix.T)
    np.save(folder / "more.npy", blobs(5, seed=5).reshape(5, 64) @ matrix.T)
    return folder


@pytest.fixture(scope="module")
def projected(shelf: Path) -> Path:
    """A run that saw 20 projections of each of 24 pictures; only to be read."""
    given = {"data.source": str(shelf / "faces.npy"), "data.measure": f"projection:{MEASURED}"}
    fit(shelf / "run-projected", Layers(None, SETS, given))
    return shelf / "run-projected"


@pytest.fixture(scope="module")
def through(bench: Path) -> Path:
    """A run that saw y.npy; only to be read."""
    sets = (*SETS, "data.shape=1x8x8", "data.range=0:255")
    given = {"data.source": str(bench / "y.npy"), "data.operator": str(bench / "A.npy")}
    fit(bench / "run-through", Layers(None, sets, given))
    return bench / "run-through"


def observed(sensor: Sensor, seen: Signals, rows: torch.Tensor | None = None):
    """Observations of some signals and their operator."""
    return sensor.examples(seen, torch.arange(len(seen))).batch(rows)[1:3]


def matrix_recipe(bench: Path, *sets: str) -> Recipe:
    return recipe_of(None, (f"data.operator={bench / 'A.npy'}", RAW, *sets))


def given(values: np.ndarray, **options: object) -> Signals:
    return read(values, **options)  # type: ignore[arg-type]


# Sensors --------------------------------------------------------------------------------------


def test_without_a_measurement_signals_are_seen_as_they_are():
    values = blobs(6).astype(np.float32)
    values[2, 3, 4] = np.nan
    signals, recipe = given(values), recipe_of(None)
    sensor = sensor_of(recipe, signals)
    assert sensor.operator is None and sensor.shape == (1, 8, 8) and sensor.scale == signals.scale
    assert sensor.learned_from(signals) is signals
    y, A = observed(sensor, signals, torch.tensor([2, 0]))
    assert y.shape == (2, 1, 8, 8) and A.count.tolist() == [63, 64]
    assert not A(torch.ones(2, 1, 8, 8))[0, 0, 3, 4]


@pytest.mark.parametrize("rule", ["projection:7", "blur:1.5", "down:2", "blur:1+down:4"])
def test_a_simulated_measurement_is_of_the_signals_in_model_units(rule: str):
    signals, recipe = given(blobs(300)), recipe_of(None, (f"data.measure={rule}", "seed=3", RAW))
    sensor = sensor_of(recipe, signals)
    seen = sensor.learned_from(signals)
    x, _ = signals.batch(range(300))
    expected = measure(rule, (1, 8, 8), 300, 3)(x)
    y, A = observed(sensor, seen)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(A(x), y, atol=1e-5, rtol=0)
    some, part = observed(sensor, seen, torch.tensor([7, 2]))
    torch.testing.assert_close(some, y[[7, 2]])
    torch.testing.assert_close(part(x[[7, 2]]), some, atol=1e-5, rtol=0)
    assert seen.names == signals.names and seen.veil is None and sensor.shape == (1, 8, 8)


@pytest.mark.parametrize(("low", "high"), [(0, 255), (-1, 1), (-3, 10)])
def test_measurements_through_a_matrix_are_brought_to_model_units(
    low: float, high: float, bench: Path, matrix: np.ndarray
):
    x = np.random.default_rng(0).uniform(-1, 1, (9, 64))
    data = (x + 1) * (high - low) / 2 + low
    recipe = matrix_recipe(bench, "data.shape=1x8x8", f"data.range={low}:{high}")
    signals = given((data @ matrix.T).astype(np.float32), kind="table")
    sensor = sensor_of(recipe, signals)
    y, A = observed(sensor, sensor.learned_from(signals))
    found = A(torch.from_numpy(x.reshape(9, 1, 8, 8)).float())
    # float32 sums of 64 products, in which the middle of the range is taken off.
    torch.testing.assert_close(y, found, atol=2e-5, rtol=0)
    lengths = A.vjp(torch.zeros(9, 1, 8, 8))[1](torch.eye(MEASURED)[:9]).flatten(1).norm(dim=1)
    assert lengths.min() > 0.2 and lengths.max() < 3
    assert sensor.scale.low == low and sensor.scale.high == high
    assert sensor.scale.dtype == ("uint8" if high == 255 else "float32")


def test_rows_have_a_length_of_one_root_mean_square(bench: Path):
    recipe = matrix_recipe(bench, "data.shape=64")
    sensor = sensor_of(recipe, given(np.load(bench / "y.npy"), kind="table"))
    assert sensor.shape == (64,) and sensor.operator is not None
    rows = sensor.operator.matrix  # type: ignore[attr-defined]
    assert rows.square().sum(1).mean().item() == pytest.approx(1, rel=1e-5)


def test_a_matrix_and_the_same_simulated_agree(tmp_path: Path):
    signals, A = given(blobs(10)), white(7, (1, 8, 8), 0).numpy()
    np.save(tmp_path / "A.npy", A)
    known = recipe_of(None, ("data.measure=projection:7", RAW))
    one = sensor_of(known, signals).learned_from(signals)
    told = matrix_recipe(tmp_path, "data.shape=1x8x8", "data.range=0:255")
    y = given(blobs(10).reshape(10, 64).astype(np.float32) @ A.T, kind="table")
    two = sensor_of(told, y).learned_from(y)
    gain = np.sqrt((A**2).sum(1).mean())
    np.testing.assert_allclose(one.values, gain * two.values, atol=2e-5)


@pytest.mark.parametrize("rule", ["projection:7", "blur:1+down:2", "down:4"])
def test_an_operator_written_out_is_the_operator(rule: str):
    x = torch.randn(5, 1, 8, 8)
    A = measure(rule, (1, 8, 8), 5, 0)
    written = written_out(A, (1, 8, 8))
    torch.testing.assert_close(x.flatten(1) @ written.T, A(x).flatten(1), atol=1e-5, rtol=1e-5)


def test_too_many_rows_are_not_written_out(monkeypatch: pytest.MonkeyPatch):
    A = measure("projection:7", (1, 8, 8), 2, 0)
    monkeypatch.setattr(judging, "ROWS", 6)
    with pytest.raises(UserError, match="at most 6 numbers, this one has 7"):
        judging._matrix(A, (1, 8, 8))


# The command line -----------------------------------------------------------------------------


def test_learning_from_projections(projected: Path, shelf: Path, tmp_path: Path, abprop: Command):
    facts = json.loads(abprop("info", projected, "--json").out)
    assert (facts["shape"], facts["examples"]) == ([1, 8, 8], 24)
    out = tmp_path / "x.npy"
    assert abprop("sample", projected, "-n", "3", "-o", out).code == 0
    assert np.load(out).shape == (3, 1, 8, 8)
    assert abprop("reconstruct", projected, shelf / "other.npy", "-o", out).code == 0
    assert np.load(out).shape == (12, 1, 8, 8) and np.load(out).dtype == np.uint8


def test_signals_behind_simulated_measurements_are_scored(projected: Path, abprop: Command):
    done = abprop("evaluate", projected, "--against", "minnorm,lasso", "--json")
    result = json.loads(done.out)
    assert (result["n"], result["scored"]) == (24, "signals")
    assert set(result["baselines"]) == {"minnorm", "lasso"}
    x = blobs(60)[:24].reshape(24, 64) / 127.5 - 1
    A = white(MEASURED, (1, 8, 8), 0).double().numpy()
    least = x @ A.T @ np.linalg.pinv(A).T
    assert result["baselines"]["minnorm"]["mse"] == pytest.approx(
        ((least - x) ** 2).mean(), rel=1e-3
    )
    off = load(projected).recover().mean.reshape(24, 64) / 127.5 - 1 - x
    # Answers are clipped where they leave [-1, 1], which the truth never does.
    assert (off**2).mean() <= result["mse"] < 1.5 * (off**2).mean()
    assert result["rmse_data"] == pytest.approx(127.5 * np.sqrt(result["mse"]))
    assert result["mse"] < 0.7 * result["baselines"]["minnorm"]["mse"]
    assert result["mse"] < result["all"]["mse"], "what f leaves over is told by the measurements"
    assert 0.6 < result["coverage90"] <= 1


def test_measurements_are_scored_where_they_are_all_there_is(
    through: Path, bench: Path, abprop: Command
):
    for source, count in ((None, 24), (bench / "more.npy", 5)):
        words = () if source is None else (source,)
        done = abprop("evaluate", through, *words, "--against", "minnorm", "--json")
        result = json.loads(done.out)
        assert (result["n"], result["scored"]) == (count, "measurements")
        # The least signal agrees with all that was measured, up to float32.
        assert result["baselines"]["minnorm"]["mse"] < 1e-9 < result["mse"]


def test_reconstructions_through_a_matrix_are_signals(
    through: Path, bench: Path, tmp_path: Path, abprop: Command
):
    for words, count in (((), 24), ((bench / "more.npy",), 5)):
        assert abprop("reconstruct", through, *words, "-o", tmp_path / "x.npy").code == 0
        x = np.load(tmp_path / "x.npy")
        assert x.shape == (count, 1, 8, 8) and x.dtype == np.uint8
    assert abprop("embed", through, bench / "more.npy", "-o", tmp_path / "z.npz").code == 0
    assert np.load(tmp_path / "z.npz")["z"].shape == (5, 4)


@pytest.mark.parametrize("words", [("--measure", "down:2"), ("--measure", "blur:1+projection:9")])
def test_fit_measured_ends_in_a_report(
    words: tuple[str, ...], shelf: Path, run_dir: Path, abprop: Command
):
    done = abprop("fit", shelf / "faces.npy", "--run", run_dir, *keys(*SETS), *words)
    assert done.code == 0, done.err
    page = (run_dir / "report.html").read_text("utf-8")
    assert "From the measurements" in page and "Is it memory?" not in page


def test_fit_through_a_matrix_ends_in_a_report(bench: Path, run_dir: Path, abprop: Command):
    words = (*keys(*SETS, "data.shape=1x8x8"), "--operator", bench / "A.npy")
    done = abprop("fit", bench / "y.npy", "--run", run_dir, *words)
    assert done.code == 0, done.err
    assert "From the measurements" in (run_dir / "report.html").read_text("utf-8")
    assert load(run_dir).sample(2).dtype == np.float32, "no range, no bytes"


# What the user can mend -----------------------------------------------------------------------

A = ("--operator", "{A}")
SHAPE = ("--set", "data.shape=1x8x8")
BAD = {
    "both": (("fit", "{y}", "--measure", "grey", *A, *SHAPE), "exclude each other"),
    "a rule that is none": (("fit", "{faces}", "--measure", "proj:9"), "unknown rule 'proj'"),
    "no number": (("fit", "{faces}", "--measure", "projection"), "projection:1000"),
    "a projection first": (("fit", "{faces}", "--measure", "projection:9+grey"), "write it last"),
    "too many": (("fit", "{faces}", "--measure", "projection:65"), "at most projection:64"),
    "too coarse": (("fit", "{faces}", "--measure", "down:16"), "down"),
    "blurred tables": (("fit", "{y}", "--measure", "blur:1"), "blur"),
    "measured and hidden": (
        ("fit", "{faces}", "--measure", "down:2", "--hide", "S.1"), "must be complete"),
    "measured and missing": (
        ("fit", "{holes}", "--measure", "projection:3"), "example '000003' is missing"),
    "no shape": (("fit", "{y}", *A), "data.shape=3x64x64"),
    "no matrix": (("fit", "{y}", "--operator", "gone.npy", *SHAPE), "gone.npy does not exist"),
    "no .npy": (("fit", "{y}", "--operator", "{csv}", *SHAPE), "must be a matrix in a .npy"),
    "a matrix of three axes": (("fit", "{y}", "--operator", "{cube}", *SHAPE), "must be a matrix"),
    "a matrix with NaN": (("fit", "{y}", "--operator", "{nan}", *SHAPE), "finite numbers"),
    "a matrix turned": (("fit", "{y}", "--operator", "{turned}", *SHAPE), "need 20x64"),
    "another shape": (("fit", "{y}", *A, "--set", "data.shape=1x9x8"), "need 20x72"),
    "measurements of something else": (("fit", "{wide}", *A, *SHAPE), "need 21x64"),
    "NaN in measurements": (("fit", "{gaps}", *A, *SHAPE), "a measurement of example '000002'"),
    "infinite measurements": (("fit", "{infinite}", *A, *SHAPE), "'000001': an infinite value"),
    "hidden measurements": (("fit", "{y}", *A, *SHAPE, "--hide", "S.1"), "must be complete"),
    "measured twice": (("recover", "{through}", "--measure", "down:2"), "leave them out"),
    "a rule of something else": (
        ("recover", "{projected}", "{faces}", "--operator", "down:2"), "need 64x64"),
    "a rule that is none, of y": (
        ("recover", "{projected}", "{faces}", "--operator", "up:2"), "a matrix in a .npy"),
    "y that is nowhere": (("recover", "{projected}", "--operator", "down:2"), "needs a SOURCE"),
    "measurements, said to be signals": (
        ("recover", "{projected}", "{small}", "--measure", "down:2"), "--operator down:2"),
    "masks of measurements": (
        ("recover", "{projected}", "{faces}", "--measure", "down:2", "--hide", "S.1"),
        "not with masks"),
    "a table completed": (
        ("fit", "{y}", *A, "--set", "data.shape=64", "--set", "data.complete=yes"),
        "only signals with axes"),
    "more of something else": (("evaluate", "{through}", "{wide}"), "need 21x64"),
    "more with NaN": (("evaluate", "{through}", "{gaps}"), "a measurement of example '000002'"),
    "signals of another shape": (("evaluate", "{projected}", "{large}"), "1x16x16"),
    "hidden signals": (
        ("evaluate", "{projected}", "{faces}", "--hide", "S.1"), "must be complete"),
    "a baseline for pictures": (
        ("evaluate", "{projected}", "--against", "mean"), "mean: not for measurements"),
    "an unknown baseline": (
        ("evaluate", "{through}", "--against", "laso"), "did you mean 'lasso'"),
}  # fmt: skip


@pytest.fixture(scope="module")
def places(
    shelf: Path, bench: Path, projected: Path, through: Path, matrix: np.ndarray
) -> dict[str, Path]:
    """What the words in braces stand for."""
    y = np.load(bench / "y.npy")
    gaps, infinite, broken = y.copy(), y.copy(), matrix.copy()
    gaps[2, 3], infinite[1, 4], broken[0, 0] = np.nan, np.inf, np.nan
    holes = blobs(9).astype(np.float32)
    holes[3, 2, 2] = np.nan
    saved = {
        "gaps": gaps,
        "infinite": infinite,
        "wide": np.ones((5, 21)),
        "cube": np.ones((4, 5, 64)),
        "nan": broken,
        "turned": matrix.T,
        "holes": holes,
        "large": blobs(3, side=16),
        "small": blobs(3, side=4),
    }
    for name, values in saved.items():
        np.save(bench / f"{name}.npy", values)
    return {
        "faces": shelf / "faces.npy",
        "csv": shelf / "table.csv",
        "projected": projected,
        "through": through,
        **{name: bench / f"{name}.npy" for name in ("A", "y", *saved)},
    }


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line(case: str, places: dict[str, Path], run_dir: Path, abprop: Command):
    words, told = BAD[case]
    done = abprop(*(word.format(**places) for word in words))
    assert told in done.complaint
    assert not list(run_dir.parent.rglob("recipe.toml")), "no run of what could not be read"
