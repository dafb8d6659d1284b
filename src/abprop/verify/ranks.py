"""A non-linear generator, calibrated by simulation: ranks of true z among posterior draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from abprop.inference import Kernel
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import StandardNormal
from abprop.verify.base import P_VALUE, Found, Plan, Size, draws, survival

COVERAGE = (0.88, 0.92)
FACTORS, NUMBERS = 4, 12
RANKS, BINS = 99, 20
RANK_STEPS = {"langevin": 40, "leimkuhler": 12, "mala": 20, "hmc": 4}  # draws are far apart


def ranks_of(name: str, seed: int, size: Size, make: Callable[[], Kernel]) -> Tensor:
    """Ranks 0..RANKS of simulated z among the draws from their posteriors, (n, FACTORS)."""
    model, n = _curved(seed), size.simulations
    ids = torch.arange(n)
    truth = Noise(seed, "simulated z").at(ids).normal((FACTORS,)).float()
    sigma = model.likelihood.sigma
    y = model.network(truth) + sigma * Noise(seed, "simulated y").at(ids).normal((NUMBERS,)).float()
    y, A = observe(y, None)
    plan = Plan(RANK_STEPS[name], 20, RANKS)
    drawn = torch.stack([s.z for s, _ in draws(make(), model, y, A, seed, plan)])
    return (drawn < truth).sum(0)


def calibration_checks(
    name: str, seed: int, size: Size, make: Callable[[], Kernel]
) -> Iterator[Found]:
    """Uniform ranks, and intervals that cover what they should."""
    ranks = ranks_of(name, seed, size, make)
    p = min(_uniform(ranks[:, j]) for j in range(FACTORS))
    p = min(1.0, FACTORS * p)  # the worst of so many coordinates
    yield Found("sbc", name, seed, "", p, P_VALUE, p > P_VALUE)
    low, high = round(0.05 * (RANKS + 1)), round(0.95 * (RANKS + 1))
    covered = ((ranks >= low) & (ranks < high)).double().mean().item()
    passed = COVERAGE[0] <= covered <= COVERAGE[1]
    yield Found("coverage90", name, seed, "", covered, 0.9, passed)


def _curved(seed: int) -> Model:
    f = ConvGenerator((FACTORS,), (NUMBERS,), channels=16)
    weights = iter(range(1000))
    noise = Noise(seed, "weights")
    f.reset(lambda shape: noise.at(torch.zeros(1), next(weights)).normal(shape)[0])
    return Model(f, StandardNormal((FACTORS,)), Gaussian(0.5)).requires_grad_(False)


def _uniform(ranks: Tensor) -> float:
    counts = torch.bincount(ranks * BINS // (RANKS + 1), minlength=BINS).double()
    expected = len(ranks) / BINS
    return survival(((counts - expected).square() / expected).sum().item(), BINS - 1)
