"""Who owns which examples, and sums over all of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from abprop.distributed.group import ALONE, Group
from abprop.whole import HERE, Summed, Whole

MOST_SHARDS = 16  # unless more are asked for
EVEN = 20  # examples that a shard must hold, to be as often visited as others of one more or less
BITS = 62  # of a whole number that holds a sum


class Shards:
    """Examples in shards, and those that this process owns.

    Args:
        n: how many examples.
        count: V, from the number of processes to n.
        group: the processes.
        exact: whether sums shall have the same bits for every number of processes.

    Attributes:
        bounds: where shards begin, and the last one ends.
        mine: numbers of the shards that this process owns.
    """

    def __init__(self, n: int, count: int = 1, group: Group = ALONE, exact: bool = False) -> None:
        self.n, self.count, self.group, self.exact = n, count, group, exact
        self.bounds = [n * v // count for v in range(count + 1)]
        first, last = (-(-r * count // group.size) for r in (group.rank, group.rank + 1))
        self.mine = range(first, last)

    @property
    def lengths(self) -> list[int]:
        """Examples of each shard."""
        return [b - a for a, b in pairwise(self.bounds)]

    @property
    def rows(self) -> Tensor:
        """The examples that this process owns, int64."""
        return torch.arange(self.bounds[self.mine.start], self.bounds[self.mine.stop])

    @property
    def parts(self) -> int:
        """Into how many a batch is parted. For exact sums passes must be as long for every W."""
        return self.count if self.exact else self.group.size

    def whole(self, sizes: Sequence[int]) -> Whole:
        """A batch of so many examples of each shard, whose rows here are of the shards here."""
        if self.group.size == 1 and not self.exact:
            return HERE
        return Part(self, sizes)

    def every(self) -> Whole:
        """All examples as one batch."""
        return self.whole(self.lengths)

    def some(self, most: int) -> tuple[Tensor, list[int]]:
        """A few examples of every shard, about `most` in all: those here, and how many of each."""
        each = max(1, most // self.count)
        taken = [torch.arange(a, b, -(-(b - a) // each)) for a, b in pairwise(self.bounds)]
        return torch.cat([taken[v] for v in self.mine]), [len(rows) for rows in taken]

    def of(self, n: int) -> Shards:
        """As many shards of n others; all of them here and everywhere if they are too few."""
        if n < self.count:
            return Shards(n)
        return Shards(n, self.count, self.group, self.exact)


class Part(Whole):
    """The rows of a batch that lie in this process; see `Whole`."""

    def __init__(self, shards: Shards, sizes: Sequence[int]) -> None:
        mine = shards.mine
        self.shards, self.size = shards, sum(sizes)
        self.before, self.own = sum(sizes[: mine.start]), sizes[mine.start : mine.stop]

    def sum(self, f: Summed, *rows: Any) -> tuple[Tensor, ...]:
        """See `Whole.sum`."""
        group = self.shards.group
        if not self.shards.exact:
            return _added(f(*rows), group)
        each = len(rows[0]) // sum(self.own)
        parts, begin = [], 0
        for size in self.own:
            index = torch.arange(begin, begin + size * each, device=rows[0].device)
            parts.append(f(*(v[index] for v in rows)))
            begin += size * each
        return exactly(parts, group, self.shards.count)

    def gather(self, rows: Tensor) -> Tensor:
        """See `Whole.gather`."""
        if rows.dtype == torch.bool:
            return self.gather(rows.byte()).bool()
        each = len(rows) // sum(self.own)
        # Others have zeros there, which add nothing.
        whole = rows.new_zeros(self.size * each, *rows.shape[1:])
        whole[self.before * each :][: len(rows)] = rows
        return self.shards.group.add(whole)

    def share(self, mine: int, of: int) -> float:
        """See `Whole.share`."""
        return self.size / self.shards.n


def _added(parts: Sequence[Tensor], group: Group) -> tuple[Tensor, ...]:
    """Sums over processes, in one message."""
    flat = group.add(torch.cat([part.flatten() for part in parts]))
    sizes = [part.numel() for part in parts]
    return tuple(v.view_as(p) for v, p in zip(flat.split(sizes), parts, strict=True))


def exactly(
    parts: Sequence[Sequence[Tensor]], group: Group = ALONE, count: int = 1
) -> tuple[Tensor, ...]:
    """Sums over shards that do not depend on the order of the shards, nor on where they lie.

    Args:
        parts: of each shard here, the same list of tensors.
        group: the processes among which shards lie.
        count: of all shards.
    """
    kinds = list(zip(*parts, strict=True))
    kinds = list(zip(*parts, strict=True))
    largest = [torch.stack([v.abs().max() for v in several]).max() for several in kinds]
    tops = group.largest(torch.stack(largest).double().nan_to_num(nan=math.inf, posinf=math.inf))
    room = BITS - 1 - math.ceil(math.log2(count))
    shift = (room - torch.frexp(tops).exponent).tolist()
    known, found = torch.isfinite(tops).tolist(), []
    for several, e, finite in zip(kinds, shift, known, strict=True):
        total = torch.zeros(several[0].shape, dtype=torch.int64, device=several[0].device)
        for v in several if finite else ():
            total += torch.ldexp(v.double(), torch.tensor(e)).round().long()
        found.append(total)
    whole = _added(found, group)
    return tuple(
        torch.ldexp(total.double(), torch.tensor(-e)).to(like) if finite
        else torch.full_like(like, torch.nan)
        for total, e, finite, like in zip(whole, shift, known, parts[0], strict=True)
    )  # fmt: skip


def fitting(n: int, batch: int, per_epoch: int | None) -> int:
    """How many shards suit n examples: MOST_SHARDS at most.

    Args:
        n: examples.
        batch: of them in an iteration.
        per_epoch: batches in an epoch, if batches may differ by one in size.
    """

    def suits(count: int) -> bool:
        if per_epoch is not None:
            return n // count >= per_epoch
        return batch % count == 0 and (n % count == 0 or n // count >= EVEN)

    return next(v for v in range(min(MOST_SHARDS, n), 0, -1) if v == 1 or suits(v))
