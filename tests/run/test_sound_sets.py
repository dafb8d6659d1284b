"""A folder of clips is a data set: a vector of factors for each, sounds out."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from tiny import Command, keys, learned

from abprop import load
from abprop.errors import UserError
from abprop.files import limits, sounds
from abprop.sources import read
from abprop.spectra import colour, levels, of_mean

RATE = 8000
SETS = ("run.precision=float32", "model.channels=8", "train.batch=12", "infer.steps=1")
SETS += ("data.window=64", "train.iterations=100", "train.learning_rate=0.01", "model.latent=2")


def gust(i: int, seconds: float = 0.25, channels: int = 1) -> np.ndarray:
    """Noise that is loudest at a moment of its own, (T, channels)."""
    random = np.random.default_rng(i)
    time = np.linspace(0, 1, round(seconds * RATE))[:, None]
    loud = 0.02 + np.exp(-(((time - random.uniform(0.2, 0.8)) / 0.15) ** 2))
    return 0.1 * loud * random.normal(size=(len(time), channels))


def written(folder: Path) -> Path:
    """Twenty-four gusts."""
    folder.mkdir()
    for i in range(24):
        soundfile.write(folder / f"g{i:02d}.wav", gust(i), RATE)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return written(tmp_path / "gusts")


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nobody changes."""
    place = tmp_path_factory.mktemp("sets")
    return learned(place / "run", written(place / "gusts"), SETS)


def test_sounds_in_and_out(fitted: Path, folder: Path, tmp_path: Path, abprop: Command) -> None:
    told = json.loads(abprop("info", fitted, "--json").out)
    assert (told["kind"], told["shape"], told["latent"]) == ("sounds", [33, 61], [2])
    assert abprop("sample", fitted, "-n", 3).code == 0
    made = sorted((fitted / "samples" / "sample-0").iterdir())
    assert [path.name for path in made] == ["000000.wav", "000001.wav", "000002.wav"]
    x, rate = soundfile.read(made[0])
    assert rate == RATE and len(x) == 60 * 32  # all but the first and the last hop
    assert abprop("reconstruct", fitted, "-o", tmp_path / "again").code == 0
    assert sorted(p.name for p in (tmp_path / "again").iterdir())[:2] == ["g00.wav", "g01.wav"]
    assert abprop("embed", fitted, folder / "g03.wav", "-o", tmp_path / "z.csv").code == 0
    assert (tmp_path / "z.csv").read_text("utf-8").splitlines()[1].startswith("g03,")
    assert abprop("report", fitted).code == 0
    report = (fitted / "report.html").read_text("utf-8")
    assert report.count("audio/flac") == 6, "two clips, what was made of them, two samples"


def test_levels_are_scored_in_decibels(fitted: Path, abprop: Command) -> None:
    scores = json.loads(abprop("evaluate", fitted, "--against", "mean", "--json").out)
    assert scores["scored"] == "levels"
    # Of noise whose variance were known: the deviation of log Gamma(1), psi'(1)^(1/2), in decibels.
    floor = 10 / np.log(10) * np.pi / 6**0.5
    assert 0.9 * floor < scores["rmse_data"] < scores["baselines"]["mean"]["rmse_data"]
    per = scores["rmse_data"] / scores["mse"] ** 0.5
    assert per == pytest.approx(60 / np.log(10), rel=1e-3)


def test_reconstructions_are_as_loud_as_the_clips_and_when_they_are(fitted: Path) -> None:
    run = load(fitted)
    real, made = run.signals.values[..., 32:], run.reconstruct()
    power = [np.sqrt((x[..., :1920] ** 2).reshape(24, 6, -1).mean(-1)) for x in (real, made)]
    assert np.corrcoef(*(np.log(p).ravel() for p in power))[0, 1] > 0.98
    assert np.log(power[1] / power[0]).mean() == pytest.approx(0, abs=0.05)


def test_other_clips_of_the_same_kind_can_be_explained(fitted: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "other.flac", np.repeat(gust(99, 0.4), 2, 0), 2 * RATE)
    run = load(fitted)
    assert run.embed(str(tmp_path / "other.flac")).shape == (1, 2)
    assert run.embed(gust(5).T[None]).shape == (1, 2)  # an array has the run's rate
    np.testing.assert_array_equal(run.sample(2), run.sample(2))
    assert not np.allclose(run.sample(2), run.sample(2, seed=1))


def test_a_zip_an_array_and_what_else_is_in_the_folder(folder: Path, tmp_path: Path) -> None:
    (folder / "cover.png").write_bytes(b"no picture")
    signals = read(folder)
    assert signals.kind == "sounds" and signals.values.shape == (24, 1, 2000)
    assert signals.about == {"rate": RATE, "file_rate": RATE, "subtype": "PCM_16"}
    with zipfile.ZipFile(tmp_path / "gusts.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    assert np.array_equal(read(tmp_path / "gusts.zip").values, signals.values)
    same = read(signals.values, kind="sounds", rate=RATE, seconds=0.125)
    assert same.values.shape == (24, 1, 1000)
    assert read(folder, select="3").kind == "sound" == read(folder, kind="sound", select="3").kind


def test_rates_and_channels_that_differ(folder: Path) -> None:
    soundfile.write(folder / "g00.wav", gust(0, channels=2), RATE)
    soundfile.write(folder / "g01.wav", np.repeat(gust(1), 6, 0), 6 * RATE, subtype="PCM_24")
    signals = read(folder)
    assert signals.values.shape == (24, 1, 2000) and "all became one" in signals.note
    assert signals.about == {"rate": RATE, "file_rate": RATE, "subtype": "PCM_16"}


def test_lengths_that_differ_need_a_decision(folder: Path) -> None:
    soundfile.write(folder / "g00.wav", gust(0, 0.2), RATE)
    signals = read(folder, seconds=0.25)
    assert signals.values.shape == (24, 1, 2000) and not signals.values[0, 0, 1600:].any()


def test_more_than_fits_is_refused_before_all_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "TRIFLE", 0)
    monkeypatch.setattr(limits, "available_memory", lambda: 24 * 2000 * 8)
    opened: list[str] = []
    decode = sounds.decode
    monkeypatch.setattr(sounds, "decode", lambda *how: opened.append(how[1]) or decode(*how))
    with pytest.raises(UserError, match=r"24 examples of 1x2000 need .* data\.select"):
        read(folder)
    assert len(opened) == 1


@pytest.mark.parametrize(("change", "sets", "words"), [
    ("short", (), "give all one length: --set data.seconds=0.25"),
    ("silent", (), "nothing but silence"),
    ("damaged", (), "g00.wav' cannot be decoded"),
    ("", ("data.kind=sound",), "holds 24 sounds, no sound; choose one"),
    ("", ("data.kind=images",), "holds no pictures"),
    ("", ("data.hide=P.5",), "must be complete"),
    ("", ("data.window=1000",), "too few to learn from"),
    ("", ("data.measure=down:2",), "leave it out"),
    ("", ("data.window=63",), "data.window must be an even number"),
])  # fmt: skip
def test_what_cannot_be_learned_is_one_line(
    change: str, sets: tuple[str, ...], words: str, folder: Path, run_dir: Path, abprop: Command
) -> None:
    if change == "short":
        soundfile.write(folder / "g00.wav", gust(0, 0.2), RATE)
    if change == "silent":
        for path in folder.iterdir():
            soundfile.write(path, np.zeros(2000), RATE)
    if change == "damaged":
        (folder / "g00.wav").write_bytes(b"RIFF")
    asked = {text.partition("=")[0] for text in sets}
    rest = [text for text in SETS if text.partition("=")[0] not in asked]
    done = abprop("fit", folder, "--run", run_dir, *keys(*rest, *sets))
    assert words in done.complaint


@pytest.mark.parametrize(("words", "told"), [
    (("sample", "--seconds", "3"), "no sound that goes on"),
    (("sample", "-n", "2", "-o", "x.wav"), "give a folder"),
    (("recover",), "a sound is complete"),
    (("evaluate", "--against", "phase"), "phase"),
])  # fmt: skip
def test_what_sets_cannot_do_is_one_line(
    words: tuple[str, ...], told: str, fitted: Path, abprop: Command
) -> None:
    assert told in abprop(words[0], fitted, *words[1:]).complaint


def test_noise_about_the_mean_of_levels_has_its_power() -> None:
    white = torch.from_numpy(np.random.default_rng(0).normal(size=(6, 1, 8000)))
    found = colour(white, 32)
    y = torch.stack([levels(x, found) for x in white]).double()
    # exp(mean of y) is less than the mean power by e^-gamma, which the colour gives back.
    told = of_mean(found).loudness * torch.exp(6 * y.mean((0, 2)))
    truth = colour(white[:1], 32).loudness
    # The first and the last band are real numbers, not complex ones.
    assert float((told / truth)[1:-1].log().mean()) == pytest.approx(0, abs=0.05)
