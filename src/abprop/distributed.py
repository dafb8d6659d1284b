"""Many processes that learn one model: who owns which examples, and sums over all of them.

    shard v of V     examples n v / V .. n (v + 1) / V - 1, for the life of a run
    process r of W   owns the shards v with floor(v W / V) = r, their latents and all that is of
                     their chains; no latent leaves its owner
    a sum            fast: each process sums its rows, then they add up: rounded otherwise for
                     every W. exact: each shard is summed by itself, and shards add up as whole
                     numbers q = round(2^e x), e of all shards' largest |x|: in any order, so the
                     bits are those of every W

Processes are started and found by torchrun; what crosses between them goes through
torch.distributed. V does not change with W, so a run goes on with any W up to V.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from abprop.errors import UserError
from abprop.whole import HERE, Summed, Whole

MOST_SHARDS = 16  # unless more are asked for
EVEN = 20  # examples that a shard must hold, to be as often visited as others of one more or less
BITS = 62  # of a whole number that holds a sum
T = TypeVar("T")


class Elsewhere(UserError):
    """Another process tells what is wrong."""

    told = True


class Gone(UserError):
    """A process does not answer any more; whoever started it may start all of them again."""

    code = 75  # EX_TEMPFAIL, "try again"


# Processes ------------------------------------------------------------------------------------


class Group:
    """The processes of a run.

    Args:
        rank: number of this one among them.
        size: how many there are.
        handle: torch's own group of them; None: all that there are.
    """

    def __init__(self, rank: int = 0, size: int = 1, handle: Any = None) -> None:
        self.rank, self.size, self.handle = rank, size, handle

    @property
    def first(self) -> bool:
        """This is the process that writes and speaks for all."""
        return self.rank == 0

    def add(self, values: Tensor) -> Tensor:
        """The sum over all processes, in place."""
        return self._reduced(values, dist.ReduceOp.SUM)

    def largest(self, values: Tensor) -> Tensor:
        """The largest over all processes, in place."""
        return self._reduced(values, dist.ReduceOp.MAX)

    def _reduced(self, values: Tensor, how: Any) -> Tensor:
        if self.size > 1:
            _or_gone(lambda: dist.all_reduce(values, how, group=self.handle))
        return values

    def any(self, *flags: bool) -> list[bool]:
        """Which of some flags any process has raised."""
        return self.largest(torch.tensor(flags, dtype=torch.uint8)).bool().tolist()

    def same(self, value: float) -> float:
        """The first process's number."""
        told = torch.tensor([value], dtype=torch.float64)
        if self.size > 1:
            _or_gone(lambda: dist.broadcast(told, group=self.handle, group_src=0))
        return told.item()

    def text(self, text: str) -> str:
        """The first process's text."""
        return self.texts(text if self.first else "")[0]

    def texts(self, text: str) -> list[str]:
        """Every process's text, in their order."""
        if self.size == 1:
            return [text]
        data = bytearray(text.encode())
        lengths = torch.zeros(self.size, dtype=torch.int64)
        lengths[self.rank] = len(data)
        ends = self.add(lengths).cumsum(0).tolist()
        whole = torch.zeros(ends[-1], dtype=torch.uint8)
        if data:
            here = slice(ends[self.rank] - len(data), ends[self.rank])
            whole[here] = torch.frombuffer(data, dtype=torch.uint8)
        told = self.add(whole).numpy().tobytes()
        return [told[a:b].decode() for a, b in zip([0, *ends[:-1]], ends, strict=True)]

    @contextmanager
    def agreed(self) -> Iterator[None]:
        """What one process cannot do, none has done.

        Raises:
            UserError: of the first process that has one; `Elsewhere` in the others.
        """
        wrong: UserError | None = None
        try:
            yield
        except UserError as error:
            wrong = error
        failed = -self.size if wrong is None else -self.rank
        first = -int(self.largest(torch.tensor(failed)))
        if wrong is not None and first == self.rank:
            raise wrong
        if first < self.size:
            raise Elsewhere("another process of this run has failed") from wrong


ALONE = Group()


def join() -> Group:
    """The processes that torchrun started together, or this one alone.

    Raises:
        UserError: they do not find each other.
    """
    size = _environment("WORLD_SIZE", 1)
    if size == 1:
        return ALONE
    if not dist.is_initialized():
        if torch.cuda.is_available():
            torch.cuda.set_device(_environment("LOCAL_RANK", 0))
            backend = "cpu:gloo,cuda:nccl"
        else:
            backend = "gloo"
        try:
            dist.init_process_group(backend)
        except (RuntimeError, ValueError) as error:
            raise UserError(
                f"the {size} processes do not find each other: {_line(error)}; "
                "start them with torchrun, or with --processes"
            ) from error
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Take leave of the others: threads that still wait for them would abort this process."""
    if dist.is_initialized():
        dist.destroy_process_group()


def beside() -> int:
    """How many processes of this run share this machine."""
    return _environment("LOCAL_WORLD_SIZE", 1)


def _environment(name: str, otherwise: int) -> int:
    value = os.environ.get(name, "")
    return int(value) if value.isdecimal() else otherwise


def _or_gone(call: Callable[[], object]) -> None:
    try:
        call()
    except RuntimeError as error:
        raise Gone(
            f"another process of this run is gone ({_line(error)}); the same command goes on "
            "from the last checkpoint"
        ) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]


def by_turns(
    f: Callable[[T], tuple[Tensor, ...]], items: Sequence[T], group: Group = ALONE
) -> Iterator[tuple[Tensor, ...]]:
    """f of each item, in order, where processes take turns to compute; each is told all.

    Args:
        f: gives tensors on the CPU.
        items: the same in every process.
        group: the processes.
    """
    for start in range(0, len(items), group.size):
        some = items[start : start + group.size]
        with group.agreed():
            mine = f(some[group.rank]) if group.rank < len(some) else ()
        kinds = [(str(v.dtype).removeprefix("torch."), list(v.shape)) for v in mine]
        for owner, told in enumerate(group.texts(json.dumps(kinds))[: len(some)]):
            yield tuple(
                group.add(
                    mine[i].clone()
                    if owner == group.rank
                    else torch.zeros(shape, dtype=getattr(torch, kind))
                )
                for i, (kind, shape) in enumerate(json.loads(told))
            )


# Shards ---------------------------------------------------------------------------------------


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
        return self.whole([b - a for a, b in zip(self.bounds, self.bounds[1:], strict=False)])

    def some(self, most: int) -> tuple[Tensor, list[int]]:
        """A few examples of every shard, about `most` in all: those here, and how many of each."""
        each = max(1, most // self.count)
        taken = [
            torch.arange(a, b, -(-(b - a) // each))
            for a, b in zip(self.bounds, self.bounds[1:], strict=False)
        ]
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
