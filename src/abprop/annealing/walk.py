"""One chain's way along the temperatures, and the weight it gathers.

    z_0 ~ q,    for k = 1 .. K:   log w += (b_k - b_(k-1)) (log p(y, z) - log q(z))
                                  z <- T_k(z), which leaves p_(b_k) as it is;  k < K
    E w = p(y), however well or badly T_k mixes

T_k is Hamiltonian Monte Carlo: LEAPS leapfrog steps of s with a fresh momentum, in coordinates in
which p_(b_k) is about N(., I), then Metropolis' test. s is found by a chain of the same example
that goes first and is then forgotten (`paced`): a step that followed the chain's own acceptance
would not leave p_(b_k) as it is, and the weights would no longer be unbiased.

Backwards, from a draw of p(z | y) through the same temperatures to q, E w = 1 / p(y): R. B. Grosse,
Z. Ghahramani, R. P. Adams: Sandwiching the marginal likelihood using bidirectional Monte Carlo,
2015. R. M. Neal: Annealed importance sampling, Statistics and Computing 2001. Y. Wu, Y. Burda,
R. Salakhutdinov, R. Grosse: On the quantitative analysis of decoder-based generative models, 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.annealing.courses import Course
from abprop.annealing.laws import Start
from abprop.inference.base import accept, expand, normal, square
from abprop.inference.kernels.hmc import LEAPS
from abprop.model import Score
from abprop.noise import Keyed

AIM = 0.8  # acceptance that paces are adapted to
GAIN = 0.4  # of log s for each unit of acceptance too many
FIRST = 0.5  # s: three of them are a quarter of the period of N(0, I)
SHORTEST, LONGEST = 0.01, 0.7  # s; three longer ones go round in circles


class Point(NamedTuple):
    """Where chains stand, and both log densities there: (B,), and gradients like z."""

    z: Tensor
    log_q: Tensor
    grad_q: Tensor
    log_p: Tensor
    grad_p: Tensor

    def between(self, beta: Tensor) -> tuple[Tensor, Tensor]:
        """(1 - b) log q + b log p (B,) and its gradient."""
        wide = expand(beta, self.z)
        grad = self.grad_q + wide * (self.grad_p - self.grad_q)
        return self.log_q + beta * (self.log_p - self.log_q), grad


Field = Callable[[Tensor], Point]


def field(start: Start, score: Score) -> Field:
    """z -> both log densities there."""

    def at(z: Tensor) -> Point:
        return Point(z, *start.score(z), *score(z))

    return at


def paced(there: Field, course: Course, z: Tensor, noise: Keyed) -> Tensor:
    """Step sizes s for each temperature, (B, K + 1), found by one chain of each example.

    Args:
        there: see `field`.
        course: the chains' ways.
        z: where they begin, (B, *latent_shape).
        noise: keyed by example; none that the chains that count will use.
    """
    point, s = there(z), torch.full_like(z.flatten(1)[:, 0], FIRST)
    sizes = [s]
    for k in range(1, course.betas.shape[1] - 1):
        sizes.append(s)
        point, accepted = _leapt(there, course, k, point, s, noise.later(k))
        s = (s * torch.exp(GAIN * (accepted - AIM))).clamp(SHORTEST, LONGEST)
    return torch.stack([*sizes, s], 1)


def weighed(
    there: Field, course: Course, sizes: Tensor, z: Tensor, noise: Keyed
) -> tuple[Tensor, Tensor]:
    """Log weights of chains, float64 (B,), and their mean acceptance (B,).

    Args:
        there, course: as for `paced`.
        sizes: s at each temperature, (B, K + 1).
        z: where they begin: draws of the law at the first temperature, (B, *latent_shape).
        noise: keyed by example and chain.
    """
    point, rises, steps = there(z), course.betas.diff(dim=1), course.betas.shape[1] - 1
    log_w, total = torch.zeros_like(rises[:, 0]), torch.zeros_like(sizes[:, 0])
    for k in range(1, steps + 1):
        log_w += rises[:, k - 1] * (point.log_p.cpu().double() - point.log_q.cpu().double())
        if k < steps:
            point, accepted = _leapt(there, course, k, point, sizes[:, k], noise.later(k))
            total += accepted / (steps - 1)
    return log_w, total


def _leapt(
    there: Field, course: Course, k: int, point: Point, s: Tensor, noise: Keyed
) -> tuple[Point, Tensor]:
    """Chains after T_k, and the probability that the move was accepted, (B,)."""
    beta, coordinates = course.betas[:, k].to(s), course.at(k)
    half, p = expand(s, point.z) / 2, normal(noise, point.z)
    log_here, grad = point.between(beta)
    energy, new = square(p) / 2 - log_here, point
    for _ in range(LEAPS):
        p = p + half * coordinates.pull(grad)
        new = there(new.z + coordinates.push(2 * half * p))
        log_there, grad = new.between(beta)
        p = p + half * coordinates.pull(grad)
    taken, probability = accept(noise, energy + log_there - square(p) / 2)
    kept = (torch.where(expand(taken, a), a, b) for a, b in zip(new, point, strict=True))
    return Point(*kept), probability
