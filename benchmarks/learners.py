"""Other learners beside alternating back-propagation: same network, pictures, batches and minutes.

    python benchmarks/learners.py --data $DATA --minutes 15 --seeds 0 1 2
    python benchmarks/learners.py --data $DATA --only vae glo --name small --minutes 1 \\
        --set data.size=16x16 --set data.limit=300 --set model.latent=20
    python benchmarks/learners.py --data $DATA --tune     # learning rates, on few pictures
    python benchmarks/learners.py --table

1,000 LFW faces to learn from (a tenth held out, to be told sigma by), entries 3000-3299 of the zip
to test on, d = 100. Each learner ends in an ordinary run directory in benchmarks/runs, and all are
judged by the same commands: `abprop evaluate RUN TEST --against pca --likelihood`, `abprop evaluate
RUN`, `abprop evaluate RUN TEST --hide P.7`; and once more learned from faces of which 70 % is
hidden. What each infers at test in its own way is told beside. Rows that are there already are
skipped. Minutes are of wall time, so nothing else should run; beside other work `--busy` counts
what the process computes. Both are told.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from learners import LEARNERS  # the package beside this script
from learners.harness import Limit
from learners.judging import Pictures, row, tried

HERE = Path(__file__).parent
RESULTS, RUNS = HERE / "results", HERE / "runs"
SETS = ("model.latent=100", "data.holdout=0.1", "run.threads=1")
TUNED = ("data.limit=300",)  # what learning rates are tried on, at the size of the table
TUNED_MINUTES = 2.0
KINDS = "complete", "hidden"
COLUMNS = {
    "learner": "learner",
    "own": "unseen mse over PCA's, own inference",
    "ours": "with our solver",
    "samples": "distance of samples",
    "over": "over that of reconstructions",
    "recovery": "error at P.7, unseen",
    "hidden": "error at P.7, learned from P.7",
    "nats": "nats a number",
    "iterations": "iterations",
    "seconds": "seconds",
    "processor": "of a processor",
}
DECIMALS = {"recovery": 4, "hidden": 4, "iterations": 0, "seconds": 0, "processor": 0}  # else 3
Numbers = dict[str, float]


def pictures(data: Path, sets: Sequence[str]) -> Pictures:
    """The faces, with recipe keys for every learner."""
    faces = data / "faces_lfw64"
    chosen = ("data.select=3000:3300",)
    return Pictures(faces / "lfw64_1000.npz", faces / "lfw64.zip", chosen, (*SETS, *sets))


def run(options: argparse.Namespace) -> None:
    """The rows that are missing."""
    found = pictures(options.data, options.set)
    limit = partial(Limit, 60 * options.minutes, busy=options.busy)
    for seed in options.seeds:
        for name in options.only or LEARNERS:
            for kind in KINDS:
                stem = f"learners-{options.name}-{name}-{kind}-{seed}"
                _kept(stem, lambda folder, name=name, kind=kind, seed=seed: {
                    "minutes": options.minutes,
                    **row(name, LEARNERS[name], found, folder, seed, limit,
                          hidden=kind == "hidden"),
                })  # fmt: skip


def tune(options: argparse.Namespace) -> None:
    """Each learner at each of its learning rates; a Markdown table of held-out errors."""
    found = pictures(options.data, (*TUNED, *options.set))
    limit = partial(Limit, 60 * options.minutes, busy=options.busy)
    print("| learner | rate | held-out mse | iterations |\n| --- | --- | --- | --- |")
    for name in options.only or LEARNERS:
        for rate in LEARNERS[name].rates:
            told = _kept(
                f"learners-{options.name}-tune-{name}-{rate:g}",
                lambda folder, name=name, rate=rate: tried(
                    LEARNERS[name], rate, found, folder, options.seeds[0], limit
                ),
            )
            print(f"| {name} | {rate:g} | {told['heldout_mse']:.5f} | {told['iterations']} |",
                  flush=True)  # fmt: skip


def _kept(stem: str, measure: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    """A row as it was measured before, or measured now, from its beginning."""
    path, folder = RESULTS / f"{stem}.json", RUNS / stem
    if not path.exists():
        shutil.rmtree(folder, ignore_errors=True)  # what was interrupted tells of other weights
        told = measure(folder)
        RESULTS.mkdir(exist_ok=True)
        path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")
    return json.loads(path.read_text("utf-8"))


# The table ------------------------------------------------------------------------------------


def numbers(found: dict[str, Any]) -> Numbers:
    """Of one row, by columns: those that it tells."""
    if found["hidden"]:
        return {"hidden": found["own_data"]["error"]}
    unseen, own = found["unseen"], found["own_data"]
    pca = unseen["baselines"]["pca"]["mse"]
    told = {
        "ours": unseen["mse"] / pca,
        "recovery": found["recovery"]["error"],
        "nats": unseen["likelihood"]["nats_per_number"],
        "iterations": found["iterations"],
        "seconds": found["seconds"],
        "processor": found["processor"],
    }
    if found["own_mse"] is not None:
        told["own"] = found["own_mse"] / pca
    if "over_reconstructions" in own:  # not where few pictures are held out
        told |= {"samples": own["sample_ratio"], "over": own["over_reconstructions"]}
    return told


def gathered(name: str, results: Path = RESULTS) -> dict[str, list[Numbers]]:
    """Numbers of each learner's rows, complete and hidden ones of a seed together."""
    told: dict[str, list[Numbers]] = {}
    for learner in LEARNERS:
        seeds: dict[int, Numbers] = {}
        for kind in KINDS:
            for path in sorted(results.glob(f"learners-{name}-{learner}-{kind}-*.json")):
                found = json.loads(path.read_text("utf-8"))
                seeds.setdefault(found["seed"], {}).update(numbers(found))
        if seeds:
            told[learner] = [seeds[seed] for seed in sorted(seeds)]
    return told


def table(name: str, results: Path = RESULTS) -> str:
    """Markdown: means over seeds, with standard deviations where there are several."""
    found = gathered(name, results)
    lines = [f"| {' | '.join(COLUMNS.values())} |", "|" + " --- |" * len(COLUMNS)]
    for learner, seeds in found.items():
        cells = [_cell(key, [s[key] for s in seeds if key in s]) for key in list(COLUMNS)[1:]]
        lines.append(f"| {learner} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(key: str, values: Iterable[float]) -> str:
    values, digits = list(values), DECIMALS.get(key, 3)
    if not values:
        return ""
    mean = f"{statistics.fmean(values):.{digits}f}"
    if len(values) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(values):.{digits}f}"


def main() -> None:
    """See the module."""
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--data", type=Path)
    asked.add_argument("--minutes", type=float, help="15, or 2 to tune")
    asked.add_argument("--seeds", type=int, nargs="+", default=[0])
    asked.add_argument("--only", nargs="+", choices=LEARNERS)
    asked.add_argument("--name", default="faces", help="of the rows")
    asked.add_argument("--set", action="append", default=[], help="recipe keys of all learners")
    asked.add_argument("--tune", action="store_true", help="try learning rates")
    asked.add_argument("--busy", action="store_true", help="minutes of a processor, not of a clock")
    asked.add_argument("--table", action="store_true", help="only print the table")
    options = asked.parse_args()
    options.minutes = options.minutes or (TUNED_MINUTES if options.tune else 15.0)
    if options.data and options.tune:
        tune(options)
    elif options.data and not options.table:
        run(options)
    if not options.tune:
        print(table(options.name))


if __name__ == "__main__":
    main()
