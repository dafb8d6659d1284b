"""A top-down ConvNet, written out forward and back.

A stage doubles the axes of the signal with a transposed convolution of kernel 4. Along the axes of
the map of factors it pads nowhere, so that every entry is the same function of its neighbourhood in
z; the other axes begin as places of a dense layer. Of a video whose map runs along time, the first
stages double time and space, the others space alone, frame by frame.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.networks import fused
from abprop.networks.base import Frozen, Generator, Pullback
from abprop.networks.levels import Levels
from abprop.networks.stages import SLOPE, Stage, Through, channels_last, padded, unrelu, usual

EDGE = 0.95  # where the tanh still has a slope to learn from
FINER = 0.1  # variance that factors of a finer scale add at first, to about 1


class ConvGenerator(Generator):
    """A top-down ConvNet for signals of 0 to 3 axes from a vector or a map of latent factors.

    Args:
        latent_shape: (d,); or (k, *grid) with one grid length for each axis of the signal, or one
            for the first of three, time.
        signal_shape: (C, *size).
        channels: width of the finest hidden layer; doubled at each coarser one, up to 8 times.
        levels: scales at which the factors of a map enter (see `levels`).
        dtype: precision of the convolutions (weights stay as they are, and answers are at least
            float32); bfloat16 is 2 to 4 times as fast where the processor knows it well.
        forms: how inference computes each layer, two letters up and down (see `stages`); None: as
            is usually fast. Answers and gradients for W are always computed so.

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
        forms: Sequence[str] | None = None,
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
        self.dense = nn.Parameter(torch.zeros(cells * widths[0], k))
        self.finer = nn.ParameterList(torch.zeros(n, k) for n in widths[1 : self.levels.count])
        self.dense_bias = nn.Parameter(torch.zeros(cells * widths[0]))
        doubled = [self.dims if i < self.stages else self.dims - self.axes for i in range(depth)]
        self.layers = [self._stage(n, last=i == depth - 1) for i, n in enumerate(doubled)]
        self.usual = usual(outs, self.dims)
        self.forms = tuple(forms or self.usual)
        self.weights = nn.ParameterList(
            torch.zeros(a, b, *(4,) * n) for a, b, n in zip(widths, outs, doubled, strict=True)
        )
        self.biases = nn.ParameterList(torch.zeros(b) for b in outs)

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

    def precise(self) -> ConvGenerator:
        """The same f, weights shared, computed in float32 at least."""
        same = copy.copy(self)
        same.dtype = self.wide
        return same

    def forward(self, z: Tensor) -> Tensor:
        """Signals (B, C, *size) in [-1, 1] of latents (B, *latent_shape).

        A map with g more cells along an axis gives a signal 2^stages * g longer along it.
        """
        coarse, *finer = self.levels.split(z)
        h = F.leaky_relu(self._expand(coarse), SLOPE)
        for i in range(len(self.layers) - 1):
            up = self._up(i, self.dtype, self.usual[i][0])
            h = F.leaky_relu(self._enter(up(h), finer, i), SLOPE)
        return self._finish(self._up(-1, self.wide, self.usual[-1][0])(h.to(self.wide)), z)

    @torch.no_grad()
    def freeze(self) -> Frozen:
        """z -> (x, pullback) for fixed weights: no graph, no weight gradients, in place.

        All layers in `dtype`: rounding x to it is far below the noise that x is compared under.
        """
        fast = fused.frozen(self)
        if fast is not None:
            return fast
        count = len(self.layers)
        ups = [self._up(i, self.dtype, self.forms[i][0]) for i in range(count)]
        downs = [self._down(i, self.dtype, self.forms[i][1]) for i in range(count)]
        dense, entries = padded(self.dense), [padded(w) for w in self.finer]

        @torch.no_grad()
        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            coarse, *finer = self.levels.split(z)
            hidden = [F.leaky_relu_(self._expand(coarse), SLOPE)]
            for i, up in enumerate(ups[:-1]):
                hidden.append(F.leaky_relu_(self._enter(up(hidden[-1]), finer, i), SLOPE))
            canvas = ups[-1](hidden[-1])
            x = self._finish(canvas, z)

            @torch.no_grad()
            def pullback(v: Tensor) -> Tensor:
                g = downs[-1](self._unfinish(v, x, canvas))
                parts: list[Tensor] = []
                for i in reversed(range(count - 1)):
                    g = unrelu(g, hidden[i + 1])
                    if i < len(entries):
                        parts.insert(0, self._contract(g, entries[i]))
                    g = downs[i](g)
                return self.levels.join([self._contract(unrelu(g, hidden[0]), dense), *parts])

            return x, pullback

        return run

    @torch.no_grad()
    def trials(self, z: Tensor) -> Iterator[Callable[[str], Callable[[], Tensor]]]:
        """For each layer, up and down: from a form to what computes it so, of the size of z."""
        h = self._expand(self.levels.split(z)[0])
        for i in range(len(self.layers)):
            out = self._up(i, self.dtype, self.usual[i][0])(h)
            yield lambda form, i=i, h=h: partial(self._up(i, self.dtype, form), h)
            yield lambda form, i=i, g=out: partial(self._down(i, self.dtype, form), g)
            h = out

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
    # would leave steps smaller than 2^-9 |z| without effect.

    def _stage(self, doubled: int, *, last: bool) -> Stage:
        """A layer that doubles so many axes; of a map's axes all but the last layer pad nowhere."""
        folded = self.axes if doubled < self.dims else 0
        maps = self.axes - folded if doubled else 0
        return Stage((1 if last else 2,) * maps + (1,) * (doubled - maps), folded)

    @property
    def wide(self) -> torch.dtype:
        """Precision in which answers are finished: no steps that can be seen, or heard."""
        return torch.promote_types(self.dtype, torch.float32)

    def _up(self, i: int, dtype: torch.dtype, form: str) -> Through:
        return self.layers[i].up(channels_last(self.weights[i].to(dtype)), self.biases[i], form)

    def _down(self, i: int, dtype: torch.dtype, form: str) -> Through:
        return self.layers[i].down(channels_last(self.weights[i].to(dtype)), form)

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

    def _finish(self, canvas: Tensor, z: Tensor) -> Tensor:
        x = canvas[(..., *self._window(canvas))].to(z.dtype)
        return torch.tanh(x) if self.dims else x  # a table has no bounded range

    def _unfinish(self, v: Tensor, x: Tensor, canvas: Tensor) -> Tensor:
        g = torch.ops.aten.tanh_backward(v, x) if self.dims else v
        g = g.to(canvas.dtype)
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
    if cells < 1:
        raise UserError(
            f"model.latent={'x'.join(map(str, latent_shape))}: a map of so many cells is larger "
            f"than signals of {'x'.join(map(str, size))}; use fewer cells"
        )
    if others and cells > depth:
        raise UserError(
            f"model.latent={'x'.join(map(str, latent_shape))}: a cell of {2**cells} frames is too "
            f"long for pictures this small; use more cells, e.g. "
            f"{latent_shape[0]}x{-(-(size[0] - 2) // 2**depth) + 2}"
        )
    return cells, depth if others else cells
