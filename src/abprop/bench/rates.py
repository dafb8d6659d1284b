"""What this machine can do: matrix products and copies, without any learning.

products     2 n^3 operations for two matrices of n x n, the best of the two largest n tried
copies       bytes read and bytes written
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import torch

from abprop.bench.timing import Clock, seconds

SIZES = (256, 512, 1024, 2048, 4096, 8192)
LONG = 0.03  # seconds that a product takes which is large enough
COPIED = 2**28  # bytes: more than any cache holds
PRODUCTS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Rates(NamedTuple):
    """Operations a second of products in each precision, and bytes a second of copies."""

    float32: float
    bfloat16: float
    copy: float

    @property
    def peak(self) -> float:
        """The better of the products'."""
        return max(self.float32, self.bfloat16)


class Machine:
    """Measures its rates when it is asked to.

    Args:
        where: the device.
        clock: seconds.
    """

    def __init__(self, where: torch.device, clock: Clock = time.perf_counter) -> None:
        self.where, self.clock = where, clock
        self.products = {name: _large(t, where, clock) for name, t in PRODUCTS.items()}
        there = torch.ones(COPIED, dtype=torch.uint8, device=where)
        here = torch.empty_like(there)
        self.copy = lambda: here.copy_(there)
        self.copy()

    def rates(self) -> Rates:
        """As they are now."""
        best = {
            name: max(2 * n**3 / self._seconds(one) for n, one in products.items())
            for name, products in self.products.items()
        }
        return Rates(**best, copy=2 * COPIED / self._seconds(self.copy))

    def _seconds(self, action: Callable[[], object]) -> float:
        return max(seconds(action, self.where, self.clock), 1e-9)


def _large(
    dtype: torch.dtype, where: torch.device, clock: Clock
) -> dict[int, Callable[[], object]]:
    """Products of the two largest sizes, up to the first that takes LONG.

    So one that is emulated is given up while it is small.
    """
    tried: dict[int, Callable[[], object]] = {}
    for n in SIZES:
        tried[n] = _product(n, dtype, where)
        tried[n]()  # what happens once happens at the first
        if min(seconds(tried[n], where, clock) for _ in range(2)) >= LONG:
            break
    return {n: tried[n] for n in [*tried][-2:]}


def _product(n: int, dtype: torch.dtype, where: torch.device) -> Callable[[], object]:
    random = torch.Generator(where).manual_seed(0)
    a = torch.randn(n, n, generator=random, device=where, dtype=dtype)
    out = torch.empty_like(a)
    return lambda: torch.mm(a, a, out=out)


def has_amx() -> bool:
    """Whether the processor has tiles for matrix products (Intel's AMX)."""
    return bool(torch.cpu._is_amx_tile_supported())
