"""Further examples made of the ones there are, each with an id of its own."""

from __future__ import annotations

import numpy as np
import pytest

from abprop.data import Signals, crops, mirrored, shifted, whole
from abprop.data.views import compared, mirror_ratio
from abprop.errors import UserError
from abprop.sources import read


@pytest.fixture
def texture(random: np.random.Generator) -> Signals:
    """100x80 floats with a hidden pixel at (50, 40)."""
    picture = random.random((1, 100, 80)).astype(np.float32)
    picture[0, 50, 40] = np.nan
    return read(picture)


def test_crops_are_parts_of_the_picture(texture: Signals):
    views = crops(texture, size=32, count=200, seed=7)
    many = views.stored()
    assert many.names == views.names and views.shape == many.shape
    assert (many.kind, len(many), many.shape) == ("texture", 200, (1, 32, 32))
    assert len(set(many.names)) == 200 and many.scale == texture.scale
    for i, name in enumerate(many.names):
        y, x = map(int, name.removeprefix("crop@").split(","))
        np.testing.assert_array_equal(many.values[i], texture.values[0, :, y : y + 32, x : x + 32])
        assert many.hidden is not None and many.hidden[i].any() == (
            y <= 50 < y + 32 and x <= 40 < x + 32
        )


def test_crops_are_a_pure_function(texture: Signals):
    many, again = (crops(texture, size=16, count=50, seed=1).stored() for _ in range(2))
    assert many.fingerprint == again.fingerprint
    assert many.names != crops(texture, size=16, count=50, seed=2).names
    assert crops(texture, size=16, count=20, seed=1).names == many.names[:20]


def test_crops_cover_the_picture_evenly(texture: Signals):
    names = crops(texture, size=20, count=100, seed=3).names
    corners = np.array([tuple(map(int, name[5:].split(","))) for name in names])
    cells = (corners / [81 / 5, 61 / 5]).astype(int)
    counts = np.histogram2d(*cells.T, bins=5, range=[[0, 5], [0, 5]])[0]
    assert counts.min() >= 2 and counts.max() <= 6  # four each on average


def test_all_positions_can_be_had(texture: Signals):
    small = crops(texture, size=20, count=1, seed=0).stored()
    assert len(set(crops(small, size=17, count=16, seed=0).names)) == 16
    assert crops(small, size=20, count=1, seed=0).names == ("crop@0,0",)
    with pytest.raises(UserError, match="20x20 texture has only 16 different crops of 17x17"):
        crops(small, size=17, count=17, seed=0)
    with pytest.raises(UserError, match="80x100, too small for crops of 90x90"):
        crops(texture, size=90, count=1, seed=0)
    with pytest.raises(UserError, match="one picture"):
        crops(read(np.ones((5, 9, 9))), size=4, count=1, seed=0)


def test_mirrored(texture: Signals):
    both = mirrored(crops(texture, size=64, count=3, seed=0)).stored()
    assert both.names[3] == both.names[0] + "~mirror" and both.hidden is not None
    np.testing.assert_array_equal(both.values[3:], both.values[:3, ..., ::-1])
    np.testing.assert_array_equal(both.hidden[3:], both.hidden[:3, ..., ::-1])


def test_shifted(random: np.random.Generator):
    signals = read(random.integers(0, 256, (2, 9, 11), dtype=np.uint8))
    moved = shifted(whole(signals), 2).stored()
    x, up, down, left, right = np.split(moved.values, 5)
    np.testing.assert_array_equal(up[..., :-2, :], x[..., 2:, :])
    np.testing.assert_array_equal(up[..., -1, :], x[..., -1, :])
    np.testing.assert_array_equal(down[..., 2:, :], x[..., :-2, :])
    np.testing.assert_array_equal(left[..., :-2], x[..., 2:])
    np.testing.assert_array_equal(right[..., 2:], x[..., :-2])
    np.testing.assert_array_equal(right[..., 0], x[..., 0])
    assert moved.names[2:4] == ("000000~up2", "000001~up2") and len(set(moved.names)) == 10
    assert moved.hidden is None


@pytest.mark.parametrize("pixels", [0, -1, 9])
def test_shifts_by_nothing_or_too_much(pixels: int):
    with pytest.raises(UserError, match="pixels"):
        shifted(whole(read(np.ones((2, 9, 11)))), pixels)


def test_only_pictures_have_mirror_images():
    for change in (mirrored, lambda signals: shifted(signals, 1)):
        with pytest.raises(UserError, match="table"):
            change(whole(read(np.ones((5, 4)))))


def ratio(values: np.ndarray, seed: int = 0) -> float:
    """Of examples in a random order, as `mirror_ratio` wants them."""
    return mirror_ratio(values[compared(len(values), seed)])


def test_mirror_ratio(random: np.random.Generator):
    from sklearn.datasets import load_digits

    digits = load_digits().images.astype(np.float32)[:, None] / 8 - 1
    symmetric = np.where(random.random((len(digits), 1, 1, 1)) < 0.5, digits, digits[..., ::-1])
    assert ratio(digits) > 1.5
    assert ratio(symmetric) == pytest.approx(1, abs=0.1)
    assert ratio(digits) == ratio(digits)
    assert ratio(np.zeros((20, 1, 9, 9), np.float32)) == 1
    assert ratio(digits[:7]) == float("inf")
    assert ratio(np.zeros((20, 5), np.float32)) == float("inf")


@pytest.mark.parametrize("size", [7, 30, 97])
def test_the_size_makes_no_picture_less_symmetric(size: int, random: np.random.Generator):
    patterns = random.normal(size=(5, size, size)).astype(np.float32)
    both = np.concatenate([patterns, patterns[..., ::-1]])
    pictures = np.tensordot(random.normal(size=(200, 10)).astype(np.float32), both, axes=1)
    noisy = pictures + random.normal(size=pictures.shape).astype(np.float32)
    assert ratio(noisy, seed=1) == pytest.approx(1, abs=0.05)
    assert ratio(noisy * np.linspace(0, 1, size, dtype=np.float32), seed=1) > 1.5


def test_views_take_no_room_and_are_read_alike(random: np.random.Generator):
    signals = read(random.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8))
    both = shifted(mirrored(whole(signals, [4, 1, 2])), 1)
    assert len(both) == 30 and both.signals.values is signals.values
    rows = np.array([17, 3, 0, 29])
    np.testing.assert_array_equal(both.values_of(rows), both.stored().values[rows])
    np.testing.assert_array_equal(both.take(rows).stored().values, both.values_of(rows))
    y, hidden = both.batch(rows)
    assert hidden is None and y.equal(both.stored().batch(rows)[0])
    assert both.take(rows).names == tuple(both.names[i] for i in rows)


def test_a_mirrored_copy_moves_as_it_is_shown(random: np.random.Generator):
    signals = read(random.integers(0, 256, (1, 9, 11), dtype=np.uint8))
    both = mirrored(whole(signals)).stored()
    moved = shifted(mirrored(whole(signals)), 2)
    np.testing.assert_array_equal(moved.stored().values, shifted(whole(both), 2).stored().values)
