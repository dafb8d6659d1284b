"""Runs of a few processes each among four, started by torchrun: see run/test_processes.py.

    torchrun --standalone --nproc-per-node 4 tests/many.py FOLDER

Learns the same on 1, 2, 3 and 4 processes, stopped on each and resumed on each, and from more data.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from tiny import blobs

from abprop import distributed
from abprop.distributed import Group, Shards, exactly
from abprop.errors import UserError
from abprop.run import Growth, Layers, fit, load

SETS = ("data.kind=images", "model.latent=3", "model.channels=8", "train.batch=20",
        "infer.chunk=16", "infer.steps=2", "run.precision=float32", "run.device=cpu",
        "data.mirror=no", "data.holdout=0.2", "train.scores=2")  # fmt: skip
ITERATIONS, STOP, MOST = 12, 7, 4
FAST, GROWN, MORE = (1, 2, 4), (1, 3), 15


def plans() -> Iterator[tuple[str, int, int | None]]:
    """Name of a run with exact sums, on how many processes, and where it is left."""
    for w in range(1, MOST + 1):
        yield f"whole-{w}", w, None
    for a in range(1, MOST + 1):
        for b in range(1, MOST + 1):
            yield f"{a}-then-{b}", a, STOP
            yield f"{a}-then-{b}", b, None


def signals() -> np.ndarray:
    """63 pictures: 50 to learn from, in 16 shards of 3 or 4."""
    return blobs(63)


def others() -> np.ndarray:
    """41 more."""
    return blobs(41, seed=1)


def check(group: Group) -> None:
    """What processes tell each other."""
    r, size = group.rank, group.size
    assert group.texts("ä" * r) == ["ä" * i for i in range(size)]
    assert group.text(f"from {r}") == "from 0" and group.same(r + 0.5) == 0.5
    assert group.any(r == size - 1, False) == [True, False]
    shards, sizes = Shards(10, 4, group), [1, 2, 1, 3]
    begin, all_rows = sum(sizes[: shards.mine.start]), torch.arange(14.0)  # two chains each
    rows = all_rows[2 * begin :][: 2 * sum(sizes[v] for v in shards.mine)]
    assert torch.equal(shards.whole(sizes).gather(rows), all_rows), rows
    assert torch.equal(shards.whole(sizes).gather(rows > 4), all_rows > 4)
    mine = [(torch.full((2,), 0.1 * v),) for v in shards.mine]
    every = [(torch.full((2,), 0.1 * v),) for v in range(4)]
    assert torch.equal(exactly(mine, group, 4)[0], exactly(every, count=4)[0])
    agree(group)


def agree(group: Group) -> None:
    """The first process with an error says it, the others know, and all go on."""
    with group.agreed():
        pass
    told: UserError | None = None
    try:
        with group.agreed():
            if group.rank >= group.size // 2:
                raise UserError(f"process {group.rank}")
    except UserError as error:
        told = error
    assert told is not None
    assert told.told == (group.rank != group.size // 2), told


def grow(folder: Path, everyone: Group, groups: dict[int, object]) -> None:
    """A run whose data change and that learns on, on 1 and on 3 processes."""
    asked = Layers(None, (f"train.iterations={MORE}",), growth=Growth(others(), None, "3,17"))
    for w in GROWN:
        run = folder / f"grown-{w}"
        if everyone.first:
            shutil.copytree(folder / "2-then-4", run)
        dist.barrier()
        if everyone.rank < w:
            fit(run, asked, source=signals(), group=Group(everyone.rank, w, groups[w]))


def answer(folder: Path, everyone: Group, groups: dict[int, object]) -> None:
    """What a run says of other pictures, asked by 1 and by 3 processes."""
    dist.barrier()
    for w in (1, 3):
        if everyone.rank < w:
            run = load(folder / "whole-1", data=signals())
            run.group = Group(everyone.rank, w, groups[w])
            told = {"embedded": run.embed(others()), "rebuilt": run.reconstruct(others())}
            filled = run.recover(others(), hide="P.5", draws=3)
            told |= {"mean": filled.mean, "error": np.array(run.evaluate(others())["mse"])}
            np.savez(folder / f"answers-{w}-{everyone.rank}.npz", **told)


def main(folder: Path) -> None:
    """All runs, one after the other."""
    everyone = distributed.join()
    groups = {w: dist.new_group(list(range(w))) for w in range(1, MOST + 1)}
    asked = (*SETS, f"train.iterations={ITERATIONS}")
    exact = (*asked, "distributed.reduce=exact")
    todo = [(f"fast-{w}", w, None, asked) for w in FAST]
    todo += [(*plan, exact) for plan in plans()]
    for w, handle in groups.items():
        if everyone.rank < w:
            check(Group(everyone.rank, w, handle))
    for name, w, stop, sets in todo:
        if everyone.rank < w:
            group = Group(everyone.rank, w, groups[w])
            layers = Layers(None, sets, {"data.source": "<array>"})
            fit(folder / name, layers, source=signals(), stop_at=stop, group=group)
    answer(folder, everyone, groups)
    grow(folder, everyone, groups)
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
