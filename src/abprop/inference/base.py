"""What kernels share: chains, what a step tells, and the protocol.

A chain's coordinates are those of its metric: z = L u with L L^T about the mean covariance of the
posteriors (see `metric`), so that -d^2 log p / du^2 is about I. A step size s is one of u; with
lambda the largest eigenvalue of an example's own -d^2 log p / du^2,

    s = sqrt(4 a / lambda)

where a is the kernel's `aim`: 1 is where plain Langevin steps become unstable.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from abprop.inference.metric import Metric
from abprop.model import Score
from abprop.noise import Keyed


class State(NamedTuple):
    """Where the chains of a batch stand between visits; one row for each chain.

    Attributes:
        z: latents (B, *latent_shape).
        s: step sizes (B,), 0 where none was found yet.
        axis: the stiffest direction as known so far, unit length in the metric's coordinates,
            like z; 0 where nothing is known.
        age: steps taken since the start, int64 (B,): what keys the noise of the next one.
    """

    z: Tensor
    s: Tensor
    axis: Tensor
    age: Tensor

    @classmethod
    def begin(cls, z: Tensor, s: float | Tensor = 0.0) -> State:
        """Chains that have not moved yet, at z."""
        sizes = torch.as_tensor(s, dtype=z.dtype, device=z.device).expand(len(z)).clone()
        age = torch.zeros(len(z), dtype=torch.int64, device=z.device)
        return cls(z, sizes, torch.zeros_like(z), age)


class Chain(NamedTuple):
    """Chains during a visit, for weights as they are.

    Attributes:
        z: latents (B, *latent_shape).
        s: step sizes (B,).
        metric: the coordinates' metric.
        log_p, grad: the score at z, if it is known already.
        left: how far the last step went, (B,), and the score where it set out, both in the
            metric's coordinates.
        ahead: the next step's noise, where the last one has made it already.
    """

    z: Tensor
    s: Tensor
    metric: Metric
    log_p: Tensor | None = None
    grad: Tensor | None = None
    left: tuple[Tensor, Tensor] | None = None
    ahead: Tensor | None = None

    def here(self, score: Score) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient at z, computed where it is not known."""
        if self.log_p is None or self.grad is None:
            return score(self.z)
        return self.log_p, self.grad


class Moved(NamedTuple):
    """What a step tells.

    Attributes:
        log_p: log p(y, z; W) where it set out, (B,).
        accepted: probability with which the move was accepted, (B,); 1 where moves always are.
        stable: bool (B,), whether the step was short enough for the curvature it met.
    """

    log_p: Tensor
    accepted: Tensor
    stable: Tensor


class Info(NamedTuple):
    """What a visit tells of its chains.

    Attributes:
        log_p: log p(y, z; W) before the last move, (B,).
        s: step sizes at the end, (B,).
        accepted: mean probability of acceptance, (B,).
        stable: share of stable steps, (B,).
        diverged: bool (B,): not finite or absurd, so put back to where it came from and slowed.
        bent: H u for a random direction u ~ N(0, I) of the metric's coordinates, like z; NaN where
            no one looked. What the metric learns from.
    """

    log_p: Tensor
    s: Tensor
    accepted: Tensor
    stable: Tensor
    diverged: Tensor
    bent: Tensor

    @classmethod
    def idle(cls, state: State) -> Info:
        """Of chains that were not moved."""
        zero, one = torch.zeros_like(state.s), torch.ones_like(state.s)
        nothing = torch.full_like(state.z, torch.nan)
        return cls(zero, state.s, one, one, zero > 0, nothing)


class Kernel(Protocol):
    """One transition of chains.

    Attributes:
        step_size: s in z's own units (the metric is I then), or None to adapt it to each example.
        samples: whether its states are draws from the posterior; modes are not, and learning a
            prior or sigma from modes would let z grow and W shrink for ever.
        adjusted: whether a Metropolis test makes the draws exact. Wants log p in float32.
        passes: evaluations of the score in a step.
        fewest: mean acceptance of a visit below which its chain's step is shortened.
    """

    samples: ClassVar[bool]
    adjusted: ClassVar[bool]
    passes: ClassVar[int]
    fewest: ClassVar[float]

    @property
    def step_size(self) -> float | None: ...
    def aim(self, size: int) -> float:
        """a for latents of `size` numbers."""
        ...

    def step(self, score: Score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]: ...


def normal(noise: Keyed, z: Tensor) -> Tensor:
    """Standard normals like z."""
    return noise.normal(tuple(z.shape[1:])).to(z)


def accept(noise: Keyed, log_ratio: Tensor) -> tuple[Tensor, Tensor]:
    """Metropolis' test: bool (B,), and the probabilities (B,); what is not finite is refused."""
    log_ratio = torch.nan_to_num(log_ratio, nan=-math.inf, posinf=-math.inf)
    u = noise.of("acceptance").uniform(1)[:, 0].to(log_ratio)
    return u.log() < log_ratio, log_ratio.clamp_max(0).exp()


def expand(v: Tensor, z: Tensor) -> Tensor:
    """v (B,) so that it broadcasts over z (B, ...)."""
    return v.reshape(-1, *(1,) * (z.ndim - 1))


def norm(v: Tensor) -> Tensor:
    """Length of each row, (B,)."""
    return v.flatten(1).norm(dim=1)


def square(v: Tensor) -> Tensor:
    """Squared length of each row, (B,)."""
    return v.square().flatten(1).sum(1)
