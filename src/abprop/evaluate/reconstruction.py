"""Signals explained: f(z) at the z kept while learning, or at the most probable z; in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from abprop import tasks
from abprop.data import Sensor, Signals
from abprop.distributed import ALONE, Group, by_turns
from abprop.model import Model

BLOCK = 512  # signals whose x are held at once


class Explained(NamedTuple):
    """Some signals: their rows (b,), x (b, C, *size) in model units and z (b, *latent_shape)."""

    rows: Tensor
    x: Tensor
    z: Tensor


def explained(
    model: Model,
    signals: Signals,
    sensor: Sensor,
    *,
    own: Mapping[int, int],
    table: Tensor,
    known: int,
    device: torch.device,
    chunk: int,
    group: Group = ALONE,
) -> Iterator[Explained]:
    """Blocks of signals, in order.

    Args:
        model: the fitted model.
        signals: any number of them.
        sensor: how they are observed.
        own: row of `signals` -> row of `table`, for those that were learned from.
        table: latents (M, *latent_shape).
        known: so many of the first of them may be better starts than the prior's mean.
        device: where to compute.
        chunk: examples in one pass.
        group: processes that share out the signals never seen.
    """
    seen = sensor.learned_from(signals)
    examples = sensor.examples(seen, torch.arange(len(seen)))
    z = torch.empty(len(seen), *table.shape[1:], device=device)
    if own:
        z[list(own)] = table[list(own.values())]
    # Those that were never seen come together first: passes are full that way.
    new = torch.tensor([row for row in range(len(seen)) if row not in own], dtype=torch.int64)

    def inferred(rows: Tensor) -> tuple[Tensor]:
        _, y, A, _ = examples.batch(rows, device)
        return (tasks.reconstruct(model, y, A, known=table[:known], chunk=chunk)[1].cpu(),)

    length = min(BLOCK, chunk * max(1, -(-len(new) // (chunk * group.size))))
    blocks = new.split(length) if len(new) else ()
    for rows, (found,) in zip(blocks, by_turns(inferred, blocks, group), strict=True):
        z[rows] = found.to(z)
    for rows in torch.arange(len(seen)).split(BLOCK):
        found = z[rows]
        yield Explained(rows, tasks.generate(model, found, chunk=chunk).cpu(), found.cpu())
