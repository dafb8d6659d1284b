"""Checkpoints that several tests save, forge and lose."""

from __future__ import annotations

from pathlib import Path

import torch

from abprop.checkpoint import Checkpoint, load, step_name

META = {"recipe": {"seed": 0, "rate": 1e-05, "name": "é"}, "versions": ["2.13", None, True]}


def state(value: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "network": {"dense.weight": torch.full((3, 4), value), "bias": torch.zeros(0, 5)},
        "optimizer": {"step": torch.tensor(7), "m": torch.ones(2, dtype=torch.bfloat16) * value},
        "latents-00000": {"ids": torch.tensor([3, 2**40]), "s": torch.tensor(0.1).double()},
    }


def saved_in(run: Path) -> list[Checkpoint]:
    """What the first two iterations of a run saved."""
    return [load(run / "checkpoints" / step_name(step)) for step in (1, 2)]


def holds(found: Checkpoint | None, state: Checkpoint) -> bool:
    """Whether the very same was read."""
    return found is not None and found.meta == state.meta and same(found.tensors, state.tensors)


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def never(line: str) -> None:
    raise AssertionError(line)


def same(a: dict[str, dict[str, torch.Tensor]], b: dict[str, dict[str, torch.Tensor]]) -> bool:
    return a.keys() == b.keys() and all(
        a[g].keys() == b[g].keys()
        and all(torch.equal(t, b[g][k]) and t.dtype == b[g][k].dtype for k, t in a[g].items())
        for g in a
    )
