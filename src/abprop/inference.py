"""Inference of the latent factors: chains on log p(z | y; W) for fixed weights.

    Langevin            z <- z + (s^2 / 2) grad log p(y, z; W) + s * noise        (the paper's)
    gradient ascent     z <- z + (s^2 / 2) grad log p(y, z; W)                    (MAP)

With H = -d^2 log p / dz^2 a step is stable if s^2 |H| / 4 < 1. |H| need not be known: successive
points of the chain give the secant |grad' - grad| / |z' - z| <= |H| at no cost, and a direction in
which a step is too long grows until it dominates that secant. So s adapts itself, one s for each
example, kept beside its z.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from abprop.model import Model, Score
from abprop.noise import Keyed
from abprop.operators import Operator


class State(NamedTuple):
    """Where the chains of a batch stand."""

    z: Tensor  # latents (B, *latent_shape)
    s: Tensor  # step sizes (B,)


class Info(NamedTuple):
    """What a call of `infer` tells about its chains."""

    log_p: Tensor  # log p(y, z; W) before the last move, (B,)
    s: Tensor  # step sizes at the end, (B,)
    diverged: (
        Tensor  # bool (B,): not finite or absurd, so put back to where it came from and slowed
    )


class Kernel(Protocol):
    """One transition of a chain, given the score where it stands.

    Attributes:
        step_size: s, or None to adapt it to each example.
        samples: whether its states are draws from the posterior; modes are not, and learning a
            prior or sigma from modes would let z grow and W shrink for ever.
    """

    samples: ClassVar[bool]

    @property
    def step_size(self) -> float | None: ...
    def move(self, z: Tensor, grad: Tensor, s: Tensor, noise: Keyed, k: int) -> Tensor: ...


@dataclass(frozen=True)
class Langevin:
    """Unadjusted Langevin dynamics.

    Args:
        step_size: s, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = True

    def move(self, z: Tensor, grad: Tensor, s: Tensor, noise: Keyed, k: int) -> Tensor:
        """z + s^2/2 grad + s noise."""
        normal = noise.normal(tuple(z.shape[1:]), k).to(z)
        return z + s**2 / 2 * grad + s * normal


@dataclass(frozen=True)
class GradientAscent:
    """Langevin without the noise: ascends to a mode of the posterior.

    Args:
        step_size: s as in Langevin, or None to adapt it to each example.
    """

    step_size: float | None = None
    samples: ClassVar[bool] = False

    def move(self, z: Tensor, grad: Tensor, s: Tensor, noise: Keyed, k: int) -> Tensor:
        """z + s^2/2 grad."""
        return z + s**2 / 2 * grad


KERNELS = {"langevin": Langevin, "gradient": GradientAscent}

STABILITY = 0.35  # s^2 |H| / 4 aimed at: 1 is the edge
ABSURD = 1e4  # no posterior of a learned generator reaches so far from its prior
GROWTH = 1.03  # how fast s recovers per step when the secants allow it


def infer(
    model: Model,
    y: Tensor,
    A: Operator,
    state: State,
    kernel: Kernel,
    *,
    steps: int,
    noise: Keyed,
    chunk: int = 64,
) -> tuple[State, Info]:
    """`steps` transitions of every example's chain, from where it was left.

    Runs in static chunks, the last one padded, so that an example's answer has the same bits
    whatever its batch, order and company.

    Args:
        model: gives the score.
        y, A: observations (B, ...) and their operator.
        state: latents and step sizes to start from.
        kernel: see KERNELS.
        steps: number of transitions, each one pass forward and back.
        noise: keyed by example and iteration.
        chunk: examples in one pass.
    """
    parts = []
    for rows, n in chunks(len(y), chunk, state.z.device):
        score = model.score(y[rows], A[rows])
        part, info = _chain(score, State(*(v[rows] for v in state)), kernel, steps, noise[rows])
        parts.append([v[:n] for v in (*part, *info)])
    z, s, *info = (torch.cat(values) for values in zip(*parts, strict=True))
    return State(z, s), Info(*info)


def _chain(
    score: Score, state: State, kernel: Kernel, steps: int, noise: Keyed
) -> tuple[State, Info]:
    z, s = state
    previous = None
    for k in range(steps):
        log_p, grad = score(z)
        if kernel.step_size is None and previous is not None:
            s = _adapt(s, _norm(grad - previous[1]) / _norm(z - previous[0]))
        previous = z, grad
        z = kernel.move(z, grad, _expand(s, z), noise, k)
    diverged = ~((z.abs() < ABSURD).flatten(1).all(1) & torch.isfinite(log_p))
    z = torch.where(_expand(diverged, z), state.z, z)
    s = torch.where(diverged, state.s / 4, s)
    return State(z, s), Info(log_p, s, diverged)


def _adapt(s: Tensor, secant: Tensor) -> Tensor:
    """The longest step that the secant allows, reached from below slowly."""
    longest = torch.sqrt(4 * STABILITY / secant.clamp_min(1.0))  # the prior alone gives |H| >= 1
    return torch.where(torch.isfinite(secant), torch.minimum(longest, s * GROWTH), s)


def solve(
    model: Model,
    y: Tensor,
    A: Operator,
    *,
    steps: int = 300,
    rate: float = 0.3,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """The mode of p(z | y; W) for signals never seen in training, by Adam from the prior's mean.

    Sixty plain gradient steps from a random z are far from converged; Adam with a rate that decays
    to zero is (Kingma and Ba, Adam, ICLR 2015; its averages are elementwise, so examples do not
    touch each other).

    Args:
        model, y, A, chunk: as for `infer`.
        steps: number of passes.
        rate: first step length, in prior standard deviations.

    Returns:
        z (B, *latent_shape) and log p(y, z; W) (B,) there.
    """
    parts = []
    for rows, n in chunks(len(y), chunk, y.device):
        score = model.score(y[rows], A[rows])
        z = model.mean_latent(len(rows)).to(y.device)
        z = _adam(score, z, steps, rate * model.prior.spread)
        parts.append((z[:n], score(z)[0][:n]))
    z, log_p = (torch.cat(values) for values in zip(*parts, strict=True))
    return z, log_p


def _adam(score: Score, z: Tensor, steps: int, rate: Tensor) -> Tensor:
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for k in range(steps):
        _, grad = score(z)
        mean, square = 0.9 * mean + 0.1 * grad, 0.99 * square + 0.01 * grad**2
        length = rate * 0.5 * (1 + math.cos(math.pi * k / steps))
        z = z + length * (mean / (1 - 0.9 ** (k + 1))) / (
            torch.sqrt(square / (1 - 0.99 ** (k + 1))) + 1e-8
        )
    return z


def chunks(
    count: int, size: int, device: torch.device | str = "cpu"
) -> Iterator[tuple[Tensor, int]]:
    """Index tensors of one length that cover range(count), and how many of each count.

    The last is padded by repeating the last index. The length is `size` rounded up to a multiple
    of 16: matrix kernels sum the rows of a ragged edge in another order.
    """
    size += -size % 16
    for start in range(0, count, size):
        rows = torch.arange(start, start + size, device=device)
        yield rows.clamp_max(count - 1), min(size, count - start)


def _expand(v: Tensor, z: Tensor) -> Tensor:
    return v.reshape(-1, *(1,) * (z.ndim - 1))


def _norm(v: Tensor) -> Tensor:
    return v.flatten(1).norm(dim=1)
