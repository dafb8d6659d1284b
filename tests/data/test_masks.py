"""What a mask may be, what it is refused for; and that nothing behind one has any influence."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from abprop.data import ASIDE, MISSING, OBSERVED, SECRET, Signals
from abprop.data.masks import codes
from abprop.sources import read

Refused = Callable[..., str]


@pytest.fixture
def masks(random: np.random.Generator) -> np.ndarray:
    """A mask for each of five pictures, bool (5, 12, 16), each with about a third hidden."""
    return random.random((5, 12, 16)) < 0.35


def veil(signals: Signals) -> np.ndarray:
    """Of all examples."""
    found = signals.codes(range(len(signals)))
    assert found is not None
    return found


def picture(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))


def as_folder(path: Path, masks: np.ndarray) -> object:
    path.mkdir()
    for i, mask in enumerate(masks):
        picture(mask).save(path / f"p{i}.png")
    return path


def as_zip(path: Path, masks: np.ndarray) -> object:
    folder = as_folder(path, masks)
    with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
        for file in sorted(Path(str(folder)).iterdir(), reverse=True):
            archive.write(file, f"deep/{file.name}")
    return path.with_suffix(".zip")


def as_npy(path: Path, masks: np.ndarray) -> object:
    np.save(path.with_suffix(".npy"), masks)
    return str(path.with_suffix(".npy"))


def as_npz(path: Path, masks: np.ndarray) -> object:
    np.savez(path.with_suffix(".npz"), other=np.arange(3), hidden=masks)
    return f"{path.with_suffix('.npz')}:hidden"


def as_array(path: Path, masks: np.ndarray) -> object:
    return masks


def as_tensor(path: Path, masks: np.ndarray) -> object:
    return torch.from_numpy(masks)[:, None]


def as_numbers(path: Path, masks: np.ndarray) -> object:
    return 0.5 * masks.astype(np.float32)[..., None]


def as_colours(path: Path, masks: np.ndarray) -> object:
    return np.repeat(masks[..., None], 3, -1)


def as_inverse(path: Path, masks: np.ndarray) -> object:
    return f"not:{as_npy(path, ~masks)}"


def as_inverse_of_an_inverse(path: Path, masks: np.ndarray) -> object:
    return f"not:not:{as_folder(path, masks)}"


KINDS = [as_folder, as_zip, as_npy, as_npz, as_array, as_tensor, as_numbers, as_colours,
         as_inverse, as_inverse_of_an_inverse]  # fmt: skip


@pytest.mark.parametrize("made", KINDS)
def test_every_kind_of_mask_hides_the_same(
    made, tmp_path: Path, folder: Path, colours: np.ndarray, masks: np.ndarray
):
    signals = read(folder, masks=made(tmp_path / "masks", masks))
    found = veil(signals)
    np.testing.assert_array_equal(found == SECRET, np.broadcast_to(masks[:, None], found.shape))
    assert not ((found != SECRET) & (found != OBSERVED)).any()
    np.testing.assert_array_equal(signals.values, np.moveaxis(colours, -1, 1))
    y, hidden = signals.batch(range(5))
    assert hidden is not None and not y[hidden.expand_as(y)].any()


@pytest.mark.parametrize("made", [kind for kind in KINDS if kind is not as_folder])
def test_masks_follow_the_examples_that_are_chosen(
    made, tmp_path: Path, folder: Path, masks: np.ndarray
):
    signals = read(folder, masks=made(tmp_path / "masks", masks), select="3,0:2")
    np.testing.assert_array_equal(veil(signals)[:, 0] == SECRET, masks[[3, 0, 1]])


def test_masks_of_the_chosen_alone(folder: Path, masks: np.ndarray):
    signals = read(folder, masks=masks[:2], select="3,1")
    np.testing.assert_array_equal(veil(signals)[:, 0] == SECRET, masks[:2])


def test_pictures_are_matched_by_the_names_of_their_files(
    tmp_path: Path, folder: Path, masks: np.ndarray
):
    (tmp_path / "masks").mkdir()
    for i in (4, 2, 0, 1, 3):
        picture(masks[i]).save(tmp_path / "masks" / f"p{i}.bmp")
    picture(~masks[0]).save(tmp_path / "masks" / "another.png")
    np.testing.assert_array_equal(
        veil(read(folder, masks=tmp_path / "masks"))[:, 0] == SECRET, masks
    )


def test_an_arrays_examples_are_named_by_their_numbers(
    tmp_path: Path, colours: np.ndarray, masks: np.ndarray
):
    (tmp_path / "masks").mkdir()
    for i, mask in enumerate(masks):
        picture(mask).save(tmp_path / "masks" / f"{i:06d}.png")
    found = veil(read(colours, masks=tmp_path / "masks", select="2:4"))
    np.testing.assert_array_equal(found[:, 0] == SECRET, masks[2:4])


@pytest.mark.parametrize("suffix", [".png", ".npy", ".zip"])
def test_one_mask_is_for_all(suffix: str, tmp_path: Path, folder: Path, masks: np.ndarray):
    path = tmp_path / f"one{suffix}"
    if suffix == ".npy":
        np.save(path, masks[0])
    else:
        picture(masks[0]).save(tmp_path / "one.png")
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(tmp_path / "one.png", "one.png")
    signals = read(folder, masks=path)
    np.testing.assert_array_equal(veil(signals)[:, 0] == SECRET, np.stack([masks[0]] * 5))
    assert "one mask for all 5 examples" in signals.note


def test_a_mask_for_each_is_not_called_one_for_all(folder: Path, masks: np.ndarray):
    assert "one mask" not in read(folder, masks=masks).note
    assert "one mask" not in read(np.ones((6, 4)), masks=np.eye(6, 4)).note
    assert "one mask" not in read(np.ones((6, 2, 9)), masks=np.eye(6, 9)).note
    assert "one mask for all 6" in read(np.ones((6, 2, 9)), masks=np.arange(9) > 3).note


def test_grey_levels_are_nearer_to_black_or_to_white(tmp_path: Path):
    levels = np.array([[0, 127, 128, 255]], np.uint8).repeat(2, 0)
    Image.fromarray(levels).save(tmp_path / "8.png")
    Image.fromarray(levels[..., None].repeat(3, -1)).save(tmp_path / "rgb.png")
    Image.fromarray(levels.astype(np.uint16) * 257).save(tmp_path / "16.png")
    tifffile.imwrite(tmp_path / "float.tif", levels.astype(np.float32) / 255)
    for name in ("8.png", "rgb.png", "16.png", "float.tif"):
        found = veil(read(np.ones((3, 1, 2, 4), np.uint8), kind="images", masks=tmp_path / name))
        assert (found[0, 0] == SECRET).tolist() == [[False, False, True, True]] * 2, name


def test_channels_may_have_masks_of_their_own(colours: np.ndarray, random: np.random.Generator):
    masks = random.random((5, 12, 16, 3)) < 0.4
    for given in (masks, np.moveaxis(masks, -1, 1)):
        found = veil(read(colours, masks=given))
        np.testing.assert_array_equal(found == SECRET, np.moveaxis(masks, -1, 1))


def test_a_missing_colour_makes_the_grey_missing(colours: np.ndarray):
    masks = np.zeros((5, 3, 12, 16), bool)
    masks[:, 0, :3], masks[:, 1, :, :4], masks[:, 2, 8:] = True, True, True
    signals = read(colours, masks=masks, channels="grey")
    np.testing.assert_array_equal(veil(signals) == SECRET, masks.any(1, keepdims=True))
    whole = read(colours, channels="grey")
    np.testing.assert_array_equal(signals.values, whole.values)


def test_cells_of_a_table(tmp_path: Path, refused: Refused):
    values = np.arange(12.0).reshape(4, 3)
    values[0, 0] = np.nan
    mask = np.zeros((4, 3), int)
    mask[0, 0] = mask[2, 1] = mask[3, 2] = 1
    expected = np.array([[MISSING, 0, 0], [0, 0, 0], [0, SECRET, 0], [0, 0, SECRET]])
    np.testing.assert_array_equal(veil(read(values, masks=mask)), expected)
    rows = "\n".join(",".join("" if np.isnan(v) else str(v) for v in row) for row in values)
    (tmp_path / "x.csv").write_text(f"a,b,c\n{rows}\n", "utf-8")
    marks = "\n".join(",".join(map(str, row)) for row in mask)
    (tmp_path / "m.csv").write_text(f"a,b,c\n{marks}\n", "utf-8")
    found = read(tmp_path / "x.csv", masks=tmp_path / "m.csv")
    np.testing.assert_array_equal(veil(found), expected)
    assert found.columns == ("a", "b", "c")
    refused(values, "4 examples", "2 masks", masks=mask[:2])
    refused(values, "'000000'", "is 2", "is 3", masks=mask[:, :2])


@pytest.mark.parametrize("shape", [(5, 2, 30), (5, 2, 6, 7), (5, 2, 3, 6, 7)], ids=str)
def test_signals_of_any_axes(shape: tuple[int, ...], random: np.random.Generator):
    values = random.normal(size=shape)
    masks = random.random((5, *shape[2:])) < 0.4
    for given in (masks, masks[:, None]):
        found = veil(read(values, kind="array", masks=given))
        np.testing.assert_array_equal(found == SECRET, masks[:, None])
    one = read(values, kind="array", masks=masks[0])
    assert (veil(one) == SECRET).all(0).sum() == masks[0].sum()
    assert "one mask for all 5 examples" in one.note
    assert "one mask" not in read(values, kind="array", masks=masks).note


def test_a_texture(random: np.random.Generator):
    values = random.integers(0, 256, (20, 24, 3), dtype=np.uint8)
    mask = random.random((20, 24)) < 0.3
    each = random.random((20, 24, 3)) < 0.3
    for given in (mask, mask[None], mask[..., None]):
        np.testing.assert_array_equal(veil(read(values, masks=given))[0, 0] == SECRET, mask)
    for given in (each, np.moveaxis(each, -1, 0), each[None]):
        np.testing.assert_array_equal(
            veil(read(values, masks=given))[0] == SECRET, np.moveaxis(each, -1, 0)
        )


def test_a_mask_of_nothing_is_no_mask(folder: Path, masks: np.ndarray):
    signals = read(folder, masks=np.zeros_like(masks))
    assert signals.veil is None and signals.hidden is None
    assert signals.fingerprint == read(folder).fingerprint
    assert read(folder, masks="").veil is None


def test_what_no_one_knows_stays_unknown_behind_a_mask(tmp_path: Path):
    pixels = np.full((6, 6, 4), 200, np.uint8)
    pixels[:, :2, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "x.png")
    mask = np.zeros((6, 6), bool)
    mask[:3] = True
    found = veil(read(tmp_path / "x.png", masks=mask, kind="images"))[0, 0]
    expected = np.zeros((6, 6), int)
    expected[:3], expected[:, :2] = SECRET, MISSING
    np.testing.assert_array_equal(found, expected)


def test_codes():
    mask, unknown = np.array([[True, True, False, False]]), np.array([[True, False, True, False]])
    values = np.zeros((1, 4))
    assert codes(values, None, mask).tolist() == [[SECRET, SECRET, OBSERVED, OBSERVED]]
    assert codes(values, unknown, mask).tolist() == [[MISSING, SECRET, MISSING, OBSERVED]]


def test_examples_that_are_hidden_entirely_are_named(folder: Path, masks: np.ndarray):
    masks[[0, 3]] = True
    assert "given the prior: p0, p3" in read(folder, masks=masks).note


# What is refused ------------------------------------------------------------------------------


def test_an_inverse_of_any_depth(folder: Path, tmp_path: Path, masks: np.ndarray, refused: Refused):
    given = as_npy(tmp_path / "masks", masks)
    deep = "not:" * 5001
    assert np.array_equal(veil(read(folder, masks=f"{deep}{given}")) == SECRET, ~masks[:, None])
    refused(folder, "does not exist", masks=deep)


def test_masks_that_are_not_there(folder: Path, tmp_path: Path, refused: Refused):
    (tmp_path / "empty").mkdir()
    (tmp_path / "x.txt").write_text("?", "utf-8")
    (tmp_path / "broken.png").write_bytes(b"?")
    np.savez(tmp_path / "m.npz", hidden=np.zeros((5, 12, 16)))
    for missing in ("gone.npy", "not:gone.npy", "gone.npz:hidden", "~nobody-at-all/m.npy"):
        refused(folder, "--masks", missing.removeprefix("not:").partition(":")[0], masks=missing)
    refused(folder, "--masks", "x" * 300, masks="x" * 300)
    refused(folder, "empty", "no pictures", masks=tmp_path / "empty")
    refused(folder, "x.txt", "not a kind that is read", masks=tmp_path / "x.txt")
    refused(folder, "broken.png", masks=tmp_path / "broken.png")
    refused(folder, "did you mean 'hidden'", masks=f"{tmp_path / 'm.npz'}:hiden")
    refused(folder, "--masks", masks="not:")


def test_masks_that_do_not_fit(folder: Path, tmp_path: Path, masks: np.ndarray, refused: Refused):
    refused(folder, "4 masks", "5 examples", masks=masks[:4])
    refused(folder, "2 masks", "5 examples", masks=masks[:2], select="0:3")
    refused(folder, "'p0'", "16x12", "3x12x16", masks=masks.swapaxes(1, 2))
    refused(folder, "'p0'", "2x12x16", masks=np.stack([masks, masks], 1))
    picture(masks[0][:, :9]).save(tmp_path / "small.png")
    refused(folder, "small.png", "'p0'", "1x12x9", masks=tmp_path / "small.png")
    few = as_folder(tmp_path / "few", masks[:4])
    refused(folder, "few", "no mask for example 'p4'", "name of the file", masks=few)
    assert len(read(folder, masks=few, select="0:4")) == 4


def test_masks_that_are_no_masks(folder: Path, masks: np.ndarray, refused: Refused):
    holes = masks.astype(float)
    holes[0, 0, 0] = np.nan
    for wrong in (holes, masks.astype(complex), masks.astype(str), masks.astype(object)):
        refused(folder, "--masks", "booleans or numbers", masks=wrong)
    refused(folder, "array", masks=[[True], [True, False]])
    refused(folder, "--masks", masks=True)


def test_a_mask_that_hides_everything(folder: Path, refused: Refused):
    refused(folder, "hidden or missing everywhere", masks=np.ones((12, 16)))
    holes = np.ones((3, 9, 9), np.float32)
    holes[:, :5] = np.nan
    refused(holes, "hidden or missing everywhere", masks=~np.isnan(holes))
    refused(np.ones((3, 9, 9)), "M9", masks=np.zeros((9, 9)), hide="M99")


# Behind the mask ------------------------------------------------------------------------------


def same(one: Signals, two: Signals) -> None:
    """Nothing that learning looks at differs."""
    assert one.fingerprint == two.fingerprint and one.scale == two.scale
    assert one.names == two.names and one.note == two.note and one.shape == two.shape
    (x, a), (y, b) = one.batch(range(len(one))), two.batch(range(len(two)))
    assert a is not None and b is not None
    assert torch.equal(x, y) and torch.equal(a, b) and torch.isfinite(x).all()


OPTIONS = [{}, {"size": "9x7"}, {"size": 6, "channels": "grey"}, {"channels": "rgb", "size": 40}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("behind", [np.nan, np.inf, -np.inf, 1e30, 1e300, -7.0], ids=str)
def test_floats_behind_a_mask_have_no_influence(
    behind: float, options: dict, random: np.random.Generator
):
    values = random.random((5, 12, 16, 3))
    mask = np.zeros((5, 12, 16, 1), bool)
    mask[:, 2:7, 3:12] = True
    some = mask & (random.random(mask.shape) < 0.5)
    with np.errstate(invalid="ignore", over="ignore"):
        one, two = (
            read(np.where(where, behind, values), masks=mask, **options) for where in (mask, some)
        )
    same(one, read(values, masks=mask, **options))
    same(one, two)


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "bool"])
def test_integers_behind_a_mask_have_no_influence(
    dtype: str, options: dict, random: np.random.Generator
):
    values = random.integers(0, 2 if dtype == "bool" else 100, (5, 12, 16, 3)).astype(dtype)
    noise = random.integers(0, 2 if dtype == "bool" else 30_000, values.shape).astype(dtype)
    mask = random.random((5, 12, 16, 1)) < 0.4
    one, two = (read(x, masks=mask, **options) for x in (values, np.where(mask, noise, values)))
    same(one, two)


def test_a_picture_behind_a_mask_has_no_influence(
    tmp_path: Path, folder: Path, colours: np.ndarray, masks: np.ndarray
):
    (tmp_path / "spoilt").mkdir()
    for i, pixels in enumerate(np.where(masks[..., None], 255 - colours, colours)):
        Image.fromarray(pixels).save(tmp_path / "spoilt" / f"p{i}.png")
    for options in OPTIONS:
        one, two = (read(x, masks=masks, **options) for x in (folder, tmp_path / "spoilt"))
        same(one, two)
        assert (one.values != two.values).any(), "the truth is kept"


@pytest.mark.parametrize("behind", [np.nan, np.inf, 1e30])
def test_a_cell_behind_a_mask_has_no_influence(behind: float):
    values = np.random.default_rng(0).normal(size=(30, 4))
    mask = np.random.default_rng(1).random((30, 4)) < 0.3
    mask[:, 3] = True
    same(read(values, masks=mask), read(np.where(mask, behind, values), masks=mask))


def test_an_infinite_value_that_is_seen_is_refused(refused: Refused):
    values, mask = np.zeros((4, 9, 9)), np.zeros((4, 9, 9), bool)
    values[2, 3, 3] = np.inf
    mask[2, 3, 4] = True
    refused(values, "'000002'", "infinite", masks=mask)
    mask[2, 3, 3] = True
    assert veil(read(values, masks=mask))[2, 0, 3, 3] == MISSING


def test_the_truth_behind_a_mask_is_kept(folder: Path, masks: np.ndarray):
    for options in OPTIONS:
        one, whole = read(folder, masks=masks, **options), read(folder, **options)
        hidden = np.broadcast_to(veil(one) == SECRET, one.values.shape)
        np.testing.assert_array_equal(one.values[hidden], whole.values[hidden])


def test_a_mask_is_resized_with_its_picture(random: np.random.Generator):
    values = random.integers(0, 256, (3, 16, 16), dtype=np.uint8)
    mask = np.zeros((16, 16), bool)
    mask[:, :8] = True
    found = veil(read(values, masks=mask, size=8))
    assert (found[..., :4] == SECRET).all() and (found[..., 4:] == OBSERVED).all()


# The veil -------------------------------------------------------------------------------------


def coded() -> Signals:
    values = np.arange(16, dtype=np.float32).reshape(4, 1, 4)
    veil = np.arange(16).reshape(4, 1, 4).T.reshape(4, 1, 4) % 4
    whole = read(values, kind="array")
    return whole.become(values, veil.astype(np.uint8), whole.names)


def test_learning_sees_only_what_is_observed():
    signals = coded()
    y, hidden = signals.batch([2, 0])
    assert hidden is not None and hidden.tolist() == (veil(signals)[[2, 0]] > OBSERVED).tolist()
    assert not y[hidden].any() and signals.hidden is not None and signals.hidden.sum() == 12


def test_the_veil_goes_along_with_its_examples():
    signals = coded()
    some = signals.take([3, 1])
    np.testing.assert_array_equal(veil(some), veil(signals)[[3, 1]])
    np.testing.assert_array_equal(signals.codes([3, 1]), veil(some))
    assert some.names == ("000003", "000001")


@pytest.mark.parametrize("code", [MISSING, SECRET, ASIDE])
def test_a_code_is_unveiled_alone(code: int):
    before, after = veil(coded()), veil(coded().unveiled(code))
    assert (after[before == code] == OBSERVED).all()
    np.testing.assert_array_equal(after[before != code], before[before != code])


def test_the_last_code_unveiled_leaves_no_veil():
    whole = coded().unveiled(MISSING).unveiled(SECRET).unveiled(ASIDE)
    assert whole.veil is None and whole.unveiled(SECRET) is whole


def test_the_fingerprint_knows_where_but_not_why_something_is_hidden():
    signals = coded()
    values, found = signals.values, veil(signals)
    secret = np.where(found == MISSING, np.uint8(SECRET), found)
    kept = np.where(found == ASIDE, np.uint8(OBSERVED), found)
    for other in (secret, kept):
        assert signals.become(values, other, signals.names).fingerprint == signals.fingerprint
    less = np.where(found == SECRET, np.uint8(OBSERVED), found)
    assert signals.become(values, less, signals.names).fingerprint != signals.fingerprint
    seen = np.where(found == ASIDE, values + 1, values)
    assert signals.become(seen, found, signals.names).fingerprint != signals.fingerprint
