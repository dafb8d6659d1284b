"""Which examples are in which batch: a function of the iteration, nothing to remember.

The epochs' random orders, one after the other, are cut into batches of one size, so that every
example is visited once in an epoch and passes need no padding. Each shard has an order of its own,
and gives every batch as many examples as the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor

from abprop.alternate import Batch
from abprop.data import Examples
from abprop.distributed import Shards, fitting
from abprop.errors import UserError
from abprop.learning.settings import Settings
from abprop.noise import Noise

LARGE = 1 << 17  # numbers in a batch: smaller ones are read sooner than a thread is told to
T = TypeVar("T")
_END = object()
FEW = 3  # batches in an epoch that are cut evenly instead of going on into the next one


def largest_batch(n: int, batch: int) -> int:
    """Examples of the largest batch.

    Args:
        n: examples.
        batch: of them asked for; 0: all.
    """
    size, per_epoch = _sized(n, batch)
    return -(-n // per_epoch) if per_epoch else size


def shard_count(n: int, batch: int) -> int:
    """How many shards suit n examples in batches of so many."""
    return fitting(n, *_sized(n, batch))


def check_shards(n: int, batch: int, count: int) -> None:
    """Refuse shards that cannot give every batch equally much.

    Raises:
        UserError: they are too many, or do not divide a batch.
    """
    size, per_epoch = _sized(n, batch)
    if count > 1 and (n // count < per_epoch if per_epoch else size % count):
        raise UserError(
            f"distributed.shards={count} cannot give {size} examples an iteration between them, "
            f"of {n}; use distributed.shards={shard_count(n, batch)}"
        )


def _sized(n: int, batch: int) -> tuple[int, int | None]:
    """Examples of a batch; and batches of an epoch, if these are few and it is cut evenly."""
    size = min(batch or n, n)
    return size, max(1, round(n / size)) if n < FEW * size else None


class Batches:
    """Batch t of the examples: positions of those that lie here, and how many of each shard.

    Args:
        seed: of the orders.
        shards: the examples.
        batch: examples in an iteration; 0: all.
    """

    def __init__(self, seed: int, shards: Shards, batch: int) -> None:
        self.shards, (size, self.per_epoch) = shards, _sized(shards.n, batch)
        self.size = size // shards.count  # of each shard, where batches go on into the next epoch
        self.orders = [Order(seed, v, shards.lengths[v], self.size) for v in shards.mine]

    def __getitem__(self, t: int) -> Tensor:
        """Ascending, int64."""
        here = zip(self.shards.mine, self.orders, strict=True)
        taken = (self.shards.bounds[v] + self._taken(order, t) for v, order in here)
        return torch.cat([positions.sort().values for positions in taken])

    def _taken(self, order: Order, t: int) -> Tensor:
        if self.per_epoch is None:
            return order[t]
        epoch, j = divmod(t, self.per_epoch)
        return order.drawn(epoch)[slice(*self._cut(order.n, j))]

    def _cut(self, n: int, j: int) -> tuple[int, int]:
        """Where part j of an epoch of n begins and ends."""
        count = self.per_epoch or 1
        return j * n // count, (j + 1) * n // count

    def sizes(self, t: int) -> list[int]:
        """How many of each shard are in batch t."""
        if self.per_epoch is None:
            return [self.size] * self.shards.count
        cuts = (self._cut(n, t % self.per_epoch) for n in self.shards.lengths)
        return [end - begin for begin, end in cuts]


class Order:
    """Which of a shard's n examples are in batch t of so many each.

    A batch that begins in one epoch and ends in the next must not hold an example twice: what is in
    its first part and would be in its second too changes places with what comes right after it.
    """

    def __init__(self, seed: int, shard: int, n: int, size: int) -> None:
        self.noise, self.shard, self.n, self.size = Noise(seed, "shuffle"), shard, n, size
        self._drawn: dict[int, Tensor] = {}
        self._mended: dict[int, Tensor] = {}

    def __getitem__(self, t: int) -> Tensor:
        epoch, begin = divmod(t * self.size, self.n)
        first = self._epoch(epoch)[begin : begin + self.size]
        if len(first) == self.size:
            return first
        return torch.cat((first, self._epoch(epoch + 1)[: self.size - len(first)]))

    def drawn(self, epoch: int) -> Tensor:
        """The random order of an epoch."""
        if epoch not in self._drawn:
            last = {k: v for k, v in self._drawn.items() if k >= epoch - 1}
            order = self.noise.permutation(self.n, epoch, self.shard)
            self._drawn = {**last, epoch: order}
        return self._drawn[epoch]

    def _epoch(self, epoch: int) -> Tensor:
        """The order of an epoch, made once: it is as long as the data."""
        if epoch not in self._mended:
            last = {k: v for k, v in self._mended.items() if k >= epoch - 1}
            self._mended = {**last, epoch: self._fitted(epoch)}
        return self._mended[epoch]

    def _fitted(self, epoch: int) -> Tensor:
        """The order of an epoch, its beginning made to fit the end of the one before."""
        order = self.drawn(epoch)
        left = epoch * self.n % self.size  # rows of a batch that the epoch before has filled
        if not left:
            return order
        tail = self.drawn(epoch - 1)[self.n - left :]
        head, after = order[: self.size - left], order[self.size - left : 2 * self.size]
        twice, free = torch.isin(head, tail), ~torch.isin(after, tail)
        swapped = free.nonzero()[: int(twice.sum()), 0]
        head, after = head.clone(), after.clone()
        head[twice], after[swapped] = after[swapped], head[twice]
        return torch.cat((head, after, order[2 * self.size :]))


# Reading --------------------------------------------------------------------------------------


def batches(
    settings: Settings,
    train: Examples,
    start: int,
    stop: int,
    device: torch.device,
    shards: Shards | None = None,
) -> Iterator[Batch]:
    """Batches of iterations start..stop-1, what of them lies here; see `Batches`.

    On a GPU the loop does not wait for what takes long to read.
    """
    shards = shards or Shards(len(train))
    order = Batches(settings.seed, shards, settings.train.batch)

    def read(t: int) -> Batch:
        batch = train.read(order[t])._replace(whole=shards.whole(order.sizes(t)))
        return batch.pinned() if device.type == "cuda" else batch

    made, size = map(read, range(start, stop)), sum(order.sizes(start)) // shards.group.size
    for batch in ahead(made) if aside(device, size * math.prod(train.signal_shape)) else made:
        yield batch.to(device)


def aside(device: torch.device, numbers: int) -> bool:
    """Whether batches of so many numbers are read beside learning.

    On a processor a thread that reads keeps threads of its own busy: learning took a quarter to a
    half longer with it, to save a hundredth.
    """
    return device.type == "cuda" and numbers >= LARGE


def ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items in the same order, each begun as soon as the one before is handed over.

    What `items` raises is raised here, with its own traceback. Closing this ends the thread; the
    item that it is at is finished first.
    """
    with ThreadPoolExecutor(1, "ahead") as reader:
        coming = reader.submit(next, items, _END)
        while (item := coming.result()) is not _END:
            coming = reader.submit(next, items, _END)
            yield item  # type: ignore[misc]
