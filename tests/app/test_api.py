"""The same from Python: arrays in, arrays out, in the data's own units and dtype."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import blobs, rows, waves

import abprop
from abprop.errors import UserError

SHORT = {"iterations": 4, "steps": 2, "batch": 20, "sets": {"model.channels": 8}, "verbose": False}

PICTURES = {
    "grey": blobs(24),
    "RGB": np.stack([blobs(24, seed=i) for i in range(3)], axis=-1),
    "channels first": np.stack([blobs(24, seed=i) for i in range(3)], axis=1),
    "16 bits": blobs(24).astype(np.uint16) * 257,
    "floats in [0, 1]": blobs(24).astype(np.float32) / 255,
    "floats in [-1, 1]": blobs(24) / 127.5 - 1,
    "booleans": blobs(24) > 100,
}


def fit(source: object, run: Path, **more: object):
    return abprop.fit(source, run=run, **{**SHORT, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", PICTURES)
def test_pictures(kind: str, tmp_path: Path):
    values = PICTURES[kind]
    run = fit(values, tmp_path / "run", latent=3)
    channels = 3 if values.ndim == 4 else 1
    dtype = {"f": np.float32, "b": np.uint8}.get(values.dtype.kind, values.dtype)
    shape = (channels, 8, 8)
    for x, count in (
        (run.sample(5), 5),
        (run.sample(), 64),
        (run.reconstruct(), 24),
        (run.reconstruct(values[:2]), 2),
        (run.interpolate(side=3), 9),
    ):
        assert x.shape == (count, *shape) and x.dtype == dtype
        assert np.isfinite(x.astype(float)).all()
    if values.dtype.kind == "f":
        assert values.min() - 1e-6 <= run.sample().min() and run.sample().max() <= 1 + 1e-6
    assert run.embed().shape == (24, 3) and run.embed(values[:2]).shape == (2, 3)
    result = run.evaluate(values[:6], against=["mean", "pca"])
    assert result["n"] == 6 and result["latent_dim"] == 3 and set(result["baselines"]) > {"mean"}


def test_reconstructions_of_a_reconstruction(tmp_path: Path):
    """What came out goes in again, in the same units: it is explained far better than the first."""
    run, given = fit(blobs(24), tmp_path / "run", latent=3), blobs(3, seed=7)
    once = run.reconstruct(given)
    again = run.reconstruct(once).astype(int)
    assert np.abs(again - once).mean() < np.abs(once.astype(int) - given[:, None]).mean() / 10


def test_a_table_with_gaps(tmp_path: Path):
    run = fit(rows(), tmp_path / "run", latent=2)
    for x, count in ((run.sample(5), 5), (run.reconstruct(), 60), (run.interpolate(side=3), 9)):
        assert x.shape == (count, 5) and x.dtype == np.float32 and np.isfinite(x).all()
    assert run.reconstruct(rows()[:4]).shape == (4, 5)
    assert run.embed(rows()[:4]).shape == (4, 2)
    result = run.evaluate()
    assert result["n"] == 60 and np.isfinite(result["rmse_data"])
    with pytest.raises(UserError, match="missing"):
        run.evaluate(against=["mean"])


@pytest.mark.parametrize("colour", [False, True])
def test_one_texture(colour: bool, tmp_path: Path):
    values = np.stack([waves()] * 3, axis=-1) if colour else waves()
    sets = {"model.channels": 8, "data.crop": 16, "data.crops": 6}
    run = fit(values, tmp_path / "run", sets=sets)
    channels = 3 if colour else 1
    assert run.sample().shape == (1, channels, 16, 16)
    assert run.sample(2, size=(24, 40)).shape == (2, channels, 24, 40)
    assert run.reconstruct().shape == (6, channels, 16, 16)
    assert run.embed().shape == (6, 5 * channels, 6, 6), "two levels of cells of 4 and 2 pixels"
    with pytest.raises(UserError, match="map"):
        run.interpolate()


def test_a_larger_texture_contains_the_smaller_one(tmp_path: Path):
    run = fit(waves(), tmp_path / "run", sets={"model.channels": 8, "data.crop": 16})
    small, large = run.sample(1, size=(20, 20)), run.sample(1, size=(40, 60))
    assert np.abs(large[:, :, :20, :20].astype(int) - small).max() <= 1


def test_a_plane_of_latents(tmp_path: Path):
    run = fit(blobs(24), tmp_path / "run", latent=2)
    assert run.latent_grid().shape == (81, 1, 8, 8)
    assert run.latent_grid(3, extent=1.0).shape == (9, 1, 8, 8)
    with pytest.raises(UserError, match="latent"):
        fit(blobs(24), tmp_path / "three", latent=3).latent_grid()


def test_other_containers(tmp_path: Path):
    tensor = torch.from_numpy(blobs(12))
    # A precision that is given: which one is faster is measured, and need not be the same twice.
    run = fit(tensor, tmp_path / "tensor", latent=2, precision="float32")
    other = fit(blobs(12), tmp_path / "array", latent=2, precision="float32")
    assert np.array_equal(run.reconstruct(), other.reconstruct())
    masked = np.ma.masked_invalid(rows())
    assert fit(masked, tmp_path / "masked", latent=2).sample(2).shape == (2, 5)


def test_misspelt_arguments(tmp_path: Path):
    with pytest.raises(UserError, match="did you mean 'latent'"):
        fit(blobs(12), tmp_path / "run", latnt=3)
    with pytest.raises(UserError, match=r"did you mean 'model\.latent'"):
        fit(blobs(12), tmp_path / "run", sets={"model.latnt": 3})
    with pytest.raises(UserError, match=r"data\.channels or model\.channels"):
        fit(blobs(12), tmp_path / "run", channels=8)
    with pytest.raises(UserError, match=r"train\.iterations"):
        fit(blobs(12), tmp_path / "run", iterations=0)
    assert not (tmp_path / "run" / "recipe.toml").exists()


def test_what_cannot_be_asked(tmp_path: Path):
    run = fit(blobs(12), tmp_path / "run", latent=2)
    for ask, told in (
        (lambda: run.sample(0), "at least 1"),
        (lambda: run.sample(size=(80, 48)), "vector"),
        (lambda: run.reconstruct(blobs(2, side=16)), "1x16x16"),
        (lambda: run.reconstruct(rows()), "shape|kind|learned"),
        (lambda: run.interpolate([0, 1]), "four"),
        (lambda: run.interpolate([0, 1, 2, 99]), "99"),
        (lambda: run.evaluate(against=["pac"]), "pca"),
    ):
        with pytest.raises(UserError, match=told):
            ask()


def test_loading_again(tmp_path: Path):
    fitted = fit(blobs(24), tmp_path / "run", latent=3)
    run = abprop.load(tmp_path / "run")
    assert np.array_equal(run.sample(4), fitted.sample(4))
    assert np.array_equal(run.embed(), fitted.embed())
    assert run.info() == fitted.info()
    with pytest.raises(UserError, match="data"):
        run.reconstruct()
    assert abprop.load(tmp_path / "run", data=blobs(24)).reconstruct().shape == (24, 1, 8, 8)


def test_a_run_resumes_from_python_too(tmp_path: Path):
    fit(blobs(24), tmp_path / "run", latent=3)
    run = fit(blobs(24), tmp_path / "run", latent=3, iterations=6)
    assert run.info()["iterations"] == 6
    with pytest.raises(UserError, match="other data"):
        fit(blobs(24, seed=3), tmp_path / "run", latent=3, iterations=6)


def test_few_examples(tmp_path: Path):
    for count in (2, 3):
        run = fit(blobs(count), tmp_path / str(count), latent=2)
        assert run.reconstruct().shape == (count, 1, 8, 8)
        assert run.interpolate(side=2).shape == (4, 1, 8, 8)


def test_nothing_global_is_changed(tmp_path: Path):
    torch.manual_seed(5)
    np.random.seed(5)
    state, numbers = torch.get_rng_state(), np.random.get_state()[1].copy()
    fit(blobs(24), tmp_path / "run", latent=3).sample(2)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.array_equal(np.random.get_state()[1], numbers)


def test_a_run_measures_others_by_its_own_scale_whatever_their_type(tmp_path: Path):
    values = blobs(24)
    run = fit(values, tmp_path / "run", latent=3)
    some = values[:5]
    for dtype in (np.float32, np.float64, np.int32, np.uint16):
        assert np.array_equal(run.embed(some), run.embed(some.astype(dtype)))
    unit = some.astype(np.float32) / 255
    with pytest.raises(UserError, match=r"this run learned 0 to 255.*data.range"):
        run.embed(unit)
    assert np.allclose(run.embed(some), run.embed(unit, ["data.range=0:1"]), atol=1e-4)


def test_rows_given_as_integers_or_floats_are_the_same_rows(tmp_path: Path):
    table = np.random.default_rng(0).integers(0, 1000, (60, 4))
    run = fit(table.astype(np.float32), tmp_path / "run", latent=2)
    other = np.random.default_rng(1).integers(0, 1000, (7, 4))
    assert np.array_equal(run.embed(other), run.embed(other.astype(np.float32)))
