"""A layer that doubles axes, and its transpose, each computed in one of several ways.

    up      out[2 m + t - p] += w[t] h[m],   t = 0..3       (B, a, *n) -> (B, b, *(2 n + 2 - 2 p))
    down    its transpose in h

    direct      a transposed convolution with kernel 4 and stride 2; down, one of stride 2
    first       the same, channels before places in memory
    subpixel    out[2 m + r] = v[r, 0] h[m - 1] + v[r, 1] h[m],   v[r, u] = w[r + 2 - 2 u]:
                a convolution with kernel 2 to 2^dims b channels, which then become places; down,
                places become channels, and a convolution with kernel 2
    taps        one product h -> w[t] h[m] for all t, laid over each other; down, all entries under
                a cell side by side, and one product

All do the same multiplications. Which is fastest differs by factors between processors, widths and
precisions, so it is measured (`machine.rehearsed`). Everywhere else channels come last in memory.
Signals of one axis are computed as pictures one pixel high: those have the better kernels.

W. Shi et al.: Real-Time Single Image and Video Super-Resolution Using an Efficient Sub-Pixel
Convolutional Neural Network, CVPR 2016.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.errors import UserError

SLOPE = 0.2  # of the leaky ReLU between layers

Padding = tuple[int, ...]
Through = Callable[[Tensor], Tensor]

_LAST = {2: torch.channels_last, 3: torch.channels_last_3d}  # by number of axes


class Form(Protocol):
    """One way: what to make of the weights (a, b, 4, ...) once, and how to apply that."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through: ...
    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through: ...


class Direct:
    """Kernel 4, stride 2, channels last."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through:
        return lambda h: _transposed(channels_last(h), w, b, padding)

    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through:
        return lambda g: _convolved(channels_last(g), w, None, 2, padding)


class First:
    """Kernel 4, stride 2, channels first: on some processors faster where places are few."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through:
        w = w.contiguous()
        return lambda h: channels_last(_transposed(h.contiguous(), w, b, padding))

    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through:
        w = w.contiguous()
        return lambda g: channels_last(_convolved(g.contiguous(), w, None, 2, padding))


class Subpixel:
    """Kernel 2, stride 1, between which channels and places are exchanged."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through:
        v, b = channels_last(_phases(w)), b.repeat(2 ** len(padding))
        around = tuple(2 - p for p in padding)
        inner = tuple(slice(p, -p or None) for p in around)  # half of a border is not wanted

        def up(h: Tensor) -> Tensor:
            return to_places(_convolved(channels_last(h), v, b, 1, around))[(..., *inner)]

        return up

    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through:
        axes = range(2, w.ndim)
        v = channels_last(_phases(w).transpose(0, 1).flip(*axes))
        rim = [n for p in reversed(padding) for n in (2 - p,) * 2]
        around = tuple(p - 1 for p in padding)

        def down(g: Tensor) -> Tensor:
            return _convolved(to_channels(F.pad(g, rim) if any(rim) else g), v, None, 1, around)

        return down


class Taps:
    """One product to all taps of a cell, which are then laid over each other."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through:
        matrix, (a, c) = w.movedim(1, -1).flatten(1), w.shape[:2]

        def up(h: Tensor) -> Tensor:
            batch, size = len(h), h.shape[2:]
            parts = (h.movedim(1, -1).reshape(-1, a) @ matrix).reshape(batch, *size, -1)
            out = parts.new_zeros(batch, *(m for n in size for m in (n + 1, 2)), c)
            for window, part in _corners(parts, size):
                out[window] += part
            out = out.reshape(batch, *(2 * n + 2 for n in size), c).movedim(-1, 1)
            out = out[(..., *(slice(p, -p or None) for p in padding))]
            return out + b.reshape(-1, *(1,) * len(size))

        return up

    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through:
        matrix, c = w.movedim(1, -1).flatten(1).T.contiguous(), w.shape[1]
        rim = [n for p in reversed(padding) for n in (p, p)]

        def down(g: Tensor) -> Tensor:
            g = F.pad(g, rim).movedim(1, -1)
            batch, size = len(g), [n // 2 - 1 for n in g.shape[1:-1]]
            pairs = g.reshape(batch, *(m for n in size for m in (n + 1, 2)), c)
            parts = g.new_empty(batch, *size, len(matrix))
            for window, part in _corners(parts, size):
                part.copy_(pairs[window])
            return (parts @ matrix).movedim(-1, 1)

        return down


def _corners(parts: Tensor, size: Sequence[int]) -> Iterator[tuple[tuple[slice, ...], Tensor]]:
    """Taps (B, *n, 4^dims c) by the corner of a cell they belong to, each (B, n, 2, ..., c).

    With each comes where it lies among places in pairs, (B, n + 1, 2, ..., c).
    """
    dims = len(size)
    cells = parts.unflatten(-1, (*(2, 2) * dims, -1))  # tap t = 2 corner + place
    order = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
    for corner in itertools.product((0, 1), repeat=dims):
        part, window = cells, [slice(None)]
        for i, (s, n) in enumerate(zip(corner, size, strict=True)):
            part = part.select(1 + dims + i, s)
            window += [slice(s, s + n), slice(None)]
        yield tuple(window), part.permute(0, *order, 1 + 2 * dims)


class Product:
    """Of a table, which has no axes: a matrix."""

    @staticmethod
    def upward(w: Tensor, b: Tensor, padding: Padding) -> Through:
        wide = padded(w)
        return lambda h: (h @ wide)[..., : w.shape[1]] + b

    @staticmethod
    def downward(w: Tensor, padding: Padding) -> Through:
        wide = padded(w.T)
        return lambda g: (g @ wide)[..., : len(w)]


FORMS: dict[str, type[Form]] = {  # by a recipe's letters
    "d": Direct, "f": First, "s": Subpixel, "t": Taps,
}  # fmt: skip


@dataclass(frozen=True)
class Stage:
    """What a layer does with the axes of a signal.

    Attributes:
        padding: p along each axis that it doubles.
        folded: leading axes that it leaves alone: to it they are further examples.
    """

    padding: Padding
    folded: int = 0

    def up(self, w: Tensor, b: Tensor, form: str) -> Through:
        """(B, a, *n) -> (B, b, *); differentiable in w and b.

        Args:
            w: (a, b, 4, ...), in the precision to compute in.
            b: (b,).
            form: a name of `FORMS`.
        """
        return self._over(self._form(form).upward(w, b.to(w.dtype), self.padding))

    def down(self, w: Tensor, form: str) -> Through:
        """The transpose: (B, b, *) -> (B, a, *n)."""
        return self._over(self._form(form).downward(w, self.padding))

    def _form(self, name: str) -> type[Form]:
        return FORMS[name] if self.padding else Product

    def _over(self, inner: Through) -> Through:
        """The folded axes go to the batch and come back."""
        axes = self.folded
        if not axes:
            return inner

        def through(x: Tensor) -> Tensor:
            lengths = x.shape[2 : 2 + axes]
            x = inner(x.movedim(1, 1 + axes).flatten(0, axes))
            return x.unflatten(0, (-1, *lengths)).movedim(1 + axes, 1)

        return through


def usual(outs: Sequence[int], axes: int) -> tuple[str, ...]:
    """Forms that are good where no one measured: letters up and down for each layer.

    Args:
        outs: channels that each layer makes.
        axes: of the signal.
    """
    few = lambda n: axes > 1 and n <= 4  # noqa: E731  a direct kernel would mostly multiply padding
    return tuple("sd" if few(n) else "dd" for n in outs)


def parsed(text: str, layers: int) -> tuple[str, ...]:
    """Forms as a recipe says them, a word for each layer: "dd dd sd".

    Raises:
        UserError: not so many words, or of other letters.
    """
    words = tuple(text.split())
    if len(words) != layers or not all(len(w) == 2 and set(w) <= set(FORMS) for w in words):
        raise UserError(
            f"run.forms={text}: this network has {layers} layers, so give {layers} words of two "
            f"letters out of {', '.join(FORMS)} (up and down), or auto"
        )
    return words


def unrelu(g: Tensor, h: Tensor) -> Tensor:
    """The gradient before a leaky ReLU whose output was h, in place of g."""
    return torch.ops.aten.leaky_relu_backward.grad_input(g, h, SLOPE, True, grad_input=g)


# Layouts --------------------------------------------------------------------------------------


def channels_last(x: Tensor) -> Tensor:
    """The same tensor (B, C, *size) with channels innermost in memory."""
    if x.ndim == 3:
        return x.movedim(1, -1).contiguous().movedim(-1, 1)
    return x.contiguous(memory_format=_LAST[x.ndim - 2]) if x.ndim - 2 in _LAST else x.contiguous()


def to_places(x: Tensor) -> Tensor:
    """(B, 2^dims C, *size) -> (B, C, *(2 size)), by channels ordered as places, then C."""
    batch, _, *size = x.shape
    dims = len(size)
    parts = x.movedim(1, -1).reshape(batch, *size, *(2,) * dims, -1)
    order = [axis for i in range(dims) for axis in (1 + i, 1 + dims + i)]
    whole = parts.permute(0, *order, 1 + 2 * dims)
    return whole.reshape(batch, *(2 * n for n in size), -1).movedim(-1, 1)


def to_channels(x: Tensor) -> Tensor:
    """The inverse of `to_places`; sizes are even."""
    batch, _, *size = x.shape
    dims = len(size)
    parts = x.movedim(1, -1).reshape(batch, *(m for n in size for m in (n // 2, 2)), -1)
    order = [*range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2)]
    whole = parts.permute(0, *order, 1 + 2 * dims)
    return whole.reshape(batch, *(n // 2 for n in size), -1).movedim(-1, 1)


def _phases(w: Tensor) -> Tensor:
    """(a, b, 4, ...) -> v (2^dims b, a, 2, ...), places before b."""
    dims = w.ndim - 2
    for axis in range(2, 2 + 2 * dims, 2):  # tap r + 2 (1 - u) -> [r, u]
        w = w.unflatten(axis, (2, 2)).flip(axis).transpose(axis, axis + 1)
    order = [2 + 2 * i for i in range(dims)] + [1, 0] + [3 + 2 * i for i in range(dims)]
    return w.permute(order).flatten(0, dims)


# Convolutions of one to three axes --------------------------------------------------------------


def _transposed(h: Tensor, w: Tensor, b: Tensor, padding: Padding) -> Tensor:
    if w.ndim == 3:
        h, w = h.unsqueeze(2), w.unsqueeze(2)
        return F.conv_transpose2d(h, w, b, (1, 2), (0, *padding)).squeeze(2)
    up = F.conv_transpose2d if w.ndim == 4 else F.conv_transpose3d
    return up(h, w, b, 2, padding)


def _convolved(x: Tensor, w: Tensor, b: Tensor | None, stride: int, padding: Padding) -> Tensor:
    if w.ndim == 3:
        x, w = x.unsqueeze(2), w.unsqueeze(2)
        return F.conv2d(x, w, b, (1, stride), (0, *padding)).squeeze(2)
    return (F.conv2d if w.ndim == 4 else F.conv3d)(x, w, b, stride, padding)


# Tables ---------------------------------------------------------------------------------------


def padded(w: Tensor) -> Tensor:
    """w with columns of zeros up to a multiple of 16, so that rows of g @ w have bits of their own.

    With fewer columns matrix kernels choose another order of summation for the rows at the edge.
    """
    return F.pad(w, (0, -w.shape[1] % 16)) if w.shape[1] % 16 else w
