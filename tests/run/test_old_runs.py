"""Runs of every form that checkpoints ever had: they load, answer and go on.

Each folder in `old` was written by the commit named here, after two of four iterations:

    first-pictures  d22409a  ids, z and s of the chains alone; a score is two numbers
    chains          4bf34e8  with the chains' axis, age and metric; names in the manifest
    finer           7fdc05e  names in a file; places of crops, weights of finer factors
    sound           e4881e5  the colour of a sound
    many-sounds     2bc3047  that of each sound
    frames          f05585e  a video as frames
    stretches       f05585e  a video as a map along time
    measured        c43f689  what measurements said
    last-pictures   16dfd09  what the operator told of itself; a score is three numbers

`pictures` and `rows` are those of `test_directory`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from tiny import Command, blobs, rows, waves, write_table

from abprop import checkpoint
from abprop.run import load, metrics

OLD = Path(__file__).parent / "old"


def sound(path: Path) -> Path:
    """A second of noise."""
    noise = 0.1 * np.random.default_rng(0).normal(size=8000)
    soundfile.write(path / "sound.wav", noise, 8000, subtype="PCM_16")
    return path / "sound.wav"


def tones(path: Path) -> Path:
    """A folder of eight."""
    (path / "tones").mkdir()
    for i in range(8):
        tone = 0.3 * np.sin(np.arange(2000) * (0.1 + 0.02 * i))
        soundfile.write(path / "tones" / f"{i}.wav", tone, 8000, subtype="PCM_16")
    return path / "tones"


def saved(name: str, values: np.ndarray) -> Callable[[Path], Path]:
    """An array in a file of that name."""

    def make(path: Path) -> Path:
        np.save(path / name, values)
        return path / name

    return make


def moving() -> np.ndarray:
    """A spot that falls, in colour."""
    return np.stack([np.roll(blobs(1)[0], i, 1) for i in range(24)])[..., None].repeat(3, 3)


SOURCES: dict[str, Callable[[Path], Path]] = {
    "first-pictures": saved("faces.npy", blobs(60)),
    "chains": lambda path: write_table(path / "table.csv", rows(24)),
    "finer": saved("texture.npy", waves()),
    "sound": sound,
    "many-sounds": tones,
    "frames": saved("video.npy", moving()),
    "stretches": saved("video.npy", moving()),
    "measured": saved("pictures.npy", blobs(24)),
    "last-pictures": saved("faces.npy", blobs(60)),
}


@pytest.fixture(params=SOURCES)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A run of an earlier version, with its data beside it."""
    SOURCES[request.param](tmp_path)
    return Path(shutil.copytree(OLD / request.param, tmp_path / request.param))


def test_each_form_there_was_is_kept() -> None:
    """Each is what it is kept for."""
    kept = {path.name for path in OLD.iterdir()}
    assert kept == {*SOURCES, "pictures", "rows"}
    found = {name: checkpoint.latest(OLD / name / "checkpoints", pytest.fail) for name in kept}
    tables = {name: set(one.tensors["latents-00000"]) for name, one in found.items() if one}
    assert tables["first-pictures"] == {"ids", "z", "s"} < tables["chains"]
    groups = {name: one.tensors.keys() for name, one in found.items() if one}
    assert "names" not in groups["chains"] and "names" in groups["finer"]
    assert "colour" in groups["sound"] and "colour" in groups["many-sounds"]
    assert "measured" in groups["measured"]
    scores = {name: {len(s) for s in one.meta["scores"]} for name, one in found.items() if one}
    assert scores["first-pictures"] == {2} and scores["last-pictures"] == {3}


def test_a_run_of_each_form_answers(old: Path) -> None:
    run = load(old, say=pytest.fail)
    assert run.step <= 2 and run.z.isfinite().all()
    more = {"sound": {"seconds": 0.1}, "stretches": {"frames": 8}, "frames": {"frames": 8}}
    made = run.sample(1, **more.get(old.name, {}))
    assert np.isfinite(made.astype(float)).all() and made.std() > 0


def test_a_run_of_each_form_goes_on(old: Path, abprop: Command) -> None:
    before = load(old, last=True)
    (source,) = (path for path in old.parent.iterdir() if path != old)
    done = abprop("fit", source, "--run", old, "--stop-at", "3")
    assert done.code == 0 and f"resuming {old} at iteration 2" in done.err
    assert "skipped" not in done.err
    run = load(old, last=True, say=pytest.fail)
    assert run.step == 3 and run.names == before.names and (run.ids == before.ids).all()
    assert [row["iteration"] for row in metrics.load(old / "metrics.jsonl")][-1] == 3
