"""A top-down ConvNet, written out forward and back.

A stage doubles the axes of the signal with a transposed convolution of kernel 4. Along the axes of
the map of factors it pads nowhere, so that every entry is the same function of its neighbourhood in
z; the other axes begin as places of a dense layer. Of a video whose map runs along time, the first
stages double time and space, the others space alone, frame by frame.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.networks.base import Frozen, Generator, Pullback, padded
from abprop.networks.levels import Levels

SLOPE = 0.2
EDGE = 0.95  # where the tanh still has a slope to learn from
FINER = 0.1  # variance that factors of a finer scale add at first, to about 1

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_UP = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
_FORMAT = {2: torch.channels_last, 3: torch.channels_last_3d}  # by number of axes


class ConvGenerator(Generator):
    """A top-down ConvNet for signals of 0 to 3 axes from a vector or a map of latent factors.

    Args:
        latent_shape: (d,); or (k, *grid) with one grid length for each axis of the signal, or one
            for the first of three, time.
        signal_shape: (C, *size).
        channels: width of the finest hidden layer; doubled at each coarser one, up to 8 times.
        levels: scales at which the factors of a map enter (see `levels`).
        dtype: precision of the convolutions (weights stay as they are, and so does the last layer);
            bfloat16 is 2 to 4 times as fast where the processor knows it well.

    Raises:
        UserError: the latent's form does not fit the signal.
    """

    def __init__(
        self,
        latent_shape: tuple[int, ...],
        signal_shape: tuple[int, ...],
        *,
        channels: int = 32,
        levels: int = 1,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.latent_shape, self.signal_shape, self.dtype = latent_shape, signal_shape, dtype
        self.dims, self.size = len(signal_shape) - 1, signal_shape[1:]
        self.axes = len(latent_shape) - 1  # of the signal, over which z is a map
        self.stages, depth = _stages(latent_shape, self.size)
        self.fixed = tuple(-(-n // 2**depth) for n in self.size[self.axes :])
        widths = [channels * min(8, 2**i) for i in reversed(range(depth))]
        outs = [*widths[1:], signal_shape[0]]
        cells = math.prod(self.fixed)
        self.levels = Levels(latent_shape, levels, self.stages if self.axes == self.dims else 1)
        k = self.levels.channels
        self.dense = nn.Parameter(torch.empty(cells * widths[0], k))
        self.finer = nn.ParameterList(torch.empty(n, k) for n in widths[1 : self.levels.count])
        self.dense_bias = nn.Parameter(torch.empty(cells * widths[0]))
        doubled = [self.dims if i < self.stages else self.dims - self.axes for i in range(depth)]
        self.weights = nn.ParameterList(
            torch.empty(a, b, *(4,) * n) for a, b, n in zip(widths, outs, doubled, strict=True)
        )
        self.biases = nn.ParameterList(torch.empty(b) for b in outs)

    @torch.no_grad()
    def reset(self, normal: Callable[[tuple[int, ...]], Tensor]) -> None:
        """Draw the weights afresh (He et al. 2015); `normal(shape)` gives standard normals."""
        gain = 2 / (1 + SLOPE**2)
        self.dense.copy_(normal(tuple(self.dense.shape)) * math.sqrt(gain / self.dense.shape[1]))
        for w in self.finer:
            w.copy_(normal(tuple(w.shape)) * math.sqrt(FINER / w.shape[1]))
        for w in self.weights:
            fan = w.shape[0] * 2 ** (
                w.ndim - 2
            )  # each output entry sees half the taps of every axis
            w.copy_(normal(tuple(w.shape)) * math.sqrt(gain / fan))
        self.weights[-1].mul_(0.5)
        for b in (self.dense_bias, *self.biases):
            b.zero_()

    def forward(self, z: Tensor) -> Tensor:
        """Signals (B, C, *size) in [-1, 1] of latents (B, *latent_shape).

        A map with g more cells along an axis gives a signal 2^stages * g longer along it.
        """
        coarse, *finer = self.levels.split(z)
        h = F.leaky_relu(self._expand(coarse), SLOPE)
        for i, (w, b) in enumerate(zip(self.weights[:-1], self.biases[:-1], strict=True)):
            h = F.leaky_relu(self._enter(self._up(h, self._cast(w), b), finer, i), SLOPE)
        return self._finish(self._last(h, *self._last_weights()), z)

    @torch.no_grad()
    def freeze(self) -> Frozen:
        """z -> (x, pullback) for fixed weights: no graph, no weight gradients, in place."""
        weights = [self._cast(w) for w in self.weights[:-1]]
        final, last = self._cast(self.weights[-1], self.wide), self._last_weights()
        dense, entries = padded(self.dense), [padded(w) for w in self.finer]

        @torch.no_grad()
        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            coarse, *finer = self.levels.split(z)
            hidden = [F.leaky_relu_(self._expand(coarse), SLOPE)]
            for i, (w, b) in enumerate(zip(weights, self.biases[:-1], strict=True)):
                h = self._enter(self._up(hidden[-1], w, b), finer, i)
                hidden.append(F.leaky_relu_(h, SLOPE))
            canvas = self._last(hidden[-1], *last)
            x = self._finish(canvas, z)

            @torch.no_grad()
            def pullback(v: Tensor) -> Tensor:
                g = self._down(self._unfinish(v, x, canvas), final, rim=1).to(self.dtype)
                parts: list[Tensor] = []
                for i, w in reversed([*enumerate(weights)]):
                    g = _unrelu(g, hidden[i + 1])
                    if i < len(entries):
                        parts.insert(0, self._contract(g, entries[i]))
                    g = self._down(g, w, rim=2)
                return self.levels.join([self._contract(_unrelu(g, hidden[0]), dense), *parts])

            return x, pullback

        return run

    @torch.no_grad()
    def centre(self, mean: Tensor) -> None:
        """Begin about a mean (C,) of each channel: an output that must first go there overshoots,
        and beyond the tanh's bend nothing is learned any more."""
        self.biases[-1].copy_(torch.atanh(mean.clamp(-EDGE, EDGE)) if self.dims else mean)

    @torch.no_grad()
    def fold(self, mean: Tensor, root: Tensor) -> None:
        """Absorb z = mean + root z' into the first layer."""
        self.dense_bias.add_(self.dense @ mean)
        self.dense.copy_(self.dense @ root)

    # The layers, and their transposes. The dense layer keeps z's precision: rounding z to bfloat16
    # would leave steps smaller than 2^-9 |z| without effect. The last layer is at least float32: 8
    # bits of an answer would be steps that can be seen, and heard.

    @property
    def wide(self) -> torch.dtype:
        """Precision of the last layer."""
        return torch.promote_types(self.dtype, torch.float32)

    def _expand(self, z: Tensor) -> Tensor:
        h = F.linear(z.movedim(1, -1), self.dense, self.dense_bias).to(self.dtype)
        return h.reshape(*h.shape[:-1], *self.fixed, -1).movedim(-1, 1)  # channels last in memory

    def _contract(self, g: Tensor, dense: Tensor) -> Tensor:
        g = g.movedim(1, -1).to(self.dense.dtype)
        g = g.reshape(*g.shape[: 1 + self.axes], -1)
        return (g @ dense)[..., : self.levels.channels].movedim(-1, 1)

    def _enter(self, h: Tensor, finer: list[Tensor], i: int) -> Tensor:
        """What stage i made, with the factors of its scale added, of which the rim is cut off."""
        if i >= len(finer):
            return h
        rim = 2 ** (i + 1) - 1
        part = finer[i][(..., *(slice(rim, n - rim) for n in finer[i].shape[2:]))]
        return h + F.linear(part.movedim(1, -1), self.finer[i]).to(h.dtype).movedim(-1, 1)

    def _up(self, h: Tensor, w: Tensor, b: Tensor, rim: int = 2) -> Tensor:
        """A stage, `rim` the padding along the axes of the map that it doubles."""
        axes = w.ndim - 2
        if axes == 0:
            return (h @ padded(w))[..., : w.shape[1]] + b.to(w.dtype)
        if axes < h.ndim - 2:
            return _unfolded(self._up(self._folded(h), w, b), len(h))
        return _UP[axes](h, w, b.to(w.dtype), stride=2, padding=self._padding(axes, rim))

    def _down(self, g: Tensor, w: Tensor, rim: int) -> Tensor:
        axes = w.ndim - 2
        if axes == 0:
            return (g @ padded(w.T))[..., : len(w)]
        if axes < g.ndim - 2:
            return _unfolded(self._down(self._folded(g), w, rim), len(g))
        return _CONV[axes](g, w, stride=2, padding=self._padding(axes, rim))

    def _padding(self, axes: int, rim: int) -> tuple[int, ...]:
        maps = axes - self.dims + self.axes  # 0 where those of the map are folded away
        return (rim,) * maps + (1,) * (axes - maps)

    def _folded(self, x: Tensor) -> Tensor:
        """(B, C, *map, *rest) -> (B map, C, *rest)."""
        return x.movedim(1, 1 + self.axes).flatten(0, self.axes)

    def _last_weights(self) -> tuple[Tensor, Tensor]:
        w, b = self.weights[-1], self.biases[-1]
        if w.ndim - 2 == 2:
            w, b = _subpixel(w), b.repeat_interleave(4)
        return self._cast(w, self.wide), b.to(self.wide)

    def _last(self, h: Tensor, w: Tensor, b: Tensor) -> Tensor:
        """The last layer on its whole canvas, of which a map's outermost ring is not valid."""
        h = h.to(w.dtype)
        if w.ndim - 2 != 2:
            return self._up(h, w, b, rim=1)
        if h.ndim - 2 > 2:
            return _unfolded(self._last(self._folded(h), w, b), len(h))
        # Few output channels: several times faster as a plain convolution.
        return F.pixel_shuffle(F.conv2d(h, w, b, padding=1), 2)

    def _finish(self, canvas: Tensor, z: Tensor) -> Tensor:
        x = canvas[(..., *self._window(canvas))].to(z.dtype)
        return torch.tanh(x) if self.dims else x  # a table has no bounded range

    def _unfinish(self, v: Tensor, x: Tensor, canvas: Tensor) -> Tensor:
        g = (v * (1 - x.square()) if self.dims else v).to(self.wide)
        if g.shape == canvas.shape:
            return g
        full = torch.zeros_like(canvas)
        full[(..., *self._window(canvas))] = g
        return full

    def _window(self, canvas: Tensor) -> tuple[slice, ...]:
        """Where the signal lies on its canvas: in the middle."""
        windows = []
        for side, native, length in zip(canvas.shape[2:], self._canvas(), self.size, strict=True):
            start = (native - length) // 2
            windows.append(slice(start, start + length + side - native))
        return tuple(windows)

    def _canvas(self) -> tuple[int, ...]:
        """Lengths before the window: of a map all of them but the last stage's rim are valid."""
        last = self.dims if self.weights[-1].ndim - 2 == self.dims else 0
        shrink = 2 ** (self.stages + 1) - (4 if last else 2)
        along = (n * 2**self.stages - shrink for n in self.latent_shape[1:])
        return (*along, *(n * 2 ** len(self.weights) for n in self.fixed))

    def _cast(self, w: Tensor, dtype: torch.dtype | None = None) -> Tensor:
        layout = _FORMAT.get(w.ndim - 2, torch.preserve_format)
        return w.to(dtype or self.dtype, memory_format=layout)


def _unfolded(x: Tensor, batch: int) -> Tensor:
    """(B T, C, *rest) -> (B, C, T, *rest)."""
    return x.unflatten(0, (batch, -1)).movedim(1, 2)


def _stages(latent_shape: tuple[int, ...], size: tuple[int, ...]) -> tuple[int, int]:
    """How many times the network doubles the cells of a map, or else its grid; and how often in
    all."""
    grid, others = latent_shape[1:], size[len(latent_shape) - 1 :]
    if not size:
        return 2, 2
    depth = 1 if not others or min(others) < 8 else max(1, math.floor(math.log2(min(others) / 4)))
    if not grid:
        return depth, depth
    if len(grid) not in ((len(size), 1) if len(size) == 3 else (len(size),)) or min(grid) < 3:
        raise UserError(
            f"model.latent={'x'.join(map(str, latent_shape))}: a map for signals of "
            f"{len(size)} axes is channels and {len(size)} grid lengths of at least 3"
        )
    # A grid of g cells gives (g - 2) 2^n + 2 valid entries.
    sides = zip(size, grid, strict=False)
    cells = max(math.ceil(math.log2(max(2, n - 2) / (g - 2))) for n, g in sides)
    if others and cells > depth:
        raise UserError(
            f"model.latent={'x'.join(map(str, latent_shape))}: a cell of {2**cells} frames is too "
            f"long for pictures this small; use more cells, e.g. "
            f"{latent_shape[0]}x{-(-(size[0] - 2) // 2**depth) + 2}"
        )
    return cells, depth if others else cells


def _subpixel(w: Tensor) -> Tensor:
    """The transposed convolution (kernel 4, stride 2, padding 1) as 3x3 weights for 4 phases.

    Output 2 j + p takes tap p + 1 - 2 t of input j + t; a tap outside 0..3 is none (index 4).
    """
    taps = torch.tensor([[3, 1, 4], [4, 2, 0]], device=w.device)
    w = F.pad(w, (0, 1, 0, 1))[:, :, taps][..., taps]  # (a, b, 2, 3, 2, 3)
    return w.permute(1, 2, 4, 0, 3, 5).reshape(4 * w.shape[1], w.shape[0], 3, 3)


def _unrelu(g: Tensor, h: Tensor) -> Tensor:
    """The gradient before a leaky ReLU whose output was h, in place of g."""
    return torch.ops.aten.leaky_relu_backward.grad_input(g, h, SLOPE, True, grad_input=g)
