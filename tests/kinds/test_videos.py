"""Videos as sources: files, folders of frames and arrays, one signal or frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abprop.errors import UserError
from abprop.files.videos import save_video
from abprop.run.recipe import compose, flat
from abprop.run.split import resolve, split
from abprop.sources import read

FRAMES, HEIGHT, WIDTH = 40, 24, 32


def moving(frames: int = FRAMES) -> np.ndarray:
    """A bright spot that circles over a still picture, uint8 (T, H, W, 3)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    t = np.arange(frames)[:, None, None] / 6
    spot = np.exp(-((y - 12 - 6 * np.sin(t)) ** 2 + (x - 16 - 8 * np.cos(t)) ** 2) / 12)
    still = np.stack((x / WIDTH, y / HEIGHT, 0 * x), 2)
    return (255 * np.clip(0.6 * still + 0.4 * spot[..., None], 0, 1)).astype(np.uint8)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return save_video([np.moveaxis(moving(), 3, 0)], tmp_path / "clip.mp4", 12.5)


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    folder = tmp_path / "shots"
    folder.mkdir()
    for i, frame in enumerate(moving()):
        Image.fromarray(frame).save(folder / f"{i:03d}.png")
    return folder


def test_a_videos_frames_are_examples_in_their_order(clip: Path) -> None:
    signals = read(clip)
    assert signals.kind == "video" and signals.values.shape == (FRAMES, 3, HEIGHT, WIDTH)
    assert signals.about == {"fps": 12.5} and signals.names[:2] == ("000000", "000001")
    off = signals.values.astype(int) - np.moveaxis(moving(), 3, 1)
    assert np.abs(off).mean() < 4


def test_in_space_and_time_it_is_one_signal_with_time_first(clip: Path) -> None:
    signals = read(clip, kind="spacetime")
    assert signals.kind == "spacetime" and signals.values.shape == (1, 3, FRAMES, HEIGHT, WIDTH)
    assert signals.about == {"fps": 12.5} and signals.names == ("clip",)
    np.testing.assert_array_equal(np.moveaxis(signals.values[0], 1, 0), read(clip).values)


@pytest.mark.parametrize("kind", ["spacetime", "video"])
def test_arrays_and_folders_are_videos_where_it_is_said(kind: str, shots: Path) -> None:
    """They might as well be pictures in any order."""
    array, folder = read(moving(), kind=kind, rate=30), read(shots, kind=kind, rate=30)
    np.testing.assert_array_equal(array.values, folder.values)
    assert array.about == folder.about == {"fps": 30.0}
    assert read(moving()).kind == read(shots).kind == "images"
    assert read(moving(), kind=kind).about == {"fps": 25.0}


@pytest.mark.parametrize("kind", ["spacetime", "video"])
def test_frames_are_chosen_and_brought_to_a_size(kind: str, clip: Path, shots: Path) -> None:
    for source in (clip, shots, moving()):
        chosen = read(source, kind=kind, select="4:30", limit=20, size="16x12", channels="grey")
        assert chosen.values.shape in ((1, 1, 20, 12, 16), (20, 1, 12, 16))
        whole = read(source, kind=kind, size="16x12", channels="grey").values
        part = whole[:, :, 4:24] if kind == "spacetime" else whole[4:24]
        np.testing.assert_array_equal(chosen.values, part)


def test_a_gif_is_a_video_if_it_moves(tmp_path: Path) -> None:
    moves = save_video([np.moveaxis(moving(20), 3, 0)], tmp_path / "moves.gif", 25)
    Image.fromarray(moving()[0]).save(tmp_path / "stands.gif")
    assert read(moves).values.shape == (20, 3, HEIGHT, WIDTH)
    assert read(tmp_path / "stands.gif").kind == "texture"
    assert read(moves, kind="texture").note.endswith("has 20 frames; the first was taken")


def test_what_is_no_video_is_said(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"is a video, no table; set data.kind to video or spacetime"
    ):
        read(clip, kind="table")
    with pytest.raises(UserError, match=r"cannot be spacetime"):
        read(np.zeros((2, 5, 5, 5, 5)), kind="spacetime")
    (tmp_path / "not.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"not.mp4' cannot be decoded as a video"):
        read(tmp_path / "not.mp4")


@pytest.mark.parametrize("count", [1, 15])
def test_a_clip_too_short_to_learn_from_is_refused(count: int) -> None:
    signals = read(moving(count), kind="spacetime")
    with pytest.raises(UserError, match=f"has {count} frames?, too few to learn from"):
        resolve(compose(None), signals)


def test_holes_hide_the_same_of_one_signal_and_of_frames(clip: Path, tmp_path: Path) -> None:
    hidden = np.zeros((FRAMES, HEIGHT, WIDTH), bool)
    hidden[5:9, 4:12, 6:20] = True
    np.save(tmp_path / "holes.npy", hidden)
    for source in (clip, moving()):
        for kind in ("spacetime", "video"):
            signals = read(source, kind=kind, masks=str(tmp_path / "holes.npy"))
            veil = signals.hidden
            assert veil is not None
            told = veil[0, 0] if kind == "spacetime" else veil[:, 0]
            np.testing.assert_array_equal(told, hidden)


def test_stretches_cover_the_clip_and_frames_stay_in_order() -> None:
    signals = read(moving(), kind="spacetime")
    recipe, _ = resolve(compose(None), signals)
    parts = split(recipe, signals)
    crop = flat(recipe)["data.crop"]
    assert parts.train.shape == (3, crop, HEIGHT, WIDTH) and parts.places is not None
    starts = parts.places[:, 0].tolist()
    assert sorted(starts) == list(range(FRAMES - crop + 1)) and not parts.places[:, 1:].any()
    assert recipe.model.channels == 16, "a kind's own choice stands before the general rule"
    for row, start in enumerate(starts[:4]):
        values = parts.train.values_of([row])[0]
        np.testing.assert_array_equal(values, signals.values[0][:, start : start + crop])
    frames = read(moving(), kind="video")
    recipe, _ = resolve(compose(None), frames)
    parts = split(recipe, frames)
    assert parts.heldout is None and parts.train.names == frames.names
    assert recipe.model.latent == "20" and recipe.data.mirror == "no" and recipe.data.shift == 0


def test_what_is_transparent_and_what_a_mask_hides_are_both_hidden(tmp_path: Path) -> None:
    """At another size than the file's."""
    x = np.arange(WIDTH)[None].repeat(HEIGHT, 0)
    pictures = []
    for frame in moving(20):
        alpha = np.where(x < 8, 0, 255).astype(np.uint8)
        pictures.append(Image.fromarray(np.dstack((frame, alpha)), "RGBA"))
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=40, disposal=2)
    hidden = np.zeros((20, HEIGHT, WIDTH), bool)
    hidden[3, 12:, 16:] = True
    np.save(tmp_path / "holes.npy", hidden)
    signals = read(path, masks=str(tmp_path / "holes.npy"), size="16x12")
    veil = signals.hidden
    assert veil is not None and veil.shape == (20, 1, 12, 16)
    assert veil[:, 0, :, :3].all() and veil[3, 0, 7:, 9:].all()
    assert not veil[4, 0, :, 6:].any() and not veil[3, 0, :5, 6:].any()
