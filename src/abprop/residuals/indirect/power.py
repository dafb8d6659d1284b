"""The covariance of residuals that only measurements tell of: its spectrum, by maximum likelihood.

    r_i = A e_i + noise,   e_i ~ N(0, C),   noise ~ N(0, nu),   G = A C A^T + nu,   i = 1..N
    log p(r) = -N/2 (log det G + tr(G^-1 S)) + const,    S = 1/N sum_i r_i r_i^T

C is stationary and isotropic in each channel of turn^T e, turn an orthonormal DCT (of red, green
and blue: one luma, two chromas). The logarithm of its spectrum is known at the rings of |k|, a line
over log |k| between two of them, and its slope s a priori a process that returns to that of natural
images,

    -log p(s) = sum_j (s_j + 2)^2 / (2 WIDE^2) + (s_j - s_(j-1))^2 / (2 BEND^2) + const

so that what A does not see of it, fine detail behind a blur, follows from what it sees.

D. J. Field: Relations between the statistics of natural images and the response properties of
cortical cells, JOSA A 1987. M. L. Stein: Interpolation of Spatial Data, 1999.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abprop.noise import Noise
from abprop.residuals.laws import Covariance

RINGS = 24  # of the spectrum
MOST = 512  # measured numbers that are looked at
STEPS = 60  # of the optimizer
TRUSTED = 50  # signals that count: more would believe what so simple a law makes of edges
FLOOR = 1e-5  # of the mean square: the least noise of a measurement
NATURAL, WIDE, BEND = -2.0, 2.0, 1.0  # the slope of log S over log |k|


@dataclass(frozen=True)
class Power:
    """What measurements say of the spectrum of residuals.

    Attributes:
        log_power: log S at each ring of each turned channel, (C, rings).
        nugget: nu, the variance of a measurement's own noise.
        size: of a signal.
    """

    log_power: Tensor
    nugget: float
    size: tuple[int, ...]

    @property
    def rings(self) -> Rings:
        """Where the spectrum is known."""
        return Rings.of(self.size)

    @property
    def covariance(self) -> Covariance:
        """C, float32 on the CPU."""
        channels = len(self.log_power)
        spectrum = self.rings.spectrum(self.log_power)
        lags = torch.fft.ifftn(spectrum, dim=tuple(range(1, spectrum.ndim))).real
        table = torch.zeros(channels, *lags.shape, dtype=lags.dtype)
        table[range(channels), range(channels)] = lags
        return Covariance(table.float(), cosines(channels).float())


def fit_power(residual: Tensor, matrix: Tensor, shape: tuple[int, ...]) -> Power:
    """The spectrum of residuals e from r = A e + noise.

    Args:
        residual: r, (N, K).
        matrix: A, (K, D).
        shape: of one signal, (C, *size) of D numbers in all, with at least one axis.
    """
    some = Noise(0, "rows").permutation(len(matrix))[:MOST].sort().values
    r, A = residual.cpu().double()[:, some], matrix.cpu()[some].float()
    rings, turn = Rings.of(shape[1:]), cosines(shape[0]).float()
    turned = torch.einsum("kc...,cb->kb...", A.reshape(-1, *shape), turn)
    return Power(*_most_likely(_seen(turned, rings), rings, r), shape[1:])


def cosines(n: int) -> Tensor:
    """An orthonormal DCT, one cosine in each column, (n, n)."""
    place = torch.arange(n, dtype=torch.float64)
    waves = torch.cos(math.pi * (place[:, None] + 0.5) * place / n)
    return waves / waves.norm(dim=0)


@dataclass(frozen=True)
class Rings:
    """Frequencies of about one length.

    Attributes:
        position: log |k| of each place of the spectrum, (*2 size), that of 0 a step below the rest.
        ring: of each place, numbered from the lowest.
        at: mean position of each ring.
    """

    position: Tensor
    ring: Tensor
    at: Tensor

    @classmethod
    def of(cls, size: tuple[int, ...]) -> Rings:
        """Those of signals of such a size, on a torus twice as large."""
        along = [torch.fft.fftfreq(2 * n, dtype=torch.float64) for n in size]
        k = torch.stack(torch.meshgrid(*along, indexing="ij")).square().sum(0).sqrt()
        least = 0.5 / max(size)
        position = torch.where(k > 0, k, least / 2).log()
        step = (position.max() - position.min()) / (RINGS - 1)
        numbers = ((position - position.min()) / step).round().long()
        ring = torch.unique(numbers, return_inverse=True)[1]
        sums = torch.zeros(2, int(ring.max()) + 1, dtype=position.dtype)
        sums[0].index_add_(0, ring.flatten(), position.flatten())
        sums[1].index_add_(0, ring.flatten(), torch.ones_like(position).flatten())
        return cls(position, ring, sums[0] / sums[1])

    def spectrum(self, theta: Tensor) -> Tensor:
        """S at each place, (C, *2 size), of its logarithm at each ring, (C, rings)."""
        place, at = self.position.numpy(), self.at.numpy()
        lines = [np.interp(place, at, row) for row in theta.numpy()]
        return torch.from_numpy(np.stack(lines)).exp()

    def surprise(self, theta: Tensor) -> Tensor:
        """-log p of the slopes of log S, up to a constant."""
        slope = theta.diff(dim=1) / self.at.diff()
        away, bends = (slope - NATURAL) / WIDE, slope.diff(dim=1) / BEND
        return (away.square().sum() + bends.square().sum()) / 2


def _seen(A: Tensor, rings: Rings) -> Tensor:
    """A C A^T for a spectrum of 1 in ring j of channel c and 0 elsewhere, float64 (C, j, K, K).

    Args:
        A: rows in turned channels, (K, C, *size).
    """
    size = A.shape[2:]
    axes, torus = tuple(range(1, 1 + len(size))), [2 * n for n in size]
    ring = rings.ring[..., : size[-1] + 1].flatten()  # of a real signal half tells the other
    twice = torch.full((*torus[:-1], size[-1] + 1), 2.0 / math.prod(torus))
    twice[..., 0] = twice[..., -1] = 1.0 / math.prod(torus)
    found = []
    for channel in A.unbind(1):
        wave = torch.fft.rfftn(channel, torus, dim=axes) * twice.sqrt()
        wave = torch.view_as_real(wave.flatten(1)).movedim(-1, 1)
        parts = (wave[..., ring == j].flatten(1) for j in range(len(rings.at)))
        found.append(torch.stack([(part @ part.T).double() for part in parts]))
    return torch.stack(found)


def _most_likely(seen: Tensor, rings: Rings, r: Tensor) -> tuple[Tensor, float]:
    """log S at each ring of each channel, (C, rings), and the noise."""
    (N, K), scale = r.shape, r.square().mean()
    products, eye = r.T @ r, torch.eye(K, dtype=r.dtype)
    theta = (NATURAL * rings.at).repeat(len(seen), 1)
    told = torch.einsum("cj,cjkk->", theta.exp(), seen) / K
    theta = (theta + (scale / told).log()).requires_grad_()
    noise = torch.tensor(-5.0, dtype=r.dtype, requires_grad=True)
    optimizer = torch.optim.LBFGS([theta, noise], max_iter=STEPS, line_search_fn="strong_wolfe")

    def nugget() -> Tensor:
        return scale * (noise.exp() + FLOOR)

    def loss() -> Tensor:
        optimizer.zero_grad()
        G = torch.einsum("cj,cjkl->kl", theta.exp(), seen) + nugget() * eye
        L = torch.linalg.cholesky(G)
        whole = torch.cholesky_solve(products, L).trace() + 2 * N * L.diagonal().log().sum()
        cost = (whole / 2 * min(1.0, TRUSTED / N) + rings.surprise(theta)) / (N * K)
        cost.backward()
        return cost.detach()

    optimizer.step(loss)
    return theta.detach(), nugget().item()
