"""What the run runs on: device, precision, threads, memory."""

from __future__ import annotations

import os
import resource
import sys

import torch

from abprop.errors import UserError, unknown


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
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not _has_mps()):
        raise UserError(f"--device {name}: no such device here; use --device auto")
    try:
        return torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name}: no such device; use --device auto") from error


def _has_mps() -> bool:
    return torch.backends.mps.is_available()


def precision(name: str, where: torch.device) -> torch.dtype:
    """float32, or bfloat16 where the processor multiplies it faster; auto finds out."""
    if name != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[name]
    if where.type == "cuda":
        fast = torch.cuda.is_bf16_supported()
    else:
        fast = where.type == "cpu" and _cpu_multiplies_bfloat16()
    return torch.bfloat16 if fast else torch.float32


def _cpu_multiplies_bfloat16() -> bool:
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def set_threads(wanted: int) -> int:
    """Fix the number of threads for this process, and say how many.

    Args:
        wanted: 0 leaves the choice open: an OMP_NUM_THREADS in the environment, or all cores.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list by level
    asked = wanted or (int(first) if first.isdecimal() else 0)
    torch.set_num_threads(asked or cores())
    return torch.get_num_threads()


def cores() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory(where: torch.device) -> int:
    """Bytes this process has held at most, on the GPU if it runs there."""
    if where.type == "cuda":
        return torch.cuda.max_memory_allocated(where)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
