"""Keyed noise: every random number is a pure function of what it is for.

    bits = Philox4x32-10(key = hash(seed, stream), counter = (id, chain, time, block))

(Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3, SC 2011.) There is no
generator state: nothing to save, nothing that depends on batch, order, process or device. The
integers are the same everywhere; normals come from them by Box-Muller in float64. A device that
has no float64 (MPS) is handed what the CPU made of them, in float32.
"""

from __future__ import annotations

import hashlib
import math

import torch
from torch import Tensor

_MASK = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
WITHOUT_DOUBLES = {"mps"}  # device types
_BELOW_ONE = 1 - 2**-24  # the largest float32 there is


def has_doubles(device: torch.device) -> bool:
    """Whether a device computes in float64, and in whole 64-bit integers."""
    return device.type not in WITHOUT_DOUBLES


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> Tensor:
    """Philox4x32-10: four 32-bit words for every counter.

    Args:
        counter: four broadcastable int64 tensors with values in [0, 2^32).
        key: two 32-bit words.

    Returns:
        int64 tensor (..., 4) with values in [0, 2^32).
    """
    return torch.stack(_words(counter, key), dim=-1)


def _words(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[int, int]) -> list[Tensor]:
    c0, c1, c2, c3 = torch.broadcast_tensors(*counter)
    k0, k1 = key
    for _ in range(10):
        # int64 products wrap modulo 2^64; shifting and masking still give the exact halves.
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0 = (p1 >> 32).bitwise_xor_(c1).bitwise_xor_(k0).bitwise_and_(_MASK)
        c2 = (p0 >> 32).bitwise_xor_(c3).bitwise_xor_(k1).bitwise_and_(_MASK)
        c1, c3 = p1.bitwise_and_(_MASK), p0.bitwise_and_(_MASK)
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return [c0, c1, c2, c3]


def _key(name: str) -> tuple[int, int]:
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


class Noise:
    """One named stream of keyed noise.

    Args:
        seed: any integer.
        stream: what the noise is for ("start", "langevin", "draws", ...). Streams are independent.
    """

    def __init__(self, seed: int, stream: str = "langevin") -> None:
        self.seed, self.stream = seed, stream
        self.key = _key(f"{seed}/{stream}")

    def at(self, ids: Tensor, t: int | Tensor = 0, chain: int | Tensor = 0) -> Keyed:
        """The noise of examples `ids` (B,) at a time and of a chain, one for all or one each."""
        when, which = (torch.as_tensor(v, device=ids.device).expand(len(ids)) for v in (t, chain))
        return Keyed(self.key, ids, when, which)

    def uniform(self, count: int, t: int = 0, which: int = 0) -> Tensor:
        """`count` float64 numbers in (0, 1) that belong to no example."""
        return self.at(torch.tensor([which]), t).uniform(count)[0]

    def permutation(self, n: int, t: int = 0, which: int = 0) -> Tensor:
        """A random order of range(n) for epoch `t`, int64 (n,); one of several."""
        return torch.argsort(self.uniform(n, t, which), stable=True)


class Keyed:
    """The noise of one batch at one time; `keyed[rows]` is that of some of its examples."""

    def __init__(self, key: tuple[int, int], ids: Tensor, t: Tensor, chain: Tensor) -> None:
        self.key, self.ids, self.t, self.chain = key, ids, t, chain

    def __getitem__(self, rows: Tensor | slice) -> Keyed:
        if isinstance(rows, Tensor):
            rows = rows.to(self.ids.device)
        return Keyed(self.key, self.ids[rows], self.t[rows], self.chain[rows])

    def later(self, k: int | Tensor) -> Keyed:
        """The noise of the same chains k steps on, one number for all or one each."""
        k = k.to(self.t.device) if isinstance(k, Tensor) else k
        return Keyed(self.key, self.ids, self.t + k, self.chain)

    def of(self, purpose: str) -> Keyed:
        """Independent noise of the same chains at the same time, for another purpose."""
        return Keyed(_key(f"{self.key}/{purpose}"), self.ids, self.t, self.chain)

    def ahead(self, count: int) -> Ahead:
        """The same noise, of which that of the next `count` steps is made together."""
        return Ahead(self, count)

    def bits(self, count: int, step: int = 0) -> Tensor:
        """`count` 32-bit words for each example, int64 (B, count)."""
        return self._bits(count, step).to(self.ids.device)

    def uniform(self, count: int, step: int = 0) -> Tensor:
        """Float64 (B, count) in the open interval (0, 1); float32 where there is no float64."""
        u = self._given(_open(self._bits(count, step)))
        return u if u.dtype == torch.float64 else u.clamp_max(_BELOW_ONE)  # rounding makes a 1

    def normal(self, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """Standard normals (B, *shape); `step` numbers successive calls.

        Float64, or float32 where there is no float64.
        """
        # On CUDA these are some 150 small kernels, however few the numbers.
        count = math.prod(shape)
        w0, w1, w2, w3 = (_open(words) for words in self._blocks(count, step))
        quads = torch.stack((*_box_muller(w0, w1), *_box_muller(w2, w3)), dim=-1)
        return self._given(quads.flatten(1)[:, :count].reshape(-1, *shape))

    def _given(self, x: Tensor) -> Tensor:
        """What was computed, where the ids are."""
        return x if has_doubles(self.ids.device) else x.float().to(self.ids.device)

    def _bits(self, count: int, step: int) -> Tensor:
        return torch.stack(self._blocks(count, step), dim=-1).flatten(1)[:, :count]

    def _blocks(self, count: int, step: int) -> list[Tensor]:
        """Words 0, 1, 2 and 3 of as many blocks as `count` words take, (B, blocks) each."""
        blocks, home = -(-count // 4), self.ids.device
        home = home if has_doubles(home) else torch.device("cpu")
        ids, chain, t = (v.to(home, torch.int64)[:, None] for v in (self.ids, self.chain, self.t))
        block = torch.arange(step * blocks, (step + 1) * blocks, device=ids.device)[None]
        return _words((ids, chain, t, block), self.key)


class Ahead(Keyed):
    """Noise whose normals are made for several steps at once, when the first are asked for.

    The numbers are those of `Keyed`. A step's own are few, and making them is some hundred small
    operations, however few they are.
    """

    def __init__(
        self, base: Keyed, count: int, k: int = 0, made: dict[tuple[int, ...], Tensor] | None = None
    ) -> None:
        super().__init__(base.key, base.ids, base.t + k if k else base.t, base.chain)
        self.base, self.count, self.k = base, count, k
        self.made = {} if made is None else made

    def later(self, k: int | Tensor) -> Keyed:
        """See `Keyed.later`."""
        if isinstance(k, Tensor) or self.k + k >= self.count:
            return super().later(k)
        return Ahead(self.base, self.count, self.k + k, self.made)

    def normal(self, shape: tuple[int, ...], step: int = 0) -> Tensor:
        """See `Keyed.normal`."""
        if step:
            return super().normal(shape, step)
        if shape not in self.made:
            base, n = self.base, self.count
            t = base.t + torch.arange(n, device=base.t.device)[:, None]
            whole = Keyed(base.key, base.ids.repeat(n), t.flatten(), base.chain.repeat(n))
            self.made[shape] = whole.normal(shape).unflatten(0, (n, -1))
        return self.made[shape][self.k]


def _open(bits: Tensor) -> Tensor:
    """32-bit words as float64 in (0, 1)."""
    return bits.double().add_(0.5).div_(2**32)


def _box_muller(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Two normals from two uniforms."""
    radius, angle = u.log().mul_(-2).sqrt_(), v * (2 * math.pi)
    return radius * angle.cos(), radius * angle.sin()


def uniforms(seed: int, stream: str, count: int) -> Tensor:
    """`count` float64 numbers in (0, 1) from one stream: for crops, hiding and the like."""
    return Noise(seed, stream).uniform(count)
