"""A clip is learned, goes on where it stopped, and gives sounds of any length."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import Command, keys

from abprop import load
from abprop.kinds.sounds.tonality import NOISE, flatness
from abprop.sources import read

SOUND = ("run.precision=float32", "model.channels=8", "train.batch=8", "checkpoint.every=3")
SOUND += ("data.crops=20", "data.window=32", "train.iterations=6")


def surf(seconds: float = 1.0, rate: int = 8000, channels: int = 1) -> np.ndarray:
    """Noise that comes and goes, (T, channels)."""
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * rate))[:, None] / rate
    return 0.02 * random.normal(size=(len(time), channels)) * (1 + np.sin(40 * time))


Clip = Callable[..., Path]


@pytest.fixture
def clip(tmp_path: Path) -> Clip:
    def make(x: np.ndarray, rate: int = 8000, name: str = "clip.wav", **how: str) -> Path:
        soundfile.write(tmp_path / name, x, rate, **how)
        return tmp_path / name

    return make


@pytest.fixture
def fitted(clip: Clip, run_dir: Path, abprop: Command) -> Path:
    done = abprop("fit", clip(surf()), "--run", run_dir, *keys(*SOUND))
    assert done.code == 0, done.err
    return run_dir


def test_the_same_seed_is_the_same_sound_and_a_longer_one_begins_like_it(fitted: Path) -> None:
    run = load(fitted)
    short, long = run.sample(seconds=0.4), run.sample(2, seconds=9.5)
    assert short.shape == (1, 1, 3200) and long.shape == (2, 1, 76_000)
    assert short.dtype == np.float32
    np.testing.assert_allclose(long[0, :, :3200], short[0], rtol=0, atol=1e-6)
    assert np.array_equal(run.sample(seconds=0.4), short)
    for other in (long[1, :, :3200], run.sample(seconds=0.4, seed=1)[0]):
        assert abs(np.corrcoef(short[0, 0], other[0])[0, 1]) < 0.2
    level = np.sqrt(np.mean(long**2)) / np.sqrt(np.mean(surf() ** 2))  # hardly learned
    assert 0.3 < level < 4


def test_written_at_the_rate_of_the_clip_as_it_is_made(
    clip: Clip, run_dir: Path, abprop: Command
) -> None:
    x = surf(1, 48_000, 2)
    x[:, 1] = x[:, 0]  # twice the same
    path = clip(x, 48_000, "clip.flac", subtype="PCM_24")
    assert abprop("fit", path, "--run", run_dir, *keys(*SOUND)).code == 0
    run = load(run_dir)
    assert run.rate == 24_000 and run.colour is not None and run.colour.rank == 1
    done = abprop("sample", run_dir, "--seconds", "7", "-o", run_dir / "s.flac")
    assert done.code == 0
    made, rate = soundfile.read(run_dir / "s.flac", always_2d=True)
    assert (rate, made.shape) == (48_000, (7 * 48_000, 2))
    assert soundfile.info(run_dir / "s.flac").subtype == "PCM_24"
    np.testing.assert_allclose(made[:, 0], made[:, 1], atol=1e-4)
    assert abprop("reconstruct", run_dir, "-o", run_dir / "pieces").code == 0
    assert len(list((run_dir / "pieces").iterdir())) == 20


def test_a_stopped_run_goes_on_to_the_same_bytes(
    clip: Clip, tmp_path: Path, abprop: Command
) -> None:
    path, found = clip(surf()), []
    for name, stops in (("one", ()), ("two", ("--stop-at", "3"))):
        words = ("fit", path, "--run", tmp_path / name, *keys(*SOUND))
        if stops:
            assert abprop(*words, *stops).code == 0
        assert abprop(*words).code == 0
        step = tmp_path / name / "checkpoints" / "step-00000006"
        found.append([(step / f"{part}.safetensors").read_bytes() for part in
                      ("network", "latents-00000", "colour")])  # fmt: skip
    assert found[0] == found[1]


def test_works_without_the_clip(fitted: Path, clip: Clip) -> None:
    clip(surf()).unlink()
    assert load(fitted).sample(seconds=0.1).shape == (1, 1, 800)


@pytest.mark.parametrize(("channels", "rate"), [(8, 8000), (1, 192_000), (2, 44_100)])
def test_any_channels_and_rates(
    channels: int, rate: int, clip: Clip, run_dir: Path, abprop: Command
) -> None:
    done = abprop("fit", clip(surf(1, rate, channels), rate), "--run", run_dir, *keys(*SOUND))
    assert done.code == 0, done.err
    run = load(run_dir)
    assert run.sample(seconds=0.2).shape == (1, channels, round(0.2 * run.rate))


def test_float_sound_and_arrays(clip: Clip) -> None:
    signals = read(clip(surf(), subtype="FLOAT"))
    assert signals.kind == "sound" and signals.values.shape == (1, 1, 8000)
    assert signals.about == {"rate": 8000, "file_rate": 8000, "subtype": "FLOAT"}
    same = read(signals.values[0].T, kind="sound", rate=8000)
    assert np.array_equal(same.values, signals.values) and same.about["rate"] == 8000


@pytest.mark.parametrize(("x", "more", "words"), [
    (np.zeros((8000, 1)), (), "is silent"),
    (surf(0.1), (), "too few to learn from"),
    (surf(0.001), (), "data.window"),
    (surf(), ("data.window=33",), "data.window must be an even number"),
    (surf(), ("data.crop=5000",), "data.crop"),
    (surf(), ("data.kind=images",), "is a sound"),
    (surf(), ("data.hide=P.5",), "sound"),
    (surf(), ("data.select=3",), "data.select"),
])  # fmt: skip
def test_what_cannot_be_learned_is_one_line(
    x: np.ndarray, more: tuple[str, ...], words: str, clip: Clip, run_dir: Path, abprop: Command
) -> None:
    sets = [s for s in SOUND if s.partition("=")[0] not in {m.partition("=")[0] for m in more}]
    sets = [s for s in sets if not (len(x) < 100 and "window" in s)]
    done = abprop("fit", clip(x), "--run", run_dir, *keys(*sets, *more))
    assert words in done.complaint


@pytest.mark.parametrize(("words", "told"), [
    (("--seconds", "0"), "above 0"),
    (("--seconds", "-1"), "above 0"),
    (("--size", "64x64"), "for pictures"),
    (("--tile",), "for pictures"),
    (("-o", "x.png"), "not written"),
])  # fmt: skip
def test_what_cannot_be_sampled_is_one_line(
    words: tuple[str, ...], told: str, fitted: Path, abprop: Command
) -> None:
    assert told in abprop("sample", fitted, *words).complaint


def test_what_sounds_cannot_do_yet_is_one_line(fitted: Path, abprop: Command) -> None:
    assert "a sound is complete" in abprop("recover", fitted).complaint


def howl(seconds: float = 1.0, rate: int = 8000) -> np.ndarray:
    """Tones that go up and down, quiet."""
    time = np.arange(round(seconds * rate)) / rate
    phase = 2 * np.pi * np.cumsum(500 + 200 * np.sin(7 * time)) / rate
    return 0.004 * (np.sin(phase) + 0.3 * np.sin(3 * phase))[:, None]


WAVE = ("run.precision=float32", "model.channels=4", "train.batch=8", "checkpoint.every=3")
WAVE += ("data.crops=12", "data.crop=512", "model.latent=8x6", "train.iterations=6")


def test_tones_are_learned_as_a_waveform_if_asked(
    clip: Clip, run_dir: Path, abprop: Command
) -> None:
    words = ("fit", clip(howl()), "--run", run_dir, *keys(*WAVE, "data.kind=waveform"))
    assert abprop(*words).code == 0
    run = load(run_dir)
    assert run.colour is None and run.rate == 8000
    short, long = run.sample(seconds=0.4), run.sample(1, seconds=1)
    assert long.shape == (1, 1, 8000) and np.array_equal(long[..., :3200], short)
    assert np.abs(long).max() <= np.abs(howl()).max() * 1.001, "the level is kept"
    assert abprop("sample", run_dir, "--seconds", "1").code == 0
    report = (run_dir / "report.html").read_text("utf-8")
    assert report.count("audio/flac") == 3


def test_the_papers_way(clip: Clip, run_dir: Path, abprop: Command) -> None:
    words = ("fit", clip(howl()), "--run", run_dir, "--preset", "paper-sound")
    sets = ("model.channels=4", "data.crops=4", "data.crop=512", "train.iterations=2")
    assert abprop(*words, *keys(*sets)).code == 0
    run = load(run_dir)
    assert run.rate == 11_025 and run.recipe.model.prior == "standard"
    assert run.sample(seconds=0.5).shape == (1, 1, 5512)


def test_tones_are_said_to_be_some(clip: Clip) -> None:
    assert "this clip is tones (flatness 0.0" in read(clip(howl())).note
    assert read(clip(surf())).note == "" == read(clip(howl()), kind="waveform").note


@pytest.mark.parametrize(("x", "flat"), [(surf(), 0.56), (howl(), 0.05)])
def test_how_flat_a_spectrum_is(x: np.ndarray, flat: float) -> None:
    assert flatness(torch.from_numpy(x.T), 8000) == pytest.approx(flat, abs=0.08)


def test_too_short_to_say_is_noise() -> None:
    assert flatness(torch.from_numpy(howl(0.01).T), 8000) == NOISE
