"""The kernels of `fused`, in Triton. Channels are last in memory.

P. Tillet, H. T. Kung, D. Cox: Triton: An Intermediate Language and Compiler for Tiled Neural
Network Computations, MAPL 2019.
"""

# pyright: reportMissingImports=false, reportIndexIssue=false
from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

from abprop.errors import UserError
from abprop.networks.stages import SLOPE

BLOCK = 1024  # numbers of a program that goes over all of them
ROWS = 128  # places of a tile
DEEP = 64  # channels of a tile, at most
MOST = 2**31  # numbers of a tensor: 32 bits count them


def activate(h: Tensor, b: Tensor) -> Tensor:
    """leaky_relu(h + b) in place of h; b (C,) belongs to the innermost numbers in memory."""
    n = h.numel()
    _activate[(triton.cdiv(n, BLOCK),)](h, b, n, len(b), SLOPE, BLOCK)
    return h


def ascend(h: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """leaky_relu(up(h) + b), bfloat16 (B, c, 2 N, 2 M).

    Args:
        h: (B, a, N, M).
        w: (16, a, c), a matrix for each tap.
        b: (c,).
    """
    (batch, a, n, m), c = h.shape, w.shape[2]
    if batch * 4 * n * m * c >= MOST:
        most = MOST // (4 * n * m * c) // 16 * 16
        raise UserError(f"infer.chunk={batch}: on this GPU use at most {most}")
    out = torch.empty(batch, 2 * n, 2 * m, c, dtype=h.dtype, device=h.device)
    count, columns = batch * n * m, min(256, c)
    grid = (triton.cdiv(count, ROWS), c // columns, 4)
    _ascend[grid](h, w, b, out, count, n, m, a, c, SLOPE, ROWS, columns, min(DEEP, a),
                  num_warps=8, num_stages=3)  # fmt: skip
    return out.permute(0, 3, 1, 2)


def finish(h: Tensor, taps: Tensor, b: Tensor) -> Tensor:
    """x = tanh(up(h) + b), float32 (B, C, 2 N, 2 M).

    Args:
        h: (B, a, N, M).
        taps: (a, 16 C), tap by tap, C innermost.
        b: (C,).
    """
    batch, a, n, m = h.shape
    parts = h.permute(0, 2, 3, 1).reshape(-1, a) @ taps
    x = torch.empty(batch, 2 * n, 2 * m, len(b), device=h.device)
    count = x.numel()
    _finish[(triton.cdiv(count, BLOCK),)](parts, b, x, count, n, m, len(b), BLOCK)
    return x.permute(0, 3, 1, 2)


def begin(v: Tensor, x: Tensor, back: Tensor, h: Tensor) -> Tensor:
    """leaky'(h) * down((1 - x^2) v), bfloat16 like h (B, a, N, M).

    Args:
        v, x: (B, C, 2 N, 2 M), float32.
        back: (64, a): taps, C innermost, and zeros.
        h: what the last layer took.
    """
    v, x = (t.contiguous(memory_format=torch.channels_last) for t in (v, x))
    batch, a, n, m = h.shape
    g = torch.empty_like(h)
    count = batch * n * m
    _begin[(triton.cdiv(count, ROWS),)](v, x, back, h, g, count, n, m, x.shape[1], a, SLOPE, ROWS)
    return g


# Sizes are constants, so that divisions by them are shifts and products.


@triton.jit
def _activate(h, b, n, C: tl.constexpr, SLOPE: tl.constexpr, BLOCK: tl.constexpr):
    i = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = i < n
    value = tl.load(h + i, mask=inside).to(tl.float32) + tl.load(b + i % C, mask=inside)
    tl.store(h + i, tl.where(value > 0, value, SLOPE * value), mask=inside)


@triton.jit
def _ascend(h, w, b, out, count, N: tl.constexpr, M: tl.constexpr, A: tl.constexpr,
            C: tl.constexpr, SLOPE: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
            DEEP: tl.constexpr):  # fmt: skip
    place = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    column = tl.program_id(1) * COLUMNS + tl.arange(0, COLUMNS)
    r, s = tl.program_id(2) // 2, tl.program_id(2) % 2  # of the 2 x 2 places that a cell becomes
    one, i, j = place // (N * M), place // M % N, place % M
    depth = tl.arange(0, DEEP)
    total = tl.zeros((ROWS, COLUMNS), tl.float32)
    for step in range(4 * A // DEEP):  # the cell and its neighbours towards that place
        near = step // (A // DEEP)
        e, f = (near // 2) * (2 * r - 1), (near % 2) * (2 * s - 1)
        tap = 4 * (r + 1 - 2 * e) + s + 1 - 2 * f
        k = step % (A // DEEP) * DEEP + depth
        y, x = i + e, j + f
        there = (place < count) & (y >= 0) & (y < N) & (x >= 0) & (x < M)
        at = ((one * N + y) * M + x) * A
        cells = tl.load(h + at[:, None] + k[None], mask=there[:, None], other=0.0)
        matrix = tl.load(w + (tap * A + k[:, None]) * C + column[None])
        total = tl.dot(cells, matrix, total)
    total += tl.load(b + column)[None]
    total = tl.where(total > 0, total, SLOPE * total)
    to = ((one * 2 * N + 2 * i + r) * 2 * M + 2 * j + s) * C
    tl.store(out + to[:, None] + column[None], total.to(out.dtype.element_ty),
             mask=(place < count)[:, None])  # fmt: skip


@triton.jit
def _finish(parts, b, x, count, N: tl.constexpr, M: tl.constexpr, C: tl.constexpr,
            BLOCK: tl.constexpr):  # fmt: skip
    e = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = e < count
    k = e % C
    right = e // C % (2 * M)
    down = e // (C * 2 * M) % (2 * N)
    one = e // (C * 4 * M * N)
    total = tl.load(b + k, mask=inside)
    for step in tl.static_range(4):  # taps t = (Y + 1) % 2 and t + 2, likewise along the other axis
        t = (down + 1) % 2 + 2 * (step // 2)
        s = (right + 1) % 2 + 2 * (step % 2)
        i = (down + 1 - t) // 2
        j = (right + 1 - s) // 2
        there = inside & (down + 1 >= t) & (i < N) & (right + 1 >= s) & (j < M)
        place = ((one * N + i) * M + j) * (16 * C) + (4 * t + s) * C + k
        total += tl.load(parts + place, mask=there, other=0.0).to(tl.float32)
    tl.store(x + e, 2 * tl.sigmoid(2 * total) - 1, mask=inside)


@triton.jit
def _begin(v, x, back, h, g, count, N: tl.constexpr, M: tl.constexpr, C: tl.constexpr,
           A: tl.constexpr, SLOPE: tl.constexpr, ROWS: tl.constexpr):  # fmt: skip
    r = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = r < count
    one, i, j = r // (N * M), r // M % N, r % M
    c = tl.arange(0, 64)
    t, s, k = c // (4 * C), c // C % 4, c % C
    down, right = 2 * i[:, None] + t[None] - 1, 2 * j[:, None] + s[None] - 1
    there = inside[:, None] & (c < 16 * C)[None] & (down >= 0) & (right >= 0)
    there = there & (down < 2 * N) & (right < 2 * M)
    place = ((one[:, None] * 2 * N + down) * 2 * M + right) * C + k[None]
    here = tl.load(x + place, mask=there, other=0.0)
    u = tl.load(v + place, mask=there, other=0.0) * (1 - here * here)
    a = tl.arange(0, A)
    w = tl.load(back + c[:, None] * A + a[None])
    found = tl.dot(u.to(w.dtype), w)
    at = r[:, None] * A + a[None]
    passed = tl.load(h + at, mask=inside[:, None], other=1.0) > 0
    tl.store(
        g + at, tl.where(passed, found, SLOPE * found).to(g.dtype.element_ty), mask=inside[:, None]
    )
