"""The processes of a run, and what they tell each other."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from abprop.errors import UserError

T = TypeVar("T")


class Elsewhere(UserError):
    """Another process tells what is wrong."""

    told = True


class Gone(UserError):
    """A process does not answer any more; whoever started it may start all of them again."""

    code = 75  # EX_TEMPFAIL, "try again"


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
