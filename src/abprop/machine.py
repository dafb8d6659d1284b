"""What the run runs on: device, threads, memory, and what a container leaves of them."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from abprop.errors import UserError, unknown

ROOT = Path("/")

# Device ---------------------------------------------------------------------------------------


def device(name: str) -> torch.device:
    """The device a name means; auto is cuda, mps or cpu, the first there is.

    Raises:
        UserError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if _has_mps() else "cpu"
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda", "mps"):
        raise unknown("device", name, ("auto", "cpu", "cuda", "mps"))
    if not has(name):
        raise UserError(f"--device {name}: no such device here; use --device auto")
    try:
        found = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: no such device; use --device auto") from error
    if kind == "cuda":
        _repeat_on_cuda()
    return found


def has(name: str) -> bool:
    """Whether a kind of device is here, e.g. "cuda" or "cuda:0"."""
    there = {"cuda": torch.cuda.is_available, "mps": _has_mps}
    return there.get(name.partition(":")[0], lambda: True)()


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def _repeat_on_cuda() -> None:
    """The same bits each time, and float32 that is float32: TF32 keeps 10 bits of 23."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False


# Threads and memory ---------------------------------------------------------------------------


def set_threads(wanted: int) -> int:
    """Fix the number of threads for this process, and say how many.

    Args:
        wanted: 0 leaves the choice open: an OMP_NUM_THREADS in the environment, or all cores.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list by level
    asked = wanted or (int(first) if first.isdecimal() else 0)
    torch.set_num_threads(asked or cores())
    return torch.get_num_threads()


@contextmanager
def one_thread() -> Iterator[None]:
    """For what must have the same bits however many threads there are."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def cores(root: Path = ROOT) -> int:
    """Processors that this process may use.

    Args:
        root: of the file system that says what a container may use.
    """
    if hasattr(os, "sched_getaffinity"):  # Linux
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    return max(1, math.ceil(min(count, _quota(root))))


def available_memory(root: Path = ROOT) -> int:
    """Bytes that can be had without swapping, as far as the system and the container tell.

    Args:
        root: as for `cores`.
    """
    return min(psutil.virtual_memory().available, max(0, _memory_left(root)))


def peak_memory(where: torch.device) -> int:
    """Bytes this process has held at most, on the GPU if it runs there."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    try:
        import resource
    except ImportError:  # Windows
        told = psutil.Process().memory_info()
        return getattr(told, "peak_wset", told.rss)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def out_of_memory(error: BaseException) -> bool:
    """Whether that is what an error means, which torch tells in words alone."""
    words = str(error).lower()
    return isinstance(error, MemoryError) or ("memory" in words and "alloc" in words)


def release() -> None:
    """Give back what torch keeps of a GPU's memory for later."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


# Containers -----------------------------------------------------------------------------------
# Linux limits groups of processes (cgroups). A group lies within others: the tightest limit holds.


def _quota(root: Path) -> float:
    """Processors' worth of time that the tightest group allows."""
    found = [math.inf]
    for group in _groups(root, "cpu"):
        quota, period = _number(group / "cpu.max"), _number(group / "cpu.max", 1)
        if quota is None:
            quota = _number(group / "cpu.cfs_quota_us")
            period = _number(group / "cpu.cfs_period_us")
        if quota and period and quota > 0 and period > 0:
            found.append(quota / period)
    return min(found)


def _memory_left(root: Path) -> int:
    """Bytes that the tightest group has left; cached files are given back when they are needed."""
    found = [1 << 62]
    names = (
        ("memory.max", "memory.current", "inactive_file"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    )
    for group in _groups(root, "memory"):
        for most, now, cached in names:
            limit, used = _number(group / most), _number(group / now)
            if limit is not None and used is not None:
                found.append(limit - used + _table(group / "memory.stat").get(cached, 0))
    return min(found)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of this process's groups, from its own up to the outermost that can be seen."""
    base = root / "sys/fs/cgroup"
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, names, path = (*line.split(":", 2), "", "")[:3]
        if names and controller not in names.split(","):
            continue
        top = base / controller if names else base  # version 1 has a tree for each controller
        inner = [part for part in path.split("/") if part]
        if ".." in inner:  # outside of what this container sees
            inner = []
        for depth in range(len(inner), -1, -1):
            yield top.joinpath(*inner[:depth])


def _number(path: Path, index: int = 0) -> int | None:
    """A whole number among a file's words; None if there is none, as where it says "max"."""
    words = _text(path).split()
    try:
        return int(words[index])
    except (IndexError, ValueError):
        return None


def _table(path: Path) -> Mapping[str, int]:
    pairs = (line.split() for line in _text(path).splitlines())
    return {p[0]: int(p[1]) for p in pairs if len(p) == 2 and p[1].isdecimal()}


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")
    except OSError:
        return ""
