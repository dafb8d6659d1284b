"""Batches of one static length: what keeps an example's bits its own."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor


def chunks(
    count: int, size: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, int]]:
    """Index tensors of one length that cover range(count), and how many of each count.

    The last is padded by repeating the last index. The length is `size` rounded up to a multiple
    of 16, matrix kernels sum the rows of a ragged edge in another order; or 1, a row alone.
    """
    size += -size % 16 if size > 1 else 0
    for start in range(0, count, size):
        rows = torch.arange(start, start + size, device=device)
        yield rows.clamp_max(count - 1), min(size, count - start)
