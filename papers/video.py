"""Experiment 4: new frames of moving patterns, from one clip of each.

Every clip three times: by the default, frame by frame with factors that go along stretches of the
clip's path; the paper's way, with factors that a linear system moves; and by a generator of space
and time. Settings were tried on the flame alone. `PAGE` is written beside the table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from row import HERE, PICTURES, RUNS, Row, Runner, measured

from abprop import load
from abprop.evaluate.samples.videos import clip
from abprop.report.figures.videos import strip

PAGE, VIDEOS = HERE.parent / "docs" / "videos.md", HERE.parent / "docs" / "videos"
CLIPS = ("flame", "boiling_water", "flag", "fountain")
RATES = {"flame": 30}  # frames a second; of the others 25
RIVALS = ("lds", "phase", "loop")
SIZE, FRAMES = 64, 120
WAYS = {
    "": ("--set", "data.kind=video", "--set", "train.iterations=5000"),
    "-linear": ("--set", "data.kind=video", "--set", "train.iterations=1000",
                "--set", "model.motion=linear", "--set", "model.latent=20"),
    "-spacetime": ("--set", "data.kind=spacetime", "--set", "train.iterations=600"),
}  # so that a busy machine does not learn less  # fmt: skip
SHOWN, GAP = 12, 6  # frames side by side, and pixels between two strips


def rows() -> list[Row]:
    """New frames of each, and their scores."""
    return [
        Row("video", f"{name}{suffix}", "d = 20, by eye [M]", f"videos/{name}_128.npz",
            partial(_measure, name, suffix, how), _shown)
        for suffix, how in WAYS.items()
        for name in CLIPS
    ]  # fmt: skip


def _measure(name: str, suffix: str, how: tuple[str, ...], run: Runner) -> dict[str, Any]:
    folder, source = RUNS / f"video-{name}{suffix}", run.data / "videos" / f"{name}_128.npz"
    asked = (*how, "--set", f"data.size={SIZE}", "--set", f"data.rate={RATES.get(name, 25)}")
    fitted = run("fit", source, "--run", folder, *asked, "--json")
    scores = run("evaluate", folder, "--against", ",".join(RIVALS), "--json")
    run("sample", folder, "--frames", FRAMES, "-o", VIDEOS / f"{name}{suffix}.mp4")
    _strips(folder, PICTURES / f"video-{name}{suffix}.webp")
    return {"fit": fitted, "scores": scores}


def _strips(folder: Path, path: Path) -> None:
    """Frames of a sample, seed 0; beside the run with those of the clip above, at the same moments.

    The clips are not free to publish.
    """
    learned = load(folder)
    real = clip(learned.signals).numpy()
    made = learned.scale.to_model(learned.sample(1, frames=real.shape[1]))[0]
    above, below = strip(learned, real, SHOWN), strip(learned, made, SHOWN)
    assert above is not None and below is not None
    white = np.full((GAP, above.shape[1], 3), 255, np.uint8)
    Image.fromarray(np.concatenate((above, white, below))).save(folder / "strips.png")
    Image.fromarray(below).save(path, quality=80)


def _shown(found: dict[str, Any]) -> str:
    scores = found["scores"]
    beside = ", ".join(f"{n} {v['sample_ratio']:.2f}" for n, v in scores["baselines"].items())
    told = f"sample {scores['sample_ratio']:.2f}, copies {scores['copy_ratio']:.2f}"
    return f"{told} ({beside})"


HEAD = """# Moving patterns

Written by `python papers/run.py --data $DATA --only video`: seed 0, no sample chosen. Ratios to
real-to-real: 1 is another piece of the clip, and the largest of four distances counts
(docs/results.md says what they are; `tempo` is that of flicker and of motion that freezes).
`copies`: 1 is as new as another piece, 0 a copy. `lds` is a linear dynamic system of as many
principal components as the run has factors for a frame. By default factors go along stretches of
the clip's own path; `linear` is the paper's way, a linear system of 20 factors; `spacetime` a
generator of space and time. The clips (DynTex: R. Peteri, S. Fazekas, M. J. Huiskes, DynTex: A
comprehensive database of dynamic textures, 2010; the flame's origin is not stated) are not free to
publish: below are samples, and `papers/runs/video-*/strips.png` has the clip's frames above them.

| clip | sample | tempo | copies | repeats | lds | phases | loop | largest |
| --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""


def page() -> str:
    """The table, then a player and frames of each."""
    lines, shown = [], []
    for row, one in measured(rows()):
        name, scores, rivals = row.name, one["scores"], one["scores"]["baselines"]
        ratios = scores["ratios"]
        told = [scores["sample_ratio"], ratios["tempo"], scores["copy_ratio"]]
        told += [scores["repeat_ratio"], *(rivals[rival]["sample_ratio"] for rival in RIVALS)]
        largest = max(ratios, key=ratios.get)
        lines.append(f"| {name} | {' | '.join(f'{v:.2f}' for v in told)} | {largest} |")
        shown += [f"## {name}", "", f'<video controls loop src="videos/{name}.mp4"></video>', "",
                  f"[play](videos/{name}.mp4)", "",
                  f"![{name}: frames of a sample](pictures/video-{name}.webp)", ""]  # fmt: skip
    return HEAD + "\n".join([*lines, "", *shown])
