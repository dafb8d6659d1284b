"""From a recipe and a source to examples, and the parts made for them."""

import numpy as np
import pytest
import torch

from abprop.distributed import Shards
from abprop.inference import chunks
from abprop.learning import ModelSettings, Settings, TrainSettings
from abprop.learning import parts as parts_of
from abprop.learning.batches import Batches, batches, largest_batch
from abprop.run.recipe import Recipe, settings
from abprop.run.recipe import compose as recipe_of
from abprop.run.split import COPY, resolve, split
from abprop.sources import read


def faces(n: int = 120, side: int = 16) -> np.ndarray:
    """Left-right symmetric pictures, as a set: smooth blobs at mirrored places."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:side, :side] / side - 0.5
    at = rng.uniform(-0.3, 0.3, (n, 2, 1, 1))
    blobs = np.exp(-((xx - at[:, 0]) ** 2 + (yy - at[:, 1]) ** 2) / 0.05)
    return (255 * blobs).astype(np.uint8)


def resolved(array: np.ndarray, *sets: str) -> tuple[Recipe, object]:
    signals = read(array)
    return resolve(recipe_of(None, sets), signals)[0], signals


def test_symmetric_pictures_are_mirrored_and_others_are_not() -> None:
    symmetric, _ = resolved(faces())
    assert symmetric.data.mirror == "yes"
    one_sided = faces()
    one_sided[:, :, 8:] //= 8
    assert resolved(one_sided)[0].data.mirror == "no"


@pytest.mark.parametrize(
    "pictures, sets, decay",
    [
        (faces(), [], 0.3),
        (faces(), ["train.weight_decay=0"], 0.0),
        (faces(), ["train.weight_decay=0.1"], 0.1),
        (faces()[:, ::2, ::2], [], 0.0),  # digits of 8x8 are told worse with it
        (faces(20), [], 0.0),
        (faces()[0], [], 0.0),  # a texture
        (faces(), ["model.network=linear"], 0.0),  # factor analysis is exact
        (faces(), ["model.latent=4x4x4"], 0.0),
    ],
)
def test_weights_decay_where_that_was_measured_to_help(
    pictures: np.ndarray, sets: list[str], decay: float
) -> None:
    recipe, _ = resolved(pictures, *sets)
    assert recipe.train.weight_decay == decay, "written into the recipe, whatever it is"
    assert settings(recipe).train.weight_decay == decay


def test_few_examples_are_all_learned_from() -> None:
    recipe, signals = resolved(faces(20))
    parts = split(recipe, signals)
    assert recipe.data.holdout == 0 and parts.heldout is None and parts.originals == 20


def test_copies_are_further_examples_with_ids_of_their_own() -> None:
    recipe, signals = resolved(faces(), "data.mirror=yes", "data.shift=1")
    parts = split(recipe, signals)
    assert parts.heldout is not None and len(parts.heldout) == 6
    assert parts.originals == 114 and len(parts.train) == 1140
    assert (parts.ids.diff() > 0).all()
    held = {name for name in parts.heldout.names}
    assert held.isdisjoint(parts.train.names[:114])
    first = parts.ids[:114]
    assert torch.equal(parts.ids.reshape(10, 114) % COPY, first.expand(10, 114))
    assert torch.equal(parts.ids.reshape(10, 114)[:, 0] // COPY, torch.arange(10))
    assert parts.ids.max() < 2**32, "a counter of the noise"


def test_what_is_held_out_does_not_depend_on_how_it_is_learned() -> None:
    plain, signals = resolved(faces(), "data.mirror=no", "data.shift=0")
    copied, _ = resolved(faces(), "data.mirror=yes", "data.shift=2", "model.latent=3")
    a, b = split(plain, signals).heldout, split(copied, signals).heldout
    assert a is not None and b is not None and a.names == b.names


@pytest.mark.parametrize("size", [0, 7, 16, 32, 37, 38, 50, 500])
def test_an_epoch_visits_every_example_once_and_no_batch_one_twice(size: int) -> None:
    recipe, signals = resolved(faces(), "data.mirror=no", f"train.batch={size}", "data.shift=0")
    parts = split(recipe, signals)
    n, b, cpu = len(parts.train), size or len(parts.train), torch.device("cpu")
    epochs = 6
    count = epochs * n // b if n >= 3 * b else epochs * max(1, round(n / b))
    known = settings(recipe)
    ids = [batch.ids for batch in batches(known, parts.examples, 0, count, cpu)]
    assert all(len(some.unique()) == len(some) for some in ids)
    if n >= 3 * b:
        assert {len(some) for some in ids} == {b}
    else:
        assert max(map(len, ids)) - min(map(len, ids)) <= 1
    visits = torch.cat(ids)
    times = torch.bincount(torch.searchsorted(parts.ids, visits), minlength=n)
    assert times.min() >= epochs - 1 and times.max() <= epochs
    for k in range(epochs - 1):  # places may change near the seams alone
        assert len(visits[k * n : (k + 1) * n].unique()) >= n - b
    assert b >= n or not torch.equal(visits[:n], visits[n : 2 * n])  # a batch is in order of ids


@pytest.mark.parametrize(
    ("n", "batch", "most"),
    [
        *((1707, 128, 64), (11_000, 128, 64), (384, 32, 64), (270_000, 128, 64)),
        *((1707, 16, 64), (11_000, 16, 64), (384, 16, 64)),
    ],
)
def test_presets_infer_hardly_a_row_that_no_one_needs(n: int, batch: int, most: int) -> None:
    train = TrainSettings(batch=batch)
    known = Settings(ModelSettings((2,)), train=train)
    order = Batches(0, Shards(n), batch)
    chunk = parts_of.fitting_chunk(most, largest_batch(n, known.train.batch))
    needed = [len(order[t]) for t in range(20)]
    computed = [sum(len(rows) for rows, _ in chunks(m, chunk)) for m in needed]
    assert sum(computed) <= 1.05 * sum(needed)


def test_passes_of_few_examples_are_padded_little() -> None:
    for rows in range(16, 400):
        chunk = parts_of.fitting_chunk(64, rows)
        assert chunk % 16 == 0 and chunk <= 64
        assert -(-rows // chunk) * chunk <= rows + 63  # never a pass of padding alone


def test_batches_are_a_function_of_the_iteration() -> None:
    recipe, signals = resolved(faces(), "train.batch=20")
    parts, cpu = split(recipe, signals), torch.device("cpu")
    whole = list(batches(settings(recipe), parts.examples, 0, 40, cpu))
    for start in (1, 13, 39):
        later = list(batches(settings(recipe), parts.examples, start, 40, cpu))
        for a, b in zip(whole[start:], later, strict=True):
            assert torch.equal(a.ids, b.ids) and torch.equal(a.y, b.y)


def test_chains_start_from_principal_scores_of_one_scale() -> None:
    recipe, signals = resolved(faces(), "model.latent=5", "infer.start=pca", "data.mirror=no")
    parts = split(recipe, signals)
    model = parts_of.make_model(settings(recipe).model, parts.train.shape, torch.float32, 0)
    z = parts_of.make_latents(settings(recipe), parts.examples, parts.originals, model).z
    assert abs(z.square().mean() - 1) < 1e-4
    x = parts.train.batch(torch.arange(len(parts.train)))[0].flatten(1)
    near = torch.cdist(x, x).flatten()
    apart = torch.cdist(z, z).flatten()
    assert torch.corrcoef(torch.stack((near, apart)))[0, 1] > 0.98  # distances are kept
    centred = z - z.mean(0)
    torch.testing.assert_close(model.prior.covariance, centred.T @ centred / len(z))


def test_a_texture_is_cut_into_crops_with_map_latents() -> None:
    signals = read(np.random.default_rng(0).integers(0, 255, (200, 180, 3), dtype=np.uint8))
    recipe, _ = resolve(Recipe(), signals)
    parts = split(recipe, signals)
    assert recipe.data.kind == "texture" and recipe.model.latent == "168x8x8"
    assert recipe.model.levels == 3 and settings(recipe).model.levels == 3
    assert parts.train.shape == (3, 96, 96) and parts.heldout is None
    model = parts_of.make_model(settings(recipe).model, parts.train.shape, torch.float32, 0)
    assert model.network(torch.zeros(1, 168, 8, 8)).shape == (1, 3, 96, 96)


def test_a_maps_chains_start_from_the_pieces_under_their_cells() -> None:
    rng = np.random.default_rng(1)
    smooth = np.kron(rng.integers(0, 255, (12, 12)), np.ones((16, 16))).astype(np.uint8)
    signals = read(smooth, kind="texture")
    recipe, _ = resolve(recipe_of(None, ["data.crop=64", "data.crops=40"]), signals)
    assert recipe.infer.start == "pca"
    parts = split(recipe, signals)
    model = parts_of.make_model(settings(recipe).model, parts.train.shape, torch.float32, 0)
    z = parts_of.make_latents(settings(recipe), parts.examples, parts.originals, model).z
    assert z.shape == (40, *model.network.latent_shape)
    assert abs(z.square().mean() - 1) < 1e-4
    y = parts.train.batch(torch.arange(40))[0]

    def alike(piece: torch.Tensor, cell: torch.Tensor) -> float:
        """How well distances between pieces agree with those between a cell's latents."""
        apart = torch.cdist(piece.flatten(1), piece.flatten(1)), torch.cdist(cell, cell)
        return torch.corrcoef(torch.stack([d.flatten() for d in apart]))[0, 1].item()

    cell = 2**model.network.stages
    own = alike(y[:, :, :cell, :cell], z[:, :, 1, 1])
    assert own > 0.95 and own > alike(y[:, :, cell:, cell:], z[:, :, 1, 1])
    assert alike(y[:, :, cell : 2 * cell, :cell], z[:, :, 2, 1]) > 0.95


def test_a_small_picture_has_as_many_crops_as_there_are() -> None:
    rng = np.random.default_rng(1)
    signals = read(rng.integers(0, 255, (30, 24), dtype=np.uint8), kind="texture")
    recipe, _ = resolve(Recipe(), signals)
    assert (recipe.data.crop, recipe.data.crops) == (16, 15 * 9)
    assert len(split(recipe, signals).train) == 15 * 9


def test_a_map_asked_for_has_one_level_and_a_coarse_picture_large_cells() -> None:
    rng = np.random.default_rng(1)
    coarse = read(np.kron(rng.integers(0, 255, (16, 16)), np.ones((16, 16))).astype(np.uint8))
    fine = read(rng.integers(0, 255, (256, 256)).astype(np.uint8))
    assert resolve(Recipe(), coarse)[0].model.latent == "168x5x5"
    assert resolve(Recipe(), fine)[0].model.latent == "84x8x8", "grey: fewer values, fewer factors"
    asked, _ = resolve(recipe_of(None, ["model.latent=16x5x5"]), fine)
    assert asked.model.levels is None and settings(asked).model.levels == 1


def test_learning_rate_warms_up_and_falls() -> None:
    recipe = recipe_of(None, ["train.learning_rate=1.0", "model.latent=2"])
    rates = [parts_of.rate(settings(recipe), t, 1000) for t in (0, 49, 500, 999)]
    assert rates[0] < 0.03 and rates[1] > 0.98 and abs(rates[2] - 0.505) < 0.01 and rates[3] < 0.02
    constant = recipe_of(recipe, ["train.schedule=constant"])
    assert parts_of.rate(settings(constant), 999, 1000) == 1.0


def test_sigma_is_chosen_from_what_pca_leaves_unexplained() -> None:
    few, _ = resolved(faces(), "model.latent=2")
    many, _ = resolved(faces(), "model.latent=20")
    assert isinstance(few.model.sigma, float) and isinstance(many.model.sigma, float)
    assert many.model.sigma < few.model.sigma
    assert resolved(faces(20))[0].model.sigma == "learned"
    assert resolved(faces(), "model.sigma=0.7")[0].model.sigma == 0.7
