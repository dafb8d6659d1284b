"""What a generator leaves over is correlated, and so says something about what was not seen.

    y = f(z) + e,    e ~ N(0, C),    C[(a, u), (b, v)] = c_ab(v - u)         (stationary)

A pixel's residual tells its neighbours'. Two uses, both through Vecchia's approximation: the
entries in an order, each given at most n of its nearest predecessors,

    p(e) = prod_i N(e_i; w_i . e_near(i), v_i)

with the observed entries first. Whitening, u_i = (e_i - w_i . e_near(i)) / sqrt(v_i), is linear in
the signal: a measurement operator, under which the correlated likelihood is the white one with
sigma = 1. Going through the hidden entries in their order draws from p(e_hidden | e_observed).

A. V. Vecchia: Estimation and Model Identification for Continuous Spatial Processes, JRSS B 1988.
M. Katzfuss, J. Guinness: A General Framework for Vecchia Approximations of Gaussian Processes,
Statistical Science 2021.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from abprop.operators import Mask, Operator

NEAR = 16  # predecessors of an entry
NUGGET = 1e-3  # of the variance: keeps neighbours that say the same from cancelling
FAR = 1e4  # entries along an axis: the distance between channels that are independent
UNRELATED = 0.05  # correlation of channels below which they are taken to be independent
REACH = 0.4  # of the shortest side: lags beyond are tapered away


@dataclass(frozen=True)
class Covariance:
    """A stationary covariance of signals of C channels.

    Attributes:
        table: c_ab(lag) on a torus twice as large as the signal, (C, C, *2 size).
        turn: orthogonal (C, C): `table` is that of turn^T e, whose channels are uncorrelated at
            lag 0.
    """

    table: Tensor
    turn: Tensor

    @property
    def variance(self) -> Tensor:
        """Of each turned channel, (C,)."""
        at_zero = self.table[(..., *(0 for _ in self.table.shape[2:]))]
        return at_zero.diagonal()

    def on(self, hidden: Tensor) -> Correlated:
        """The law of residuals of which some are hidden, bool (B, C, *size)."""
        return Correlated(self.turn, [field(self, mask) for mask in hidden])


@dataclass(frozen=True)
class White:
    """The paper's residual: independent, of one standard deviation."""

    sigma: float

    def on(self, hidden: Tensor) -> Independent:
        """The law of residuals of which some are hidden, bool (B, C, *size)."""
        return Independent(self.sigma, hidden)


Residual = White | Covariance


def fit(residual: Tensor, observed: Tensor, *, turned: bool = True) -> Covariance:
    """Covariance from all pairs of observed entries, by FFT.

    Args:
        residual: y - f(z), (N, C, *size) with at least one axis; anything where not observed.
        observed: bool (N, 1 or C, *size).
        turned: turn the channels so that they are uncorrelated (wants masks shared by channels).
    """
    shown = observed.expand_as(residual).double()
    e = torch.where(shown > 0, residual.double(), 0.0)
    turn = torch.eye(e.shape[1], dtype=torch.float64, device=e.device)
    if turned:
        turn = torch.linalg.eigh(torch.einsum("na...,nb...->ab", e, e)).eigenvectors
        e = torch.einsum("ab,na...->nb...", turn, e)
    table = _pairs(e) / _pairs(shown).clamp_min(1.0)
    return Covariance(_definite(table).float(), turn.float())


def _pairs(e: Tensor) -> Tensor:
    """Sum over examples and places of e_a(u) e_b(u + lag), (C, C, *2 size)."""
    size = [2 * n for n in e.shape[2:]]
    axes = tuple(range(2, e.ndim))
    total = torch.zeros(e.shape[1], e.shape[1], *size, dtype=e.dtype, device=e.device)
    for block in e.split(64):
        spectrum = torch.fft.rfftn(block, size, dim=axes)
        product = torch.einsum("na...,nb...->ab...", spectrum.conj(), spectrum)
        total += torch.fft.irfftn(product, size, dim=axes)
    return total


def _definite(table: Tensor) -> Tensor:
    """The nearest covariance: distant lags tapered, negative powers of the spectrum removed."""
    size, axes = table.shape[2:], tuple(range(2, table.ndim))
    lags = [torch.fft.fftfreq(n, 1 / n, dtype=table.dtype, device=table.device) for n in size]
    grids = torch.meshgrid(*lags, indexing="ij")
    squared = torch.stack(grids).square().sum(0)
    reach = REACH * min(size) / 2
    spectrum = torch.fft.fftn(table * torch.exp(-squared / (2 * reach**2)), dim=axes)
    matrices = spectrum.movedim((0, 1), (-2, -1))
    values, vectors = torch.linalg.eigh((matrices + matrices.mH) / 2)
    kept = values.clamp_min(0).to(vectors.dtype)
    whole = (vectors * kept[..., None, :]) @ vectors.mH
    return torch.fft.ifftn(whole.movedim((-2, -1), (0, 1)), dim=axes).real


# Neighbours -----------------------------------------------------------------------------------


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


def field(covariance: Covariance, hidden: Tensor) -> Field:
    """Neighbours and weights for one signal.

    Args:
        covariance: of the residual.
        hidden: bool (C, *size).
    """
    shape = tuple(hidden.shape)
    apart = _apart(covariance)
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
    weight, variance = _weights(covariance, shape, near, known)
    return Field(near, weight, variance.sqrt(), ~mask, waves)


def _apart(covariance: Covariance) -> float:
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
    covariance: Covariance, shape: tuple[int, ...], near: Tensor, known: Tensor
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


def _lookup(covariance: Covariance, shape: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """The table flattened so that the covariance of entries i and j is table[left_i + right_j]."""
    channels, size = shape[0], covariance.table.shape[2:]
    axes = tuple(range(2, covariance.table.ndim))
    table = torch.fft.fftshift(covariance.table, dim=axes)
    place, middle = torch.zeros(1, dtype=torch.int64), 0
    for n, length in zip(shape[1:], size, strict=True):
        place = (place[:, None] * length + torch.arange(n)).flatten()
        middle = middle * length + length // 2
    one = math.prod(size)
    channel = torch.arange(channels)[:, None] * one
    left = (channel * channels - place + middle).flatten()
    return table.flatten(), left, (channel + place).flatten()


# Whitening, as a measurement ------------------------------------------------------------------


class Whitened:
    """A(x) = B turn^T x: what was observed of each signal, made white. sigma is 1 under it.

    The same example may occur several times in a row (the chains of several draws): its weights
    are then kept, and gone through, once.

    Args:
        turn: (C, C).
        fields: one for each example.
    """

    linear = True

    def __init__(self, turn: Tensor, fields: list[Field]) -> None:
        self.turn, self.fields = turn, fields
        self.count = torch.tensor([float(field.observed.sum()) for field in fields])
        self._matrices: tuple[Tensor, Tensor] | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return self.vjp(x)[0]

    def vjp(self, x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """B turn^T x and  v -> turn B^T v."""
        forward, backward = self._prepared(x.device)
        copies = len(x) // self._distinct
        turned = torch.einsum("ab,na...->nb...", self.turn, x).reshape(len(x), -1)
        shape = x.shape

        def adjoint(v: Tensor) -> Tensor:
            back = _apply(backward, v, copies).reshape(shape)
            return torch.einsum("ab,nb...->na...", self.turn, back)

        return _apply(forward, turned, copies), adjoint

    def __getitem__(self, rows: Tensor) -> Whitened:
        return Whitened(self.turn, [self.fields[row] for row in rows.tolist()])

    def to(self, device: torch.device | str) -> Whitened:
        """Itself on another device."""
        self.turn, self.count, self._matrices = self.turn.to(device), self.count.to(device), None
        return self

    @property
    def _distinct(self) -> int:
        """Examples with weights of their own, if each occurs equally often in a row."""
        firsts = [i for i, f in enumerate(self.fields) if i == 0 or f is not self.fields[i - 1]]
        copies = len(self.fields) // len(firsts)
        even = firsts == list(range(0, len(self.fields), copies))
        return (
            len(firsts) if even and copies * len(firsts) == len(self.fields) else len(self.fields)
        )

    def _prepared(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._matrices is None:
            step = len(self.fields) // self._distinct
            parts = [_sparse(field) for field in self.fields[::step]]
            whole = _block_diagonal(parts, len(self.fields[0].observed), device)
            self._matrices = whole, _rows_of(whole.to_sparse_coo().T)
        return self._matrices


def _apply(matrix: Tensor, v: Tensor, copies: int) -> Tensor:
    """The block-diagonal matrix on each of (U copies, D)."""
    columns = v.reshape(-1, copies, v.shape[1]).movedim(1, -1).reshape(-1, copies)
    return (matrix @ columns).reshape(-1, v.shape[1], copies).movedim(-1, 1).reshape(v.shape)


def _sparse(field: Field) -> tuple[Tensor, Tensor, Tensor]:
    """Rows, columns and values of one example's whitening; rows of hidden entries are empty."""
    rows = field.observed.nonzero()[:, 0]
    scale = 1 / field.deviation[rows]
    columns = torch.cat((rows[:, None], field.near[rows]), 1)
    values = torch.cat((scale[:, None], -field.weight[rows] * scale[:, None]), 1)
    return rows[:, None].expand_as(columns).flatten(), columns.flatten(), values.flatten()


def _block_diagonal(
    parts: list[tuple[Tensor, Tensor, Tensor]], side: int, device: torch.device
) -> Tensor:
    rows = torch.cat([part[0] + i * side for i, part in enumerate(parts)])
    columns = torch.cat([part[1] + i * side for i, part in enumerate(parts)])
    values = torch.cat([part[2] for part in parts])
    kept = values != 0
    size = (len(parts) * side,) * 2
    where = torch.stack((rows[kept], columns[kept]))
    whole = torch.sparse_coo_tensor(
        where, values[kept], size, device=device, check_invariants=False
    )
    return _rows_of(whole)


def _rows_of(matrix: Tensor) -> Tensor:
    """A COO matrix by rows."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")  # torch calls them beta at first use
        return matrix.coalesce().to_sparse_csr()


# Laws -----------------------------------------------------------------------------------------


class Law(Protocol):
    """p(e) of some signals: how it is measured, and its hidden part given the observed one.

    Attributes:
        A: under it, observed entries are white with standard deviation `sigma`.
    """

    @property
    def A(self) -> Operator: ...
    @property
    def sigma(self) -> float: ...
    def fill(self, residual: Tensor, normal: Tensor) -> Tensor: ...


class Independent:
    """Nothing can be told from the neighbours."""

    def __init__(self, sigma: float, hidden: Tensor) -> None:
        self.A: Operator = Mask(hidden)
        self.sigma = sigma

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """Hidden residuals (B, K, C, *size) of K chains: noise alone."""
        return self.sigma * normal


class Correlated:
    """The neighbours tell: see `Field`."""

    sigma = 1.0

    def __init__(self, turn: Tensor, fields: list[Field]) -> None:
        self.A: Operator = Whitened(turn, fields)
        self.turn, self.fields = turn, fields

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """Residuals of K chains, the hidden ones drawn given the observed ones.

        Args:
            residual: y - f(z), (B, K, C, *size); anything where hidden.
            normal: standard normals of that shape; zeros give the conditional mean.
        """
        turned = torch.einsum("ab,nka...->nkb...", self.turn, residual)
        drawn = [_drawn(*parts) for parts in zip(self.fields, turned, normal, strict=True)]
        return torch.einsum("ab,nkb...->nka...", self.turn, torch.stack(drawn))


def _drawn(field: Field, residual: Tensor, normal: Tensor) -> Tensor:
    e = residual.flatten(1).T.contiguous()  # (D, K): a wave is some of the rows
    noise = normal.flatten(1).T
    for now in field.waves:
        mean = (field.weight[now][..., None] * e[field.near[now]]).sum(1)
        e[now] = mean + field.deviation[now][:, None] * noise[now]
    return e.T.reshape(residual.shape)
