"""Experiment 2: new sounds from one clip of a noise: rain, fire, a stream, applause.

Five clips were named before any was tried; the other 22 follow once the settings stand. `PAGE` is
written beside the table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import hearing
import numpy as np
from PIL import Image
from row import HERE, PICTURES, RUNS, Row, Runner, measured

from abprop import load
from abprop.report.figures.sounds import seen

PAGE, SOUNDS = HERE.parent / "docs" / "sounds.md", HERE.parent / "docs" / "sounds"
OWN, ESC = "sounds_textures_20k", "sounds_esc10"
NAMED = ("rain", "stream", "applause_large", "chimney_fire", "ese-35_seaside_waves")
REST = (
    "ase-08_bubbling_water", "cse-49_wind_whistling", "ese-32_birds_in_tropical_forest",
    "ese-39_small_river", "fire_forest_inferno", "frogs1", "se2-61_wolves_howling",
    "se2-67_insects_in_a_swamp", "se2-70_bee_swarm", "se2-83_jungle_rain", "sse-69_clock_ticking",
)  # fmt: skip
FREE = (
    "chainsaw__5-222524-a", "clock_tick__1-42139-a", "fire_crackling__1-46272-a",
    "fire_crackling__4-164661-a", "fire_crackling__5-213802-a", "helicopter__1-172649-a",
    "rain__1-50060-a", "rain__3-157149-a", "rain__5-194892-a", "sea_waves__3-155642-a",
    "sea_waves__4-182613-a",
)  # fmt: skip
TONES = ("se2-61_wolves_howling", "ese-32_birds_in_tropical_forest")  # by their waveform besides
RIVALS = ("phase", "repetition")
FIT = ("--set", "train.iterations=2000")  # so that a busy machine does not learn less
WAVE = ("--set", "data.kind=waveform")
SECONDS, GAP = 5, 12  # of a sample that is kept; pixels between two pictures


def rows() -> list[Row]:
    """A sample of each, and its scores."""
    files = [f"{OWN}/{name}.wav" for name in (*NAMED, *REST)]
    files += [f"{ESC}/{name}.wav" for name in FREE]
    spectra = {Path(file).stem: (file, FIT) for file in files}
    waves = {f"{name}-waveform": (f"{OWN}/{name}.wav", (*FIT, *WAVE)) for name in TONES}
    return [
        Row("sounds", name, "11,025 Hz, d = 6, by ear [M]", file,
            partial(_measure, name, file, how), _shown)
        for name, (file, how) in {**spectra, **waves}.items()
    ]  # fmt: skip


def _measure(name: str, file: str, how: tuple[str, ...], run: Runner) -> dict[str, Any]:
    folder = RUNS / f"sound-{name}"
    fitted = run("fit", run.data / file, "--run", folder, *how, "--json")
    scores = run("evaluate", folder, "--against", ",".join(RIVALS), "--json")
    run("sample", folder, "--seconds", SECONDS, "-o", SOUNDS / f"{name}.mp3")
    _pair(folder, PICTURES / f"sound-{name}.webp")
    return {"fit": fitted, "scores": scores}


def _pair(folder: Path, path: Path) -> None:
    """Waveform and spectra of the clip's beginning (above) and of a sample, seed 0 (below)."""
    learned = load(folder)
    above = seen(learned, learned.signals.values[0])
    below = seen(learned, learned.sample(1, seconds=SECONDS)[0])
    white = np.full((GAP, above.shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate((above, white, below))).save(path, quality=70)


def _shown(found: dict[str, Any]) -> str:
    scores = found["scores"]
    beside = ", ".join(f"{n} {v['sample_ratio']:.2f}" for n, v in scores["baselines"].items())
    told = f"sample {scores['sample_ratio']:.2f}, copies {scores['copy_ratio']:.2f}"
    return f"{told} ({beside})"


HEAD = """# Sounds

Written by `python papers/run.py --data $DATA --only sounds`: 2,000 iterations each, seed 0, no
sample chosen. Ratios to real-to-real: 1 is another piece of the clip, and the largest of six
distances counts (docs/results.md says what they are). `noise`: from 0, the clip, to 1, Gaussian
noise with its spectrum. `copies`: 1 is as new as another piece, 0 a copy. In the pictures the clip
is above and the sample below. The first five were named before any was tried. Clips whose names
hold two underscores are ESC-10's (K. J. Piczak, ESC: Dataset for Environmental Sound
Classification, ACM Multimedia 2015; Freesound.org recordings, CC0 or CC BY); the others are not
free to publish: of them there are pictures of spectra, and what was made.

| clip | sample | noise | copies | repeats | phases | repetition | largest |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

PROOF = """A clip is cut into quarters; each in turn is held against the other three (`--only
hearing`), and so are others' sounds made of these. Means of four; real sound must come first,
white noise last.

| clip | real | repetition | phases | white |
| --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The table, then a player and a picture of each."""
    lines, shown = [], []
    for row, one in measured(rows()):
        name = row.name
        scores, rivals = one["scores"], one["scores"]["baselines"]
        largest = max(scores["ratios"], key=scores["ratios"].get)
        told = [scores[key] for key in ("sample_ratio", "noise_ratio", "copy_ratio",
                                        "repeat_ratio")]  # fmt: skip
        told += [rivals[rival]["sample_ratio"] for rival in RIVALS]
        lines.append(f"| {name} | {' | '.join(f'{v:.2f}' for v in told)} | {largest} |")
        shown += [f"## {name}", "", f'<audio controls src="sounds/{name}.mp3"></audio>', "",
                  f"[listen](sounds/{name}.mp3)", "",
                  f"![{name}: clip and sample](pictures/sound-{name}.webp)", ""]  # fmt: skip
    return HEAD + "\n".join([*lines, "", *_proof(), *shown])


def _proof() -> list[str]:
    """The order in which the measure puts sounds of known worth."""
    lines, told = ["## Is the measure fooled?", "", *PROOF.splitlines()], measured(hearing.rows())
    for row, found in told:
        ratios = [f"{found[what]['sample_ratio']:.2f}" for what in ("real", *hearing.RIVALS)]
        lines.append(f"| {row.name} | {' | '.join(ratios)} |")
    return [*lines, ""] if told else []
