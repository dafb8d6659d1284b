"""Blocks of inferred maps laid over each other's rims; what `markov` draws from.

Energies are sums of whole numbers, exact in any order, so that the same blocks are chosen with any
number of threads. A map of any size is made of tiles of SITES sites; of these first the corners are
drawn, then the edges given the corners, then the inside, each keyed by its place: so every window
of an endless map can be drawn for itself.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.noise import Keyed, Noise
from abprop.priors.base import FAR, Cells, around

SMALLEST = 4  # cells along an axis of an inferred map
SITES = 16  # of a tile, along an axis
SWEEPS = 4  # over the sites of a region
TEMPERATURE = 0.1  # two blocks that have nothing to do with each other have D = 2
LEAST = 3  # sites around a torus
APART = 2  # sites within which no place of the signal is shown twice
FORBIDDEN = 10.0  # in units of D
MOST = 2000  # blocks to choose from
LEVELS, FARTHEST = 6, 60  # whole numbers per standard deviation, and the largest of them
EXACT = 2**24  # whole numbers that float32 holds, and the sums of which it does not round
FADE = 0.25  # weight of the block beside, next to where two meet
INNER, RIM = 3, 1  # weights: cells at the rim of an inferred map are told by half of their pixels


class Composition(NamedTuple):
    """Which cells of which inferred maps make up a drawn one.

    Attributes:
        row, at: the map of each cell and where in it, for each of the blocks that may cover it,
            the nearest first, int64 (blocks, *lengths) and one such for each axis.
        weight: of each block there, (blocks, k, *lengths); they sum to 1.
    """

    row: Tensor
    at: list[Tensor]
    weight: Tensor

    @property
    def lengths(self) -> Cells:
        """Of the drawn map, in cells."""
        return tuple(self.row.shape[1:])

    def of(self, z: Tensor) -> Tensor:
        """The map (k, *lengths) that these cells of z (M, k, *grid) make."""
        cells, whole = z.movedim(1, -1), z.new_zeros(z.shape[1], *self.lengths)
        for row, *at, weight in zip(self.row, *self.at, self.weight, strict=True):
            # One block after the other: the order of a sum is in its bits.
            picked = cells[tuple(v.to(z.device) for v in (row, *at))].movedim(-1, 0)
            whole = whole + weight.to(z) * picked
        return whole

    def cut(self) -> Composition:
        """The same where no block fades into another."""
        return Composition(self.row[:1], [v[:1] for v in self.at], torch.ones_like(self.weight[:1]))

    def window(self, start: Cells, lengths: Cells) -> Composition:
        """A part of a torus."""
        axes = len(self.lengths)
        row, *at, weight = (
            around(v, axes, start, lengths) for v in (self.row, *self.at, self.weight)
        )
        return Composition(row, at, weight)


class Library:
    """Blocks to choose from, and how well they fit each other.

    Args:
        maps: what inferred maps are compared by, (M, channels, *grid), of variance 1 over all
            channels.
        places: see `Markov.remember`.
        factors: channels of the maps themselves, those of each scale (see `networks.levels`); one
            number stands for all channels.
    """

    def __init__(self, maps: Tensor, places: Tensor | None, factors: Sequence[int] = (1,)) -> None:
        self.factors = tuple(factors)
        self.dims, grid = maps.ndim - 2, maps.shape[2:]
        self.side = max(SMALLEST, (min(grid) - 1) // 2 * 2)
        self.rim = max(1, self.side // 4)  # cells of a block that its neighbours show instead
        self.stride = self.side - 2 * self.rim
        counts = (len(maps), *(n - self.side + 1 for n in grid))
        chosen = spread_over(math.prod(counts), MOST)
        # numpy's: torch's own takes a second to import what it is made of.
        self.which, *within = map(torch.from_numpy, np.unravel_index(chosen.numpy(), counts))
        self.within = torch.stack(within, 1)
        whole = (LEVELS * maps.float()).round().clamp(-FARTHEST, FARTHEST)
        weights = torch.full(grid, float(INNER))
        for axis in range(self.dims):
            for end in (0, -1):
                weights.select(axis, end).fill_(RIM)
        blocks, cut = self._cut(whole), self._cut(weights.expand(len(maps), 1, *grid))
        self.sides = [d for d in itertools.product((-1, 0, 1), repeat=self.dims) if any(d)]
        self.pairs: dict[Cells, tuple[Tensor, float]] = {}
        for d in self.sides:  # b beside a is a on the other side of b
            known = self.pairs.get(tuple(-s for s in d))
            self.pairs[d] = self._pair(blocks, cut, d) if known is None else _turned(*known)
        self.places = None if places is None else places[self.which].double() + self.within
        self.same = None if self.places is None else self._same(self.places)
        self._solved = lru_cache(maxsize=256)(self._solve)

    @property
    def period(self) -> int:
        """Cells of which a torus measures a multiple, at least LEAST times."""
        return self.stride

    # Blocks ------------------------------------------------------------------------------------

    def _cut(self, z: Tensor) -> Tensor:
        """The blocks of maps, (n, k, *side)."""
        for axis in range(self.dims):
            z = z.unfold(2 + axis, self.side, 1)
        order = (0, *range(2, 2 + self.dims), 1, *range(2 + self.dims, 2 + 2 * self.dims))
        return z.permute(order)[(self.which, *self.within.T)].contiguous()

    def _pair(self, blocks: Tensor, weights: Tensor, side: Cells) -> tuple[Tensor, float]:
        """D times a scale, whole numbers: of each block b on one side (rows) beside each a.

        w_a w_b (a - b)^2 = (w_a a^2) w_b - 2 (w_a a) (w_b b) + w_a (w_b b^2), one product of
        matrices; looked up hundreds of times for every tile.
        """
        k, shared = self.side, self.side - self.stride
        here = [slice(k - shared, k) if s > 0 else slice(0, shared if s else k) for s in side]
        there = [slice(0, shared) if s > 0 else slice(k - shared if s else 0, k) for s in side]
        every = (slice(None), slice(None))
        a, wa, b, wb = (
            v[(*every, *part)].expand(-1, blocks.shape[1], *(-1,) * self.dims).flatten(1)
            for part in (here, there)
            for v in (blocks, weights)
        )
        exact = torch.float32 if 2 * (INNER * FARTHEST) ** 2 * a.shape[1] < EXACT else torch.float64
        a, wa, b, wb = (v.to(exact) for v in (a, wa, b, wb))
        left = torch.cat((wa * a * a, -2 * wa * a, wa), 1)
        right = torch.cat((wb, wb * b, wb * b * b), 1)
        scale = LEVELS**2 * (wa.mean() * wb.mean() * wa.shape[1]).item()
        return right @ left.T, scale

    # Sites -------------------------------------------------------------------------------------

    def _settle(self, sites: Tensor, free: Tensor, noise: Keyed, wrap: bool = False) -> Tensor:
        """Blocks (numbers) at the free sites given the others, by Gibbs.

        Args:
            sites: numbers of blocks, -1 where there is none yet, int64 (*lengths).
            free: which to draw, bool (*lengths).
            noise: keyed by site, (number of sites,).
            wrap: whether opposite edges are neighbours.
        """
        sites, where = sites.clone(), torch.nonzero(free)
        flat = torch.arange(free.numel()).reshape(free.shape)[free]
        colours = [_colours(n, wrap) for n in sites.shape]
        colour = sum(
            many[at] * 8**i for i, (many, at) in enumerate(zip(colours, where.T, strict=True))
        )
        for sweep in range(SWEEPS):
            u = noise.later(sweep).uniform(1)[:, 0]
            for part in torch.unique(colour):
                now = colour == part
                energy = self._energy(sites, where[now], wrap)
                sites[tuple(where[now].T)] = _choose(energy, u[flat[now]])
        return sites

    def _energy(self, sites: Tensor, now: Tensor, wrap: bool) -> Tensor:
        """Energy of every block at each of some sites (n, axes), float64 (n, blocks)."""
        energy = torch.zeros(len(now), len(self.which), dtype=torch.float64)
        for side in self.sides:
            near, known = _beside(sites, now, side, wrap)
            table, scale = self.pairs[side]
            weight = 0.5 ** (sum(map(abs, side)) - 1) / scale
            energy += table[near].double().mul_(weight * known.double()[:, None])
        if self.same is not None:
            shown = torch.zeros(energy.shape, dtype=torch.uint8)
            reach = range(-APART, APART + 1)
            for step in itertools.product(reach, repeat=self.dims):
                if any(step):
                    near, known = _beside(sites, now, step, wrap)
                    shown += self.same[near] & known[:, None]
            energy += FORBIDDEN * shown
        return energy

    def _same(self, places: Tensor) -> Tensor:
        """Which blocks show a place that another one shows, bool (blocks, blocks)."""
        apart = [(v[:, None] - v).abs() < self.stride / 2 for v in places.T]
        return torch.stack(apart).all(0)

    # Windows of an endless map ----------------------------------------------------------------

    def window(self, noise: Noise, draw: int, start: Cells, lengths: Cells) -> Composition:
        """Cells start..start + lengths of draw number `draw`."""
        first = [a // self.stride for a in start]
        last = [-(-(a + n) // self.stride) for a, n in zip(start, lengths, strict=True)]
        tiles = [range(a // SITES, -(-b // SITES)) for a, b in zip(first, last, strict=True)]
        sites = torch.empty([len(t) * SITES + 2 for t in tiles], dtype=torch.int64)
        for index in itertools.product(*tiles):
            at = [SITES * (i - t.start) for i, t in zip(index, tiles, strict=True)]
            # A tile knows the sites around it: they are its borders'.
            inner = (slice(self.dims - 1, self.dims + SITES + 1),) * self.dims
            part = tuple(slice(a, a + SITES + 2) for a in at)
            sites[part] = self._solved(noise.seed, noise.stream, draw, index, ())[inner]
        some = tuple(
            slice(a - t.start * SITES, b - t.start * SITES + 2)
            for a, b, t in zip(first, last, tiles, strict=True)
        )
        first = tuple(a - f * self.stride for a, f in zip(start, first, strict=True))
        return self._compose(sites[some]).window(first, lengths)

    def torus(self, noise: Noise, draw: int, grid: Cells) -> Composition:
        """A map whose opposite edges fit.

        Raises:
            UserError: lengths that are no multiples of the period.
        """
        if any(n % self.period or n < LEAST * self.period for n in grid):
            raise UserError(
                f"a seamless map measures multiples of {self.period} cells, at least {LEAST}, "
                f"not {'x'.join(map(str, grid))}"
            )
        lengths = [n // self.stride for n in grid]
        sites = torch.full(lengths, -1)
        keyed = noise.at(torch.arange(sites.numel()), chain=draw)
        free = torch.ones(lengths, dtype=torch.bool)
        sites = self._settle(sites, free, keyed, wrap=True)
        wider = tuple(n + 2 for n in lengths)
        return self._compose(around(sites, self.dims, (-1,) * self.dims, wider))

    def _solve(self, seed: int, stream: str, draw: int, index: Cells, border: Cells) -> Tensor:
        """The sites of a tile, or of the part of its border across some axes.

        Args:
            seed, stream, draw: of the noise.
            index: of the tile.
            border: axes across which this is a corner or an edge; none: the inside.

        Returns:
            Numbers of blocks (SITES + 2 dims, ...), which begins `dims` sites before the tile; -1
            where the part has none.
        """
        d, most = self.dims, SITES + 2 * self.dims
        sites = torch.full((most,) * d, -1)
        for axis in set(range(d)) - set(border):
            for side in (0, 1):
                beside = tuple(i + (side if a == axis else 0) for a, i in enumerate(index))
                across = tuple(sorted((*border, axis)))
                part = self._solved(seed, stream, draw, beside, across)
                part = part.roll(side * SITES, axis)
                sites = torch.where(part >= 0, part, sites)
        box = torch.zeros((most,) * d, dtype=torch.bool)
        half = len(border)
        box[tuple(slice(d - half, d + half) if a in border else slice(d, d + SITES)
                  for a in range(d))] = True  # fmt: skip
        key = torch.zeros(1, dtype=torch.int64)
        for i in index:
            key = (key[:, None] * FAR + i * SITES + d + torch.arange(most)).flatten()
        purpose = "".join(map(str, border))
        keyed = Noise(seed, f"{stream}/sites {purpose}").at(key, chain=draw)
        return self._settle(sites, box & (sites < 0), keyed)

    def _compose(self, sites: Tensor) -> Composition:
        """The map of some sites, the first and last of which along each axis only reach into it."""
        rows, ats, weights = [], [], []
        for cover in itertools.product(*(self._covered(n - 2) for n in sites.shape)):
            site, inside, *shares = zip(*cover, strict=True)
            block = sites[torch.meshgrid(*site, indexing="ij")]
            rows.append(self.which[block])
            within = torch.meshgrid(*inside, indexing="ij")
            ats.append([self.within[block, axis] + v for axis, v in enumerate(within)])
            parts = zip(self.factors, shares, strict=True)
            weights.append(torch.cat([_outer(share, factors) for factors, share in parts]))
        at = [torch.stack(v) for v in zip(*ats, strict=True)]
        return Composition(torch.stack(rows), at, torch.stack(weights))

    def _covered(self, sites: int) -> list[tuple[Tensor, ...]]:
        """The nearest two blocks over each cell along an axis: site, cell of its block, and weights
        (cells, 2^level) at each scale.

        Where two blocks meet, one fades into the other, at each scale over one cell on either side.
        """
        cell = torch.arange(self.stride).repeat(sites)
        site = 1 + torch.arange(sites).repeat_interleave(self.stride)
        first, last = cell == 0, cell == self.stride - 1
        beside = last.long() - first.long()
        fading = [torch.zeros(len(cell), 2**level) for level in range(len(self.factors))]
        for fade in fading:
            fade[first, 0] = fade[last, -1] = FADE
        own = (site, self.rim + cell, *(1 - fade for fade in fading))
        return [own, (site + beside, self.rim + cell - self.stride * beside, *fading)]


def _turned(table: Tensor, scale: float) -> tuple[Tensor, float]:
    return table.T.contiguous(), scale


def _outer(shares: Sequence[Tensor], factors: int) -> Tensor:
    """Weights (cells, r) along each axis -> (factors, *cells), ordered as in `networks.levels`."""
    axes, r = len(shares), shares[0].shape[1]
    whole = torch.ones(())
    for axis, share in enumerate(shares):
        form = [1] * (2 * axes)
        form[axis], form[axes + axis] = r, len(share)
        whole = whole * share.T.reshape(form)
    each = factors // r**axes
    return whole.flatten(0, axes - 1).repeat(each, *(1,) * axes)


def spread_over(count: int, most: int) -> Tensor:
    """`most` of range(count), about equally far apart, or all where there are fewer."""
    return torch.arange(count) if count <= most else torch.arange(most) * count // most


def _colours(n: int, wrap: bool) -> Tensor:
    """A number for each of n sites in a row; those of one number are more than APART apart."""
    colours = torch.arange(n) % (APART + 1)
    rest = n % (APART + 1) if wrap else 0
    colours[n - rest :] = APART + 1 + torch.arange(rest)
    return colours


def _beside(sites: Tensor, now: Tensor, step: Cells, wrap: bool) -> tuple[Tensor, Tensor]:
    """The block a step beside each of some sites, and whether there is one (else it is 0)."""
    lengths = torch.tensor(sites.shape)
    there = now + torch.tensor(step)
    inside = ((there >= 0) & (there < lengths)).all(1)
    near = sites[tuple((there % lengths).T)]
    return near.clamp_min(0), (near >= 0) & (inside | wrap)


def _choose(energy: Tensor, u: Tensor) -> Tensor:
    """A draw from exp(-energy / T) along the last axis for uniform u."""
    p = torch.exp((energy.amin(1, keepdim=True) - energy) / TEMPERATURE).cumsum(1)
    return torch.searchsorted(p, u[:, None] * p[:, -1:])[:, 0].clamp_max(energy.shape[1] - 1)
