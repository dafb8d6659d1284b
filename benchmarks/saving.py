"""What saving costs: how long the loop waits for a checkpoint, and for what.

    python benchmarks/saving.py             # faces of 64x64, d = 100: 1,000 examples and a million
    python benchmarks/saving.py --repeats 9

Network, moments and latents have the shapes and types of such a run, and random values; names of
the examples are saved too, as a run does. `share` is that of 60 seconds, the default of
checkpoint.every: what learning loses.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from abprop import checkpoint
from abprop.inference import Metric, State
from abprop.latents import Latents
from abprop.learning import ModelSettings
from abprop.learning.parts import make_model

SIDE, LATENT, EVERY = 64, 100, 60.0
COLUMNS = ("save", "processor", "disk", "deleting")
Groups = dict[str, dict[str, Tensor]]


def groups(examples: int, channels: int) -> Groups:
    """What a run of so many examples saves."""
    settings = ModelSettings((LATENT,), channels=channels)
    network = dict(make_model(settings, (3, SIDE, SIDE), torch.float32, 0).state_dict())
    moments = {
        f"{i}.{name}": torch.randn_like(v.float())
        for i, v in enumerate(network.values())
        for name in ("exp_avg", "exp_avg_sq")
    }
    z = torch.randn(examples, LATENT)
    state = State.begin(z, 0.1)._replace(axis=torch.randn(examples, LATENT))
    table = Latents(torch.arange(examples), state, Metric.plain(z))
    names = checkpoint.named(f"{i:06d}" for i in range(examples))
    return {"network": network, "optimizer": moments, "latents-00000": table.tensors(),
            "names": names}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measured(examples: int, channels: int, repeats: int, where: Path) -> dict[str, float]:
    """Medians in seconds: of a save, its processor, its waiting for the disk; of deleting one."""
    tensors, synced = groups(examples, channels), list[float]()
    real, laps = os.fsync, list[tuple[float, ...]]()
    os.fsync = lambda file: synced.append(seconds(lambda: real(file)))
    try:
        for step in range(repeats + 1):
            synced.clear()
            busy = -time.process_time()
            lap = seconds(lambda step=step: checkpoint.save(where, step, tensors, {}))
            busy += time.process_time()
            keep = {step, step - 1}
            deleting = seconds(lambda keep=keep: checkpoint.prune(where, keep))
            laps.append((lap, busy, sum(synced), deleting))
    finally:
        os.fsync = real
    last = where / checkpoint.step_name(repeats)
    told = dict(zip(COLUMNS, map(statistics.median, zip(*laps[1:], strict=True)), strict=True))
    return told | {
        "MB": sum(path.stat().st_size for path in last.iterdir()) / 1e6,
        "share": (told["save"] + told["deleting"]) / EVERY,
    }


def main() -> None:
    """A line for each number of examples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, nargs="+", default=[1000, 1_000_000])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="on which disk; else that of temporary files")
    given = parser.parse_args()
    print(" examples |   MB |", " | ".join(f"{name:>9}" for name in COLUMNS), "| share of 60 s")
    for count in given.examples:
        folder = Path(tempfile.mkdtemp(dir=given.folder))
        try:
            told = measured(count, given.channels, given.repeats, folder)
        finally:
            shutil.rmtree(folder)
        numbers = " | ".join(f"{told[name]:9.3f}" for name in COLUMNS)
        print(f"{count:9,} | {told['MB']:4.0f} | {numbers} | {told['share']:.2%}")


if __name__ == "__main__":
    main()
