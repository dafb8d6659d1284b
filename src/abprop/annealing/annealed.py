"""log p(y) of each example by annealed importance sampling: courses, paces, chains, weights."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from abprop.annealing.courses import Course
from abprop.annealing.walk import field, paced, weighed
from abprop.annealing.weights import Estimate, estimate, reversed_estimate
from abprop.inference import chunks
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import Operator

ALONE = 16  # chains in one pass where each example has but one


class Annealed(NamedTuple):
    """What chains found of some examples.

    Attributes:
        found: log p(y) with its error.
        log_weights: of every chain, float64 (B, C).
        accepted: mean probability of acceptance, (B,).
    """

    found: Estimate
    log_weights: Tensor
    accepted: Tensor


@torch.no_grad()
def annealed(
    model: Model, y: Tensor, A: Operator, course: Course, ids: Tensor, seed: int, *,
    chains: int = 16, chunk: int = 64,
) -> Annealed:  # fmt: skip
    """log p(y): of what was observed of each example, a lower bound in expectation.

    Args:
        model, y, A: as for `infer`; A may be any operator, of a mask what it shows counts.
        course: from q to the posterior, see COURSES.
        ids: what keys each example's noise, int64 (B,).
        seed: of that noise.
        chains: C of each example, at least 2.
        chunk: chains in one pass. An example's answer has the same bits in any company.
    """
    noise = Noise(seed, "annealing")
    sizes = _paces(model, y, A, course, ids, noise, min(chunk, ALONE))
    z = _drawn(course, ids, noise, chains, chunk)
    log_w, accepted = _walked(model, y, A, course, sizes, z, ids, noise, chunk)
    return Annealed(estimate(log_w), log_w, accepted)


@torch.no_grad()
def annealed_back(
    model: Model, y: Tensor, A: Operator, z: Tensor, course: Course, ids: Tensor, seed: int, *,
    chains: int = 16, chunk: int = 64,
) -> Annealed:  # fmt: skip
    """log p(y) from above: of examples whose z, of which they were made, is known.

    Args:
        z: one exact draw from each posterior, (B, *latent_shape): that of simulated data.
        model, y, A, course, ids, seed, chains, chunk: as for `annealed`, of which it uses other
            noise, and the same step sizes.
    """
    noise = Noise(seed, "annealing")
    sizes = _paces(model, y, A, course, ids, noise, min(chunk, ALONE)).flip(1)
    starts = z.repeat_interleave(chains, 0)
    back = Noise(seed, "annealing backwards")
    told = _walked(model, y, A, course.backwards(), sizes, starts, ids, back, chunk)
    return Annealed(reversed_estimate(told[0]), *told)


def _paces(
    model: Model, y: Tensor, A: Operator, course: Course, ids: Tensor, noise: Noise, chunk: int
) -> Tensor:
    """Step sizes, (B, K + 1): of a chain of each example whose noise is used for nothing else."""
    sizes = []
    for rows, n in chunks(len(y), chunk, y.device):
        some, keyed = course.of(rows), noise.at(ids[rows]).of("pace")
        there = field(some.start, model.score(y[rows], A[rows]))
        start = some.start.draw(keyed.of("start")).to(y)
        sizes.append(paced(there, some, start, keyed)[:n])
    return torch.cat(sizes)


def _drawn(course: Course, ids: Tensor, noise: Noise, chains: int, chunk: int) -> Tensor:
    """Where chains begin, those of one example in a row, (B C, *latent_shape)."""
    every, number = _spread(ids, chains)
    parts = []
    for rows, n in chunks(len(every), chunk, ids.device):
        some = course.start[every[rows]]
        keyed = noise.at(ids[every[rows]], chain=number[rows]).of("start")
        parts.append(some.draw(keyed)[:n].to(course.frame))
    return torch.cat(parts)


def _walked(
    model: Model, y: Tensor, A: Operator, course: Course, sizes: Tensor, z: Tensor, ids: Tensor,
    noise: Noise, chunk: int,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Log weights (B, C) of chains that begin at z (B C, ...), and mean acceptance (B,)."""
    chains = len(z) // len(y)
    every, number = _spread(ids, chains)
    parts = []
    for rows, n in chunks(len(z), chunk, y.device):
        which = every[rows]
        some, keyed = course.of(which), noise.at(ids[which], chain=number[rows])
        there = field(some.start, model.score(y[which], A[which]))
        told = weighed(there, some, sizes[which], z[rows], keyed)
        parts.append([v[:n] for v in told])
    log_w, accepted = (torch.cat(v).reshape(-1, chains) for v in zip(*parts, strict=True))
    return log_w, accepted.mean(1)


def _spread(ids: Tensor, chains: int) -> tuple[Tensor, Tensor]:
    """The example of each chain, and its number among that example's."""
    every = torch.arange(len(ids), device=ids.device).repeat_interleave(chains)
    return every, torch.arange(chains, device=ids.device).repeat(len(ids))
