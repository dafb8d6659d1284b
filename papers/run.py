"""The paper's experiments, run or resumed, and one table of the paper's figures beside ours.

    python papers/run.py --data FOLDER [--only reconstruction] [--budget 15m]

Every row is a handful of `abprop` commands, printed as they run; a row whose result is already in
papers/results/ is skipped, and an unfinished run goes on where it stopped. FOLDER holds the data
sets named in docs/results.md. Figures marked [M] are remembered from the paper, not verified.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import ablation
import compressive
import dimensions
import faces
import hearing
import holes
import imputers
import likeness
import minutes
import objects
import occlusion
import photographs
import priors
import reconstruction
import sounds
import superresolution
import textures
import video
import watching
from row import RESULTS, Row, Runner, measured

EXPERIMENTS = {
    m.__name__: m
    for m in (
        objects, faces, occlusion, holes, imputers, compressive, superresolution, photographs,
        reconstruction, priors, textures, likeness, ablation, minutes, sounds, hearing, video,
        watching, dimensions,
    )
}  # fmt: skip
TABLE = Path(__file__).parent.parent / "docs" / "papers.md"


def main() -> None:
    """Run what is missing, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("data"), help="folder of data sets")
    parser.add_argument("--only", choices=EXPERIMENTS, help="one experiment")
    parser.add_argument("--row", help="one row of it")
    parser.add_argument("--table", action="store_true", help="only write the table")
    asked = parser.parse_args()
    runner = Runner(asked.data)
    for name, module in EXPERIMENTS.items():
        for row in module.rows():
            wanted = asked.only in (None, name) and asked.row in (None, row.name)
            if wanted and not asked.table:
                _run(runner, row)
    TABLE.write_text(table(), "utf-8")
    ablation.picture()
    minutes.picture()
    priors.picture()
    textures.GALLERY.write_text(textures.gallery(), "utf-8")
    if any(row.result.exists() for row in sounds.rows()):
        sounds.PAGE.write_text(sounds.page(), "utf-8")
    if any(row.result.exists() for row in video.rows()):
        video.PAGE.write_text(video.page(), "utf-8")
    print(f"table: {TABLE}")


def _run(runner: Runner, row: Row) -> None:
    if row.result.exists():
        print(f"{row.experiment}/{row.name}: done already ({row.result.name})")
        return
    if row.needs and not (runner.data / row.needs).exists():
        print(f"{row.experiment}/{row.name}: skipped, no {row.needs} in {runner.data}")
        return
    runner.commands.clear()  # those of a row that stopped
    try:
        measured = row.measure(runner)
    except subprocess.CalledProcessError as error:
        print(f"{row.experiment}/{row.name}: stopped with exit code {error.returncode}")
        return
    RESULTS.mkdir(exist_ok=True)
    commands = [c.replace(str(runner.data), "$DATA") for c in runner.commands]
    row.result.write_text(json.dumps({**measured, "commands": commands}, indent=1) + "\n", "utf-8")


def table() -> str:
    """Every row with a result, as Markdown."""
    lines = [
        "# The paper's experiments",
        "",
        "Written by `python papers/run.py --data $DATA`. Figures marked [M] are remembered from "
        "the paper, not verified, and from other data (CelebA): compare ratios, not values.",
        "",
        "| experiment | row | the paper | ours | command |",
        "| --- | --- | --- | --- | --- |",
    ]
    for name, module in EXPERIMENTS.items():
        for row, found in measured(module.rows()):
            command = "<br>".join(f"`{c}`" for c in found["commands"])
            lines.append(f"| {name} | {row.name} | {row.paper} | {row.show(found)} | {command} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
