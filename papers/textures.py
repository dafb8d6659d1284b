"""Experiment 1: a new, larger texture from one picture.

Six pictures were named before any was tried; the rest of the two folders, and three that are free
to show, follow once the settings stand, the rest with 600 iterations each. `GALLERY` is written
beside the table.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage.data
import torch
from PIL import Image
from row import HERE, PICTURES, RUNS, Row, Runner, measured

from abprop.evaluate.samples.textures import pieces

GALLERY = HERE.parent / "docs" / "textures.md"
NAMED = (
    "pebbles__gatys",
    "water_bubbles__bubbly_0083",
    "basket__braided_0121",
    "bark__cracked_0154",
    "coloured_candy__bumpy_0180",
    "fire__dyn_flame",
)
REST = (
    "amber_bubbles__bubbly_0064", "blue_knit__braided_0080", "bright_water__bubbly_0090",
    "cracked_glaze__cracked_0129", "cracked_mud__cracked_0082", "custard_apple__bumpy_0189",
    "diamond_plate__bumpy_0118", "flaking_paint__cracked_0081", "foam__bubbly_0124",
    "metal_balls__bumpy_0178", "purple_crystals__crystalline_0124", "spiky_fruit__bumpy_0143",
    "water_caustics__embark1", "woven_cane__braided_0064",
)  # fmt: skip
VISTEX = (
    "Bark-03", "Bark-05", "Bark-10", "Brick-00", "Brick-02", "Brick-07", "Clouds-01", "Fabric-00",
    "Fabric-10", "Fabric-13", "Flowers-00", "Food-08", "Misc-01", "Sand-05", "Stone-02", "Water-05",
)  # fmt: skip
FREE = ("brick", "grass", "gravel")  # scikit-image's, CC0: the gallery shows these beside samples
RIVALS = ("quilting", "tiles", "phase")
HALF = ("--set", "train.iterations=600")  # five minutes of an idle core; nothing was tuned on these
SIDE, GAP = 256, 8  # pixels of a picture that are learned or shown, and between two pictures


def rows() -> list[Row]:
    """A sample of each, twice as large as the picture, and its scores."""
    files = {f"textures_256/{name}.png": () for name in NAMED}
    files |= {f"textures_256/{name}.png": HALF for name in REST}
    files |= {f"textures_vistex128/{name}.png": HALF for name in VISTEX}
    return [
        Row("textures", Path(file).stem, "448x448 from a 14x14 map, by eye [M]", file,
            partial(_measure, file, fit), _shown)
        for file, fit in files.items()
    ] + [
        Row("textures", name, "", "", partial(_measure_free, name), _shown) for name in FREE
    ]  # fmt: skip


def _measure(file: str, fit: tuple[str, ...], run: Runner) -> dict[str, Any]:
    name = Path(file).stem
    folder, picture = RUNS / f"texture-{name}", f"texture-{name}.webp"
    found = learned(run, file, folder, *fit, against=("--against", ",".join(RIVALS)))
    run("sample", folder, "--size", "512x512", "-o", PICTURES / picture)
    return {"picture": picture, **found}


def _measure_free(name: str, run: Runner) -> dict[str, Any]:
    source = free(name, run)
    found = _measure(str(source), (), run)
    _beside(source, PICTURES / found["picture"])
    return found


def free(name: str, run: Runner) -> Path:
    """A corner of one of scikit-image's photographs that are free to show, as a file."""
    source = RUNS / f"{name}.png"
    RUNS.mkdir(exist_ok=True)
    Image.fromarray(getattr(skimage.data, name)()[:SIDE, :SIDE]).save(source)
    run.commands.append(f"# {source.name}: skimage.data.{name}()[:{SIDE}, :{SIDE}]")
    return source


def _beside(source: Path, sample: Path) -> None:
    """Lay the original, pieces of the sample and the nearest ones of the original beside it."""
    original, made = (
        torch.from_numpy(np.array(Image.open(path).convert("RGB"))).movedim(-1, 0).float()
        for path in (source, sample)
    )
    asked, found = pieces(made, original)
    half = len(asked) // 2
    lines = [torch.cat([*row], 2) for part in (slice(half), slice(half, None))
             for row in (asked[part], found[part])]  # fmt: skip
    left = torch.cat((original, *lines), 1)
    gap = torch.full_like(left[:, :, :GAP], 255)
    whole = torch.cat((left, gap, made), 2)
    Image.fromarray(whole.movedim(0, -1).byte().numpy()).save(sample, quality=80)


def learned(run: Runner, file: str, folder: Path, *fit: str, against: tuple[str, ...] = ()) -> dict:
    """What `fit` and `evaluate` tell of one texture, learned with further words to `fit`."""
    fitted = run("fit", run.data / file, "--run", folder, *fit, "--json")
    return {"fit": fitted, "scores": run("evaluate", folder, *against, "--json")}


def trial(name: str, folder: Path, run: Runner, *fit: str) -> dict[str, Any]:
    """The same on one core, with a sample to look at beside the run."""
    found = learned(run, f"textures_256/{name}.png", folder, "--set", "run.threads=1", *fit)
    run("sample", folder, "--size", "512x512", "-o", folder.with_suffix(".png"))
    return found


def lay(files: list[list[Path]], picture: Path) -> None:
    """A sheet of corners of samples, row by row; if all of them are there."""
    if not all(file.exists() for row in files for file in row):
        return
    step = SIDE + GAP
    sheet = Image.new("RGB", (step * len(files[0]) - GAP, step * len(files) - GAP), "white")
    for y, row in enumerate(files):
        for x, file in enumerate(row):
            corner = Image.open(file).convert("RGB").crop((0, 0, SIDE, SIDE))
            sheet.paste(corner, (step * x, step * y))
    sheet.save(picture, quality=80)


def ratios(found: dict[str, Any], *keys: str) -> str:
    """Some scores in words."""
    return ", ".join(f"{key} {found['scores'][key]:.2f}" for key in keys)


def _shown(found: dict[str, Any]) -> str:
    scores = found["scores"]
    told = f"sample {scores['sample_ratio']:.2f}, copies {scores['copy_ratio']:.2f}"
    return f"{told} ([picture](pictures/{found['picture']}))"


HEAD = """# Textures

Written by `python papers/run.py --data $DATA --only textures`. The six that were named before any
was tried were learned for ten minutes of one core beside other work (batches of 32, the default
then), those free to show likewise (brick of 32, grass and gravel of 16), the others with 600
iterations, some five minutes of an idle one; three of these have what ten minutes gave (Bark-03,
786 of 32) or five (amber bubbles and blue knit, 644 and 484). Each sample is 512x512, seed 0,
not chosen. Ratios to real-to-real: 1 is another piece of the material, and the largest of four
distances counts (docs/results.md says what they are). `noise`: from 0, the material, to 1, a
Gaussian field with its spectrum, by Portilla-Simoncelli statistics. `copies`: 1 is as new as
another piece, 0 a copy. Rivals: image quilting, random 32-pixel tiles, random phases. Brick, grass
and gravel (scikit-image's, CC0) stand beside their samples: above left the original at the same
scale, below it pieces of the sample, each row over the nearest pieces of the original. The other
pictures are not free to show; they are those of the named files.

| texture | sample | noise | copies | repeats | quilting (copies) | tiles (copies) | phases |
| --- | --- | --- | --- | --- | --- | --- | --- |
"""

# The gallery ----------------------------------------------------------------------------------


def gallery() -> str:
    """Scores of every texture with a result, and its sample, as Markdown."""
    found = measured(rows())
    lines = [HEAD.rstrip()]
    lines += [_line(row, result["scores"]) for row, result in found]
    for row, result in found:
        lines += ["", f"## {row.name}", "", f"![{row.name}](pictures/{result['picture']})"]
    return "\n".join(lines) + "\n"


def _line(row: Row, scores: dict[str, Any]) -> str:
    rivals = scores["baselines"]
    beside = [f"{rivals[n]['sample_ratio']:.2f} ({rivals[n]['copy_ratio']:.2f})"
              for n in ("quilting", "tiles")]  # fmt: skip
    own = [scores[key] for key in ("sample_ratio", "noise_ratio", "copy_ratio", "repeat_ratio")]
    cells = [
        row.name,
        *(f"{v:.2f}" for v in own),
        *beside,
        f"{rivals['phase']['sample_ratio']:.2f}",
    ]
    return f"| {' | '.join(cells)} |"
