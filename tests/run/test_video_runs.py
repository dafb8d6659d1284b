"""A run of a video, from the file to new ones: frame by frame, and a map along time."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tiny import Command

from abprop import fit, load
from abprop.errors import UserError
from abprop.files.videos import read_frames, save_video
from abprop.noise import Noise
from abprop.tasks.filming import linear

FRAMES = 24


def moving() -> np.ndarray:
    """A bright spot that circles, uint8 (3, T, 32, 32)."""
    y, x = np.mgrid[:32, :32]
    t = np.arange(FRAMES)[:, None, None] / 4
    spot = np.exp(-((y - 16 - 8 * np.sin(t)) ** 2 + (x - 16 - 8 * np.cos(t)) ** 2) / 20)
    grey = 40 + 180 * spot
    return np.stack((grey, 0.5 * grey, 255 - grey)).astype(np.uint8)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_video([moving()], tmp_path_factory.mktemp("clip") / "spot.mp4", 20)


SMALL = {"model.channels": 8, "train.iterations": 15, "run.threads": 1}


@pytest.fixture(scope="module")
def spacetime(clip: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("spacetime") / "run"
    few = {"data.kind": "spacetime", "data.limit": 18, "data.crop": 12}
    return fit(clip, run=folder, sets={**SMALL, **few}, verbose=False)


@pytest.fixture(scope="module")
def video(clip: Path, tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("video") / "run"
    sets = {**SMALL, "model.latent": "4"}
    return fit(clip, run=folder, sets=sets, verbose=False)


@pytest.fixture(params=["spacetime", "video"])
def run(request: pytest.FixtureRequest):
    return request.getfixturevalue(request.param)


def test_new_videos_have_the_clips_frames_and_any_length(run) -> None:
    short, long = run.sample(frames=20), run.sample(frames=75)
    assert short.shape[1:] == (3, 20, 32, 32) and long.shape[1:] == (3, 75, 32, 32)
    assert long.dtype == np.uint8 and long.std() > 5
    off = np.abs(long[:, :, :20].astype(int) - short.astype(int)).max()
    assert off <= 1, "a longer video begins like a shorter one"
    # Paths begin at one of 24 frames and follow them: two seeds may agree, a handful may not.
    assert len({run.sample(frames=20, seed=seed)[0].tobytes() for seed in range(6)}) > 1


def test_several_are_different_and_in_blocks_they_are_the_same(run) -> None:
    two = run.sample(2, frames=40)
    assert two.shape[0] == 2 and not np.array_equal(two[0], two[1])
    second = np.concatenate([*run.filmed(40, draw=1)], 1)
    np.testing.assert_array_equal(second, two[1])


def test_every_frame_of_a_stretch_is_one_that_was_explained(video) -> None:
    """What lies between two of them is soft: stretches are cut, not faded."""
    made = np.moveaxis(video.sample(frames=60)[0], 1, 0).reshape(60, -1).astype(int)
    known = video.reconstruct().reshape(FRAMES, -1).astype(int)
    assert np.abs(made[:, None] - known[None]).max(2).min(1).max() <= 1


def test_a_run_is_loaded_again_as_it_was(run) -> None:
    np.testing.assert_array_equal(load(run.folder).sample(frames=30), run.sample(frames=30))


def test_without_a_length_there_are_120_frames(run) -> None:
    assert run.sample().shape == (1, 3, 120, 32, 32)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif", "a.webm", "a.npz", "folder"])
def test_written_at_the_clips_rate(video, name: str, tmp_path: Path, abprop: Command) -> None:
    done = abprop("sample", video.folder, "--frames", 24, "-o", tmp_path / name)
    assert done.code == 0 and done.err.startswith("1 video: ")
    path = tmp_path / name
    path = path if path.suffix else path / "sample-0.mp4"
    made = video.sample(1, frames=24)[0]
    if path.suffix == ".npz":
        np.testing.assert_array_equal(np.load(path)["frames"], np.moveaxis(made, 0, -1))
        return
    film = read_frames(path, "it", lambda picture, _: picture)
    assert film.values.shape == (24, 3, 32, 32) and film.rate == pytest.approx(20)
    assert np.abs(np.moveaxis(film.values, 1, 0).astype(int) - made).mean() < 8


def test_what_samples_are_not_is_said(run) -> None:
    with pytest.raises(UserError, match="of a video say --frames"):
        run.sample(frames=20, size=(64, 64))
    with pytest.raises(UserError, match="learned no sound"):
        run.sample(seconds=3.0)
    with pytest.raises(UserError, match="--frames"):
        run.sample(frames=0)


def test_pictures_do_not_move(tmp_path: Path) -> None:
    pictures = np.moveaxis(moving(), 1, 0)
    run = fit(pictures, run=tmp_path / "r", sets={**SMALL, "train.iterations": 2}, verbose=False)
    with pytest.raises(UserError, match="learned no video"):
        run.sample(frames=20)


def test_the_papers_way_is_a_linear_system(clip: Path, tmp_path: Path) -> None:
    sets = {**SMALL, "model.motion": "linear", "model.latent": "4"}
    run = fit(clip, run=tmp_path / "r", sets=sets, verbose=False)
    path = linear(run.z, Noise(0, "path"))
    frames = np.concatenate([run.decode(next(path)[None]) for _ in range(40)])
    np.testing.assert_array_equal(np.moveaxis(frames, 0, 1), run.sample(frames=40)[0])


def test_evaluate_holds_samples_against_the_clip(run) -> None:
    told = run.evaluate(against="lds,loop")
    assert told["sample_ratio"] > 0 and set(told["ratios"]) == {
        "wasserstein", "coherence", "completeness", "tempo",
    }  # fmt: skip
    assert set(told["baselines"]) == {"lds", "loop"} and told["mse"] > 0
    with pytest.raises(UserError, match="quilting: not for"):
        run.evaluate(against="quilting")


def test_the_report_plays_the_clip_and_a_new_one(run) -> None:
    page = run.report().read_text("utf-8")
    assert page.count("<video ") == 3 and page.count("data:video/mp4;base64,") == 3
    for title in ("The clip", "The clip, reconstructed", "A sample"):
        assert f"<h3>{title}</h3>" in page
    assert "sample ratio" in page


@pytest.mark.parametrize("kind", ["video", pytest.param("spacetime", marks=pytest.mark.slow)])
def test_missing_frames_and_hidden_parts_are_recovered(
    kind: str, clip: Path, tmp_path: Path, abprop: Command
) -> None:
    """A frame that is gone, and a corner of some: known are all others."""
    hidden = np.zeros((FRAMES, 32, 32), bool)
    hidden[10], hidden[16:20, :16, :16] = True, True
    np.save(tmp_path / "holes.npy", hidden)
    sets = {**SMALL, "data.kind": kind, "data.masks": str(tmp_path / "holes.npy")}
    run = fit(clip, run=tmp_path / "r", sets=sets, verbose=False)
    answer = run.recover(draws=2)
    seen, told, std = run.signals.values, answer.mean, answer.std
    if kind == "spacetime":
        seen, told, std = (np.moveaxis(x[0], 0, 1) for x in (seen, told, std))
    assert told.shape == (FRAMES, 3, 32, 32)
    gone = np.broadcast_to(hidden[:, None], told.shape)
    np.testing.assert_array_equal(told[~gone], seen[~gone])
    assert np.isfinite(std[gone]).all() and std[gone].mean() > 0
    done = abprop("recover", run.folder, "--draws", 2, "-o", tmp_path / "back.mp4")
    assert done.code == 0, done.err
    assert read_frames(tmp_path / "back.mp4", "it", lambda p, _: p).values.shape[0] == FRAMES


@pytest.mark.slow
def test_resuming_gives_the_same_bytes(clip: Path, tmp_path: Path, abprop: Command) -> None:
    sets = [
        w
        for k, v in {**SMALL, "train.iterations": 6, "data.crop": 14}.items()
        for w in ("--set", f"{k}={v}")
    ]
    whole = abprop("fit", clip, "--run", tmp_path / "a", *sets, "--json")
    abprop("fit", clip, "--run", tmp_path / "b", *sets, "--stop-at", 3)
    again = abprop("fit", clip, "--run", tmp_path / "b", *sets, "--json")
    one, two = json.loads(whole.out), json.loads(again.out)
    for key in ("weights_sha256", "latents_sha256"):
        assert one[key] == two[key]
