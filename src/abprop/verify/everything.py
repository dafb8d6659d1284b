"""All checks of all kernels and seeds, in several processes, and what they say together."""

from __future__ import annotations

import math
import os
import statistics
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from abprop.inference import KERNELS
from abprop.say import Say
from abprop.verify.annealed import annealing_checks
from abprop.verify.base import Found, Size
from abprop.verify.known import SAMPLERS, linear_checks
from abprop.verify.learned import likelihood_check
from abprop.verify.ranks import calibration_checks

SEEDS = (0, 1, 2, 3, 4)
ENOUGH = 0.8  # of the seeds must pass

CHECKS = {
    "linear": linear_checks,
    "calibration": calibration_checks,
    "likelihood": likelihood_check,
    "annealing": annealing_checks,
}


def one(check: str, kernel: str, seed: int, size: Size) -> list[Found]:
    """What one group of checks finds for one kernel and seed, on one thread."""
    torch.set_num_threads(1)
    return list(CHECKS[check](kernel, seed, size, KERNELS[kernel]))


def verify(
    seeds: Iterable[int] = SEEDS,
    kernels: Iterable[str] = SAMPLERS,
    size: Size | None = None,
    processes: int = 2,
    say: Say = lambda line: None,
) -> list[Found]:
    """Everything, in several processes of one thread each.

    Args:
        seeds: of the noise and the problems.
        kernels: names of KERNELS that sample.
        size: how much is drawn.
        processes: that share the work.
        say: told what is done.
    """
    seeds, kernels, size = list(seeds), list(kernels), size or Size()
    checks = [("linear", kernel) for kernel in reversed(kernels)]  # the longest first
    checks += [("calibration", kernel) for kernel in kernels] + [("likelihood", kernels[0])]
    checks += [("annealing", "hmc")]
    # A C library that gives freed memory back at once spends half of the time asking for it again.
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [
            [pool.submit(one, check, kernel, seed, size) for seed in seeds]
            for check, kernel in checks
        ]
        found = []
        for (check, kernel), parts in zip(checks, jobs, strict=True):
            found += [told for part in parts for told in part.result()]
            say(f"{check}: {kernel}, {len(seeds)} seeds")
    return found


def summary(found: Iterable[Found]) -> dict[str, Any]:
    """What `verify --json` prints: per check, and in its rows per kernel and case.

    A row passes where four of five seeds do (of fewer seeds all). Values are medians over the
    seeds; a check's own value and bound are those of its row that came nearest to failing.
    """
    found = list(found)
    result: dict[str, Any] = {"passed": True, "seeds": len({told.seed for told in found})}
    for name in dict.fromkeys(told.check for told in found):
        rows = []
        for kernel, case in dict.fromkeys((f.kernel, f.case) for f in found if f.check == name):
            mine = [f for f in found if (f.check, f.kernel, f.case) == (name, kernel, case)]
            passed = sum(f.passed for f in mine)
            rows.append({
                "kernel": kernel,
                "case": case,
                "value": statistics.median(f.value for f in mine),
                "bound": mine[0].bound,
                "seeds_passed": passed,
                "passed": passed >= math.ceil(ENOUGH * len(mine)),
            })  # fmt: skip
        worst = min(rows, key=lambda row: row["seeds_passed"])
        keys = ("value", "bound", "seeds_passed")
        result[name] = {key: worst[key] for key in keys} | {
            "passed": all(row["passed"] for row in rows),
            "rows": rows,
        }
        result["passed"] &= result[name]["passed"]
    return result
