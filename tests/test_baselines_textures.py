"""Rivals among textures: what each keeps of the picture, exactly."""

from __future__ import annotations

import numpy as np
import pytest

from abprop.baselines.textures import TEXTURES, TILE, texture
from abprop.errors import UserError

RNG = np.random.default_rng(0)
PICTURE = RNG.uniform(-1, 1, (3, 80, 96)).astype(np.float32)


@pytest.mark.parametrize("name", TEXTURES)
@pytest.mark.parametrize("size", [(80, 96), (50, 130), (120, 40)])
def test_any_size_and_a_function_of_the_seed(name: str, size: tuple[int, int]) -> None:
    made = texture(name, PICTURE, size, 1)
    assert made.shape == (3, *size) and made.dtype == np.float32
    assert np.isfinite(made).all()
    assert np.array_equal(made, texture(name, PICTURE, size, 1))
    assert not np.array_equal(made, texture(name, PICTURE, size, 2))


def test_tiles_are_squares_of_the_picture() -> None:
    made = texture("tiles", PICTURE, (64, 64), 0)
    views = np.lib.stride_tricks.sliding_window_view(PICTURE, (TILE, TILE), axis=(1, 2))
    tile = made[:, TILE:, :TILE]
    assert (np.abs(views - tile[:, None, None]).max((0, 3, 4)) == 0).any()


def test_every_pixel_of_a_quilt_is_one_of_the_picture() -> None:
    made = texture("quilting", PICTURE, (100, 100), 0).reshape(3, -1).T
    known = {tuple(pixel) for pixel in PICTURE.reshape(3, -1).T.tolist()}
    assert all(tuple(pixel) in known for pixel in made.tolist())


def test_quilting_a_ramp_leaves_no_seams() -> None:
    ramp = np.broadcast_to(np.sin(np.arange(120) / 6), (1, 120, 120)).astype(np.float32)
    made = texture("quilting", ramp, (120, 120), 0)
    assert np.abs(np.diff(made, axis=1)).max() < 0.35  # rows agree
    assert np.abs(np.diff(made, axis=2)).max() < 0.35


def test_random_phases_keep_spectrum_and_colours_and_nothing_else() -> None:
    grain = RNG.standard_normal((3, 128, 128))
    picture = (np.cumsum(grain, 2) * 0.05).astype(np.float32)
    picture[1] = -picture[0]
    made = texture("phase", picture, (256, 256), 0)
    assert made.std() == pytest.approx(picture.std(), rel=0.3)
    np.testing.assert_allclose(made[1] - made[1].mean(), -(made[0] - made[0].mean()), atol=1e-3)


def test_an_unknown_one_is_refused() -> None:
    with pytest.raises(UserError, match="'quiltin'"):
        texture("quiltin", PICTURE, (8, 8), 0)
