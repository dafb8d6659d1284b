"""How long something takes, and how much memory."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil
import torch

from abprop import machine

Clock = Callable[[], float]
Result = TypeVar("Result")
FORGET = Path("/proc/self/clear_refs")  # Linux: 5 makes the peak what is held now


def seconds(action: Callable[[], object], where: torch.device, clock: Clock) -> float:
    """Until `action` is done, and all that it has begun on `where`."""
    _wait(where)
    began = clock()
    action()
    _wait(where)
    return clock() - began


def _wait(where: torch.device) -> None:
    if where.type != "cpu":
        torch.accelerator.synchronize(where)


def peak(action: Callable[[], Result], where: torch.device) -> tuple[Result, int]:
    """What `action` gives, and bytes that it held at most beyond what there was before.

    Where a process cannot forget its peak it is the one since it began, so at most too much.
    """
    before = _held_afresh(where)
    result = action()
    return result, max(0, machine.peak_memory(where) - before)


def _held_afresh(where: torch.device) -> int:
    """Bytes held now, from which on a peak counts."""
    if where.type == "cuda":
        torch.cuda.reset_peak_memory_stats(where)
        return torch.cuda.memory_allocated(where)
    with suppress(OSError, AttributeError):  # glibc keeps what was freed, to be used again
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):
        FORGET.write_text("5")
    return psutil.Process().memory_info().rss
