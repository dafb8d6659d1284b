"""The way from q to the posterior: how stiff it is where, and where to stop on it.

    p_b(z)  ∝  q(z)^(1 - b) p(y, z)^b,      0 = b_0 < b_1 < ... < b_K = 1

With q = N(0, 1) and p(z | y) about N(m, 1 / l) along a direction, p_b has the precision
a = 1 - b + b l, and the Fisher information of b is, summed over the directions,

    v(b)^2  =  sum (l - 1)^2 / (2 a^2) + l^2 m^2 / a^3

The temperatures b_k are equally far apart in that metric, integral of v: then the weights vary as
little as so many temperatures allow, and 1 / K of them is left to each. For q far from the
posterior this is nearly geometric, for q near to it nearly even.

R. M. Neal: Annealed importance sampling, Statistics and Computing 2001 (section 4). A. Gelman,
X.-L. Meng: Simulating Normalizing Constants, Statistical Science 1998 (the metric).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.annealing.laws import Everywhere, Near, Start, times
from abprop.inference import chunks
from abprop.model import Model
from abprop.operators import Operator

WIDER = 1.5  # c: narrower than a posterior, q would be left by its draws
TURN = 0.01  # of the prior's spread: how far J looks
FLATTEST = 0.1  # curvature of H in units of the prior's spread
GRID = 400  # points above 0 at which v is known, evenly in log b
EARLIEST = -9.0  # log10 of the first


class Course(NamedTuple):
    """The ways of some examples; `course.of(rows)` is those of some.

    Attributes:
        start: q.
        frame: F (B, n, n), coordinates z = F u in which q is about N(0, I) and, with
        stiff: l (B, n), the posterior's covariance about diag(1 / l).
        betas: b_0 .. b_K, float64 (B, K + 1), on the CPU: there are devices without.
    """

    start: Start
    frame: Tensor
    stiff: Tensor
    betas: Tensor

    def of(self, rows: Tensor) -> Course:
        """Those of some of the examples, or of each of them several times."""
        betas = self.betas[rows.cpu()]
        return Course(self.start[rows], self.frame[rows], self.stiff[rows], betas)

    def at(self, k: int) -> Coordinates:
        """Where p_b for b_k is about N(., I)."""
        beta = self.betas[:, k, None].to(self.stiff)
        return Coordinates(self.frame, (1 - beta + beta * self.stiff).rsqrt())

    def backwards(self) -> Course:
        """From the posterior to q."""
        return self._replace(betas=self.betas.flip(1))


class Coordinates(NamedTuple):
    """z = F diag(scale) u, each example's own: what `Metric` is for all."""

    frame: Tensor
    scale: Tensor

    def push(self, u: Tensor) -> Tensor:
        """A move in u as one in z."""
        return times(self.frame, self.scale * u.flatten(1)).reshape_as(u)

    def pull(self, grad: Tensor) -> Tensor:
        """A gradient in z as one in u."""
        return (self.scale * times(self.frame.mT, grad.flatten(1))).reshape_as(grad)


@torch.no_grad()
def near(model: Model, A: Operator, mode: Tensor, steps: int, chunk: int = 64) -> Course:
    """From a normal law about each example's mode; most posteriors are nearly normal.

    Args:
        model, A, chunk: as for `infer`.
        mode: (B, *latent_shape); what is no mode will do, and takes longer.
        steps: K.
    """
    roots, inverses = [], []
    for H in _curvatures(model, A, mode, chunk):
        lower = torch.linalg.cholesky(H / WIDER)
        inverses.append(lower.mT)
        roots.append(torch.linalg.solve_triangular(lower.mT, torch.eye(len(H)).to(H), upper=True))
    root, inverse = torch.stack(roots), torch.stack(inverses)
    log_det = inverse.diagonal(dim1=1, dim2=2).log().sum(1)
    root, inverse, log_det = (v.to(mode) for v in (root, inverse, log_det))
    stiff = torch.full_like(mode.flatten(1), WIDER)
    betas = temperatures(stiff, torch.zeros_like(stiff), steps)
    return Course(Near(mode, root, inverse, log_det), root, stiff, betas)


@torch.no_grad()
def everywhere(model: Model, A: Operator, mode: Tensor, steps: int, chunk: int = 64) -> Course:
    """From the prior, far as that is; see `near`. The mode tells how far, and no more."""
    spread = _spread(model, mode)
    frames, stiff = [], []
    for H in _curvatures(model, A, mode, chunk):
        values, vectors = torch.linalg.eigh(spread[:, None] * H * spread)
        frames.append(spread[:, None] * vectors)
        stiff.append(values.clamp_min(1))
    frame, stiff = torch.stack(frames), torch.stack(stiff)
    away = (mode - model.mean_latent(len(mode))).flatten(1).cpu().double()
    apart = times(frame.mT, away / spread.square())  # F^-1, for F = spread V with V orthogonal
    betas = temperatures(stiff, apart, steps)
    return Course(Everywhere(model.prior), frame.to(mode), stiff.to(mode), betas)


COURSES = {"near": near, "prior": everywhere}


def temperatures(stiff: Tensor, apart: Tensor, steps: int) -> Tensor:
    """b_0 .. b_K for each example, float64 (B, K + 1).

    Args:
        stiff: l (B, n).
        apart: m (B, n).
        steps: K, at least 1.
    """
    stiff, apart = stiff.cpu().double(), apart.cpu().double()
    grid = torch.logspace(EARLIEST, 0, GRID, dtype=torch.float64)
    grid = torch.cat((torch.zeros_like(grid[:1]), grid))
    speed = torch.stack([_speed(stiff, apart, b) for b in grid.tolist()], 1)
    lengths = (speed[:, 1:] + speed[:, :-1]) / 2 * grid.diff()
    run = torch.nn.functional.pad(lengths.cumsum(1), (1, 0))
    wanted = run[:, -1:] * torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    after = torch.searchsorted(run, wanted.contiguous()).clamp(1, len(grid) - 1)
    before = run.gather(1, after - 1)
    part = (wanted - before) / (run.gather(1, after) - before).clamp_min(1e-300)
    betas = torch.lerp(grid[after - 1], grid[after], part.clamp(0, 1))
    betas[:, 0], betas[:, -1] = 0, 1
    return betas


def _speed(stiff: Tensor, apart: Tensor, b: float) -> Tensor:
    """v(b) of each example, (B,)."""
    a = 1 - b + b * stiff
    turned, moved = (stiff - 1).square() / (2 * a**2), (stiff * apart).square() / a**3
    return (turned + moved).sum(1).sqrt().clamp_min(1e-6)


def _curvatures(model: Model, A: Operator, z: Tensor, chunk: int) -> Iterator[Tensor]:
    """H of each example at z, float64 (n, n), on the CPU."""
    spread, sigma = _spread(model, z), model.likelihood.sigma.item()
    for i in range(len(z)):
        one, turn = z[i : i + 1], TURN * spread
        J = _jacobian(model, A[torch.tensor([i])], one, turn, chunk)
        yield _positive(J @ J.T / sigma**2 + _precision(model, one, turn), spread)


def _precision(model: Model, z: Tensor, turn: Tensor) -> Tensor:
    """-d^2 log p(z) / dz^2 for one example, float64 (n, n)."""
    there = z + torch.diag(turn).to(z).reshape(-1, *z.shape[1:])
    grad = model.prior.score(torch.cat((z, there)))[1].flatten(1).cpu().double()
    bent = (grad[:1] - grad[1:]) / turn[:, None]
    return (bent + bent.T) / 2


def _positive(H: Tensor, spread: Tensor) -> Tensor:
    """H in no direction flatter than the prior is wide; a prior's own curvature may be negative."""
    values, vectors = torch.linalg.eigh(spread[:, None] * H * spread)
    root = vectors * values.clamp_min(FLATTEST).sqrt() / spread[:, None]
    return root @ root.T


def _jacobian(model: Model, A: Operator, z: Tensor, turn: Tensor, chunk: int) -> Tensor:
    """dA(f(z)) / dz_j for one example, float64 (n, numbers)."""
    n, zero = len(turn), torch.zeros(1, dtype=torch.int64)
    steps = torch.cat((torch.zeros(1, n), torch.diag(turn))).to(z)
    seen = []
    for rows, count in chunks(n + 1, chunk, z.device):
        there = z + steps[rows].reshape(-1, *z.shape[1:])
        x = A[zero.expand(len(rows))](model.network(there))
        seen.append(x[:count].flatten(1))
    seen = torch.cat(seen).cpu().double()
    return (seen[1:] - seen[:1]) / turn[:, None]


def _spread(model: Model, z: Tensor) -> Tensor:
    """The prior's standard deviation of each number of z, float64 (n,), on the CPU."""
    return (model.prior.spread.to(z) * torch.ones_like(z[:1])).flatten().cpu().double()
