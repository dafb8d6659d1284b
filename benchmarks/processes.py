"""What several processes cost: seconds of an iteration, and of those in messages.

    python benchmarks/processes.py    # fast sums on 1, 2, 4 processes, exact ones on 1 and 2

Faces: d = 100, 3x64x64, 64 channels, batches of 128 of 1,024 synthetic pictures, one thread each.
Before every message the processes wait for each other, and that is counted by itself: who is late
(another program was given its core) is no cost of the message. Bytes are those that a process
gives to sums.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from abprop import distributed, machine
from abprop.data import Examples
from abprop.distributed import Group, Shards
from abprop.learning import Learning
from abprop.operators import Identity
from abprop.run.recipe import compose, settings

RESULTS = Path(__file__).parent / "results"
N, BATCH, WARM, TIMED = 1024, 128, 3, 8
CASES = ((1, "fast"), (2, "fast"), (4, "fast"), (1, "exact"), (2, "exact"))


class Timed(Group):
    """Counts seconds in messages, seconds of waiting for others, and bytes."""

    def __init__(self, group: Group) -> None:
        super().__init__(group.rank, group.size, group.handle)
        self.seconds, self.waited, self.bytes = 0.0, 0.0, 0

    def _reduced(self, values: Tensor, how: Any) -> Tensor:
        if self.size == 1:
            return values
        began = time.monotonic()
        dist.barrier()
        ready = time.monotonic()
        super()._reduced(values, how)
        self.seconds += time.monotonic() - ready
        self.waited += ready - began
        self.bytes += values.nbytes
        return values


def measure(reduce: str) -> dict[str, Any]:
    """Medians over iterations, in this process."""
    torch.set_num_threads(1)
    group = Timed(distributed.join())
    y = torch.rand(N, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    train = Examples(y, Identity(N, (3, 64, 64)), torch.arange(N), (3, 64, 64))
    sets = ("model.latent=100", "model.channels=64", f"train.batch={BATCH}", "infer.wait=0",
            "infer.start=prior", "train.iterations=1000")  # fmt: skip
    recipe = compose("images", sets)
    learning = Learning(settings(recipe), train, shards=Shards(N, 16, group, reduce == "exact"))
    laps, told = [time.monotonic()], [(0.0, 0.0, 0)]
    for _ in learning.steps(WARM + TIMED):
        laps.append(time.monotonic())
        told.append((group.seconds, group.waited, group.bytes))
    each = [[b - a for a, b in pairwise(v)][WARM:] for v in (laps, *zip(*told, strict=True))]
    seconds, messages, waiting, sent = map(statistics.median, each)
    return {
        "processes": group.size, "reduce": reduce, "seconds": round(seconds, 4),
        "messages": round(messages, 5), "waiting": round(waiting, 4), "bytes": int(sent),
        "share": round(messages / seconds, 5), "cores": machine.cores(),
        "parameters": sum(p.numel() for p in learning.model.network.parameters()),
    }  # fmt: skip


def main() -> None:
    """Each case by torchrun, one after the other."""
    for count, reduce in CASES:
        words = [sys.executable, __file__, "--one", reduce]
        if count > 1:
            launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
            words = [sys.executable, *launch, __file__, "--one", reduce]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(words, check=True, capture_output=True, text=True, env=environment)
        told = json.loads(done.stdout.splitlines()[-1])
        (RESULTS / f"processes-{count}-{reduce}.json").write_text(json.dumps(told, indent=1) + "\n")
        print(told)


if __name__ == "__main__":
    if "--one" in sys.argv:
        found = measure(sys.argv[-1])
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(found))
        distributed.leave()
    else:
        main()
