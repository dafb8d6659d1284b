"""Vecchia's approximation: each entry is predicted from a few nearest predecessors in an order.

    e_i = w_i . e_near(i) + sqrt(v_i) noise,      w_i, v_i from the covariance of those entries

The observed entries come first; then ever finer lattices, so that near predecessors are few and
entries of one wave are no neighbours.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.residuals.sparse import Rows
from abprop.residuals.stationary import Stationary

NEAR = 16  # predecessors of an entry
NUGGET = 1e-3  # of the variance: keeps neighbours that say the same from cancelling
FAR = 1e4  # entries along an axis: the distance between channels that are independent
UNRELATED = 0.05  # correlation of channels below which they are taken to be independent


@dataclass(frozen=True)
class Field:
    """The residual's law on the entries of one signal, some of them hidden.

    Entries are numbered as in a flattened, turned signal (C, *size), D of them.

    Attributes:
        near: predecessors of each entry, int64 (D, NEAR).
        weight: w, 0 where there is no such predecessor, (D, NEAR).
        deviation: sqrt(v), (D,).
        observed: bool (D,).
        waves: hidden entries, those that can be drawn together in one wave, wave after wave.
    """

    near: Tensor
    weight: Tensor
    deviation: Tensor
    observed: Tensor
    waves: list[Tensor]

    @cached_property
    def whitening(self) -> tuple[Rows, Rows]:
        """B of u = B e, rows of hidden entries empty, and B^T."""
        rows = self.observed.nonzero()[:, 0]
        scale = 1 / self.deviation[rows, None]
        columns = torch.cat((rows[:, None], self.near[rows]), 1)
        values = torch.cat((scale, -self.weight[rows] * scale), 1)
        forward = Rows.of(rows, columns, values, len(self.observed))
        return forward, forward.transposed

    def to(self, device: torch.device | str) -> Field:
        """The same on another device."""
        return Field(
            self.near.to(device),
            self.weight.to(device),
            self.deviation.to(device),
            self.observed.to(device),
            [wave.to(device) for wave in self.waves],
        )


def field(covariance: Stationary, hidden: Tensor) -> Field:
    """Neighbours and weights for one signal, all on the CPU.

    Args:
        covariance: of the residual.
        hidden: bool (C, *size).
    """
    apart, channels = _apart(covariance), len(hidden)
    alike = apart == FAR and bool((hidden == hidden[:1]).all())  # then one channel tells them all
    near, known, waves = _search(hidden[:1] if alike else hidden, apart)
    if alike:
        side, rows = len(near), torch.arange(channels)[:, None]
        near = (near + side * rows[..., None]).flatten(0, 1)
        known = known.repeat(channels, 1)
        waves = [(wave + side * rows).flatten() for wave in waves]
    weight, variance = _weights(covariance, tuple(hidden.shape), near, known)
    return Field(near, weight, variance.sqrt(), ~hidden.flatten(), waves)


def _search(hidden: Tensor, apart: float) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Predecessors of each entry, which of them there are, and the waves of what is hidden."""
    shape = tuple(hidden.shape)
    together = apart < FAR
    places = torch.cartesian_prod(*(torch.arange(n) for n in shape)).reshape(-1, len(shape))
    where = places.float()
    where[:, 0] *= apart
    mask = hidden.flatten()
    wave = _waves(places[:, 1:]) * (shape[0] if together else 1)
    wave = wave + places[:, 0] * together
    wave = wave + mask * (wave.max() + 1)  # what is hidden comes after all that is observed
    most = min(NEAR, len(where))
    near = torch.zeros(len(where), most, dtype=torch.int64)
    known = torch.zeros(len(where), most, dtype=torch.bool)
    order = torch.argsort(wave, stable=True)
    start, waves = 0, []
    for length in torch.unique(wave, return_counts=True)[1].tolist():
        now = order[start : start + length]
        if start:
            near[now], known[now] = _nearest(where, now, order[:start], most)
        if mask[now[0]]:
            waves.append(now)
        start += length
    return near, known, waves


def _apart(covariance: Stationary) -> float:
    """How far apart two channels are, in entries along an axis.

    Half of the distance at which an entry tells as little as one of the next channel at its own
    place: entries that far off are screened by nearer ones, the other channel's are not.
    """
    table = covariance.table
    scale = covariance.variance.sqrt().clamp_min(1e-12)
    at_zero = table[(..., *(0 for _ in table.shape[2:]))] / (scale[:, None] * scale)
    between = at_zero.diagonal(1).abs().mean() if len(scale) > 1 else 0.0
    along = table.diagonal()[(*(0 for _ in table.shape[3:]),)]  # (lags, C) of the last axis
    decay = (along[: len(along) // 2] / scale**2).mean(1)
    nearer = (decay > between).long().cumprod(0).sum().item()
    return nearer / 2 if between > UNRELATED else FAR


def _waves(places: Tensor) -> Tensor:
    """A number for each place (D, axes): ever finer lattices, no neighbours with one number.

    A place whose coordinates are all multiples of 2^l but not of 2^(l + 1) belongs to level l, the
    coarse ones first; within a level those are together that are odd along the same axes.
    """
    axes = places.shape[1]
    numbers = torch.zeros(len(places), dtype=torch.int64)
    levels = int(places.max()).bit_length()
    for level in range(levels, -1, -1):
        odd = (places >> level) & 1
        pattern = (odd << torch.arange(axes)).sum(1)
        here = (places % 2**level == 0).all(1) & (pattern > 0)
        numbers[here] = (levels - level) * 2**axes + pattern[here]
    return numbers


def _nearest(where: Tensor, now: Tensor, before: Tensor, most: int) -> tuple[Tensor, Tensor]:
    """The `most` nearest of `before` to each of `now`, and which of them there are."""
    from scipy.spatial import KDTree

    count = min(most, len(before))
    _, found = KDTree(where[before].numpy()).query(where[now].numpy(), k=count)
    near = torch.zeros(len(now), most, dtype=torch.int64)
    near[:, :count] = before[torch.from_numpy(found).reshape(len(now), count)]
    known = torch.zeros(len(now), most, dtype=torch.bool)
    known[:, :count] = True
    return near, known


def _weights(
    covariance: Stationary, shape: tuple[int, ...], near: Tensor, known: Tensor
) -> tuple[Tensor, Tensor]:
    """Best linear prediction from the neighbours: weights (D, NEAR) and remaining variances."""
    table, left, right = _lookup(covariance, shape)
    prior = covariance.variance.repeat_interleave(len(left) // shape[0])
    nugget = NUGGET * prior.mean()
    weights, variances = [], []
    for here, around, real in zip(
        torch.arange(len(near)).split(4096), near.split(4096), known.split(4096), strict=True
    ):
        among = table[left[around][:, :, None] + right[around][:, None]]
        among *= real[:, :, None] & real[:, None]
        among.diagonal(dim1=1, dim2=2).add_(torch.where(real, nugget, 1.0))
        across = table[left[around] + right[here][:, None]] * real
        solved = torch.cholesky_solve(across[..., None], torch.linalg.cholesky(among))[..., 0]
        left_over = prior[here] + nugget - (solved * across).sum(1)
        weights.append(solved)
        variances.append(left_over.clamp_min(nugget.item() / 2))
    return torch.cat(weights), torch.cat(variances)


def _lookup(covariance: Stationary, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The table flattened so that the covariance of entries i and j is table[left_i + right_j].

    The signal may be larger than those that the covariance is of: further lags are unrelated.
    """
    channels, axes = shape[0], tuple(range(2, covariance.table.ndim))
    table = torch.fft.fftshift(covariance.table, dim=axes)
    wider = [max(0, n - m // 2) for n, m in zip(shape[1:], table.shape[2:], strict=True)]
    table = F.pad(table, [n for more in reversed(wider) for n in (more, more)])
    size = table.shape[2:]
    place, middle = torch.zeros(1, dtype=torch.int64), 0
    for n, length in zip(shape[1:], size, strict=True):
        place = (place[:, None] * length + torch.arange(n)).flatten()
        middle = middle * length + length // 2
    one = math.prod(size)
    channel = torch.arange(channels)[:, None] * one
    left = (channel * channels - place + middle).flatten()
    return table.flatten(), left, (channel + place).flatten()
