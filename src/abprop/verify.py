"""Whether chains sample what they say, on this machine: known answers against each kernel.

linear_mean         of a linear generator, z | y ~ N(m, H^-1),  H = I + W^T M W / sigma^2:
                    C (mean of C chains - m)^T H (...) summed over examples is chi-square
linear_covariance   along the eigen-directions of H, the largest |variance of the draws * h - 1|
predicted_bias      the same for plain Langevin against the variance that its step size must have,
                    1 / (h (1 - s^2 h / 4)) in the metric's coordinates
likelihood_gap      nats per dimension between the linear generator that alternating
                    back-propagation learns and the optimum of probabilistic PCA
sbc                 simulation-based calibration of a non-linear generator: z from the prior, y
                    from z, draws from z | y; the rank of z among them is uniform
coverage90          share of those z inside the [5 %, 95 %] interval of their draws

Chains have their kernel's defaults and start from prior draws, and each example has a mask of its
own. S. Talts, M. Betancourt, D. Simpson, A. Vehtari, A. Gelman: Validating Bayesian Inference
Algorithms with Simulation-Based Calibration, 2018. M. E. Tipping, C. M. Bishop: Probabilistic
Principal Component Analysis, JRSS B 1999.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, NamedTuple

import torch
from torch import Tensor

from abprop.alternate import Batch, alternate
from abprop.inference import KERNELS, Kernel, Metric, State, calibrate, due, infer
from abprop.latents import Latents
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Operator, observe
from abprop.priors import StandardNormal

SEEDS = (0, 1, 2, 3, 4)
ENOUGH = 0.8  # of the seeds must pass
SPECTRA = ("equal", "power", "stiff")
P_VALUE = 0.01
EXACT, BIASED = 0.02, 0.10  # relative errors of a variance: adjusted kernels, unadjusted ones
NEAR = 0.04  # of plain Langevin to the bias that its step size must have
NATS = 0.01
COVERAGE = (0.88, 0.92)
LEARNING_STEPS = 5


class Plan(NamedTuple):
    """How chains are run: steps of a visit, visits before the first draw, visits that are draws."""

    steps: int
    settle: int
    kept: int


# As many of 1,024 chains as the bounds need: worth 15,000 (Langevin) to 80,000 independent draws.
PLANS = {
    "langevin": Plan(5, 40, 50),
    "leimkuhler": Plan(2, 25, 30),
    "mala": Plan(5, 20, 120),
    "hmc": Plan(1, 20, 170),
}
SAMPLERS = tuple(PLANS)


class Found(NamedTuple):
    """One number of one seed.

    Attributes:
        check: its name.
        kernel: whose chains.
        seed: of noise and problem.
        case: which spectrum, or "".
        value: what was measured.
        bound: what it must not pass.
        passed: whether it holds.
    """

    check: str
    kernel: str
    seed: int
    case: str
    value: float
    bound: float
    passed: bool


@dataclass(frozen=True)
class Size:
    """How much is drawn.

    Attributes:
        d: latent factors.
        measured: numbers in a signal half of which is hidden; a third of that in a complete one.
        examples: with a mask of its own each.
        chains: of each example.
        simulations: of simulation-based calibration.
        learned: iterations of learning.
    """

    d: int = 100
    measured: int = 600
    examples: int = 8
    chains: int = 128
    simulations: int = 500
    learned: int = 300


# A linear generator, known exactly --------------------------------------------------------------


class Linear(NamedTuple):
    """A linear model with examples whose posteriors are known.

    Attributes:
        model: with sigma 1.
        y: (E, D).
        A: of E examples.
        mean: of the posteriors, (E, d).
        precision: H, (E, d, d).
    """

    model: Model
    y: Tensor
    A: Operator
    mean: Tensor
    precision: Tensor


def linear(spectrum: str, hide: bool, seed: int, size: Size) -> Linear:
    """The posteriors of z under W with W^T W of a spectrum, half of the entries hidden or none."""
    d, E = size.d, size.examples
    D = size.measured if hide else size.measured // 3
    source = Noise(seed, "verify")
    U, V = (torch.linalg.qr(_normal(source, n, d, i))[0] for i, n in enumerate((D, d)))
    values = {
        "equal": torch.full((d,), 30.0),
        "power": 1000.0 / torch.arange(1, d + 1),
        "stiff": torch.cat((torch.tensor([1000.0]), torch.full((d - 1,), 3.0))),
    }[spectrum].double()
    f = LinearGenerator((d,), (D,))
    f.weight.data = (U @ torch.diag(values.sqrt()) @ V.T).float()
    model = Model(f, StandardNormal((d,)), Gaussian(1.0)).requires_grad_(False)
    W = f.weight.double()
    hidden = _normal(source, E, D, 2) < 0 if hide else torch.zeros(E, D, dtype=torch.bool)
    shown = (~hidden).double()
    y = _normal(source, E, d, 3) @ W.T + _normal(source, E, D, 4)
    precision = torch.eye(d).double() + torch.einsum("dj,ed,dk->ejk", W, shown, W)
    told = (y * shown) @ W
    mean = torch.linalg.solve(precision, told[..., None])[..., 0]
    clean, A = observe(y.float(), hidden if hide else None)
    return Linear(model, clean, A, mean, precision)


def _normal(noise: Noise, rows: int, columns: int, t: int) -> Tensor:
    return noise.at(torch.arange(rows), t).normal((columns,))


def draws(
    kernel: Kernel, model: Model, y: Tensor, A: Operator, seed: int, plan: Plan
) -> Iterator[tuple[State, Metric]]:
    """Chains as learning runs them, from prior draws; where they stand after each visit kept.

    Args:
        kernel: with its defaults.
        model, y, A: observations, one row for each chain.
        seed: of the chains' noise.
        plan: how long.
    """
    ids = torch.arange(len(y))
    z = model.prior.draw_each(Noise(seed, "start").at(ids)).float()
    metric, state = Metric.plain(z, 0.05), State.begin(z)
    some, noise = ids[:: -(-len(ids) // 512)], Noise(seed, "langevin").at(ids)
    calibrate(model, y[some], A[some], z[some], metric, Noise(seed, "metric").at(some), chunk=512)
    for t in range(plan.settle + plan.kept):
        state, info = infer(model, y, A, state, kernel, steps=plan.steps, noise=noise,
                            metric=metric, look=due(t, plan.steps), chunk=len(y))  # fmt: skip
        metric.update(info.bent)
        if t >= plan.settle:
            yield state, metric


def linear_checks(name: str, seed: int, size: Size, make: Callable[[], Kernel]) -> Iterator[Found]:
    """Mean and covariance in every spectrum, complete and half hidden."""
    for spectrum, hide in itertools.product(SPECTRA, (False, True)):
        exact = linear(spectrum, hide, seed, size)
        yield from _linear_case(name, spectrum, hide, seed, size, make(), exact)


def _linear_case(
    name: str, spectrum: str, hidden: bool, seed: int, size: Size, kernel: Kernel, exact: Linear
) -> Iterator[Found]:
    case = f"{spectrum}, half hidden" if hidden else spectrum
    E, C, d = size.examples, size.chains, size.d
    rows = torch.arange(E).repeat_interleave(C)
    values, vectors = torch.linalg.eigh(exact.precision)  # ascending
    plan, squares, visits = PLANS[name], torch.zeros(E, d).double(), []
    if not hidden:  # one metric fits all examples, and chains mix faster
        plan = plan._replace(kept=round(0.7 * plan.kept))
    for visit in draws(kernel, exact.model, exact.y[rows], exact.A[rows], seed, plan):
        visits = [*visits[-1:], visit]
        off = visit[0].z.double().reshape(E, C, d) - exact.mean[:, None]
        squares += (off @ vectors).square().mean(1) * values
    last, metric = visits[-1]
    spread = squares / plan.kept  # variances along the eigen-directions, 1 if exact
    predicted = torch.ones(E, d).double()
    if name == "langevin":
        step = last.s.double().reshape(E, C).square().mean(1)
        predicted = (
            _langevin_variance(exact.precision, metric.root.double(), step, vectors) * values
        )
    off = last.z.double().reshape(E, C, d).mean(1) - exact.mean
    along = (off[:, None] @ vectors)[:, 0].square() * values / predicted
    p = _survival(C * along.sum().item(), E * d)
    yield Found("linear_mean", name, seed, case, p, P_VALUE, p > P_VALUE)
    error = (spread.mean(0) - 1).abs().max().item()
    bound = EXACT if kernel.adjusted else BIASED
    yield Found("linear_covariance", name, seed, case, error, bound, error <= bound)
    if name == "langevin":
        apart = (spread.mean(0) / predicted.mean(0) - 1).abs().max().item()
        yield Found("predicted_bias", name, seed, case, apart, NEAR, apart <= NEAR)


def _langevin_variance(H: Tensor, root: Tensor, step: Tensor, vectors: Tensor) -> Tensor:
    """What plain Langevin's variances along some directions must be, (E, d)."""
    bent = root.T @ H @ root
    inner = torch.linalg.inv(bent - step[:, None, None] / 4 * bent @ bent)
    return (vectors.mT @ (root @ inner @ root.T) @ vectors).diagonal(dim1=1, dim2=2)


def _survival(value: float, freedom: int) -> float:
    from scipy.stats import chi2

    return float(chi2.sf(value, freedom))


# A non-linear generator, calibrated by simulation -------------------------------------------------

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
    return _survival(((counts - expected).square() / expected).sum().item(), BINS - 1)


# Learning --------------------------------------------------------------------------------------


def likelihood_check(
    name: str, seed: int, size: Size, make: Callable[[], Kernel]
) -> Iterator[Found]:
    """The likelihood of a learned linear generator below PPCA's optimum, nats per dimension."""
    from sklearn.decomposition import PCA

    d, D, n = 3, 10, 1500
    source = Noise(seed, "ppca")
    W = _normal(source, D, d, 0) * torch.linspace(1.5, 0.7, d)
    y = _normal(source, n, d, 1) @ W.T + 0.5 * _normal(source, n, D, 2) + _normal(source, 1, D, 3)
    model = _learned_linear(y, d, size.learned, make(), seed)
    bias = model.network(torch.zeros(1, d).double())[0]
    weight = model.network(torch.eye(d).double()) - bias  # (d, D)
    covariance = weight.T @ weight + model.likelihood.sigma.double() ** 2 * torch.eye(D)
    law = torch.distributions.MultivariateNormal(bias, covariance)
    gap = (PCA(d).fit(y.numpy()).score(y.numpy()) - law.log_prob(y).mean().item()) / D
    yield Found("likelihood_gap", name, seed, "", gap, NATS, gap <= NATS)


def _learned_linear(y: Tensor, d: int, iterations: int, kernel: Kernel, seed: int) -> Model:
    n, D = y.shape
    f, weights = LinearGenerator((d,), (D,)).double(), iter(range(9))
    f.reset(lambda s: Noise(seed, "weights").at(torch.zeros(1), next(weights)).normal(s)[0])
    model = Model(f, StandardNormal((d,)), Gaussian(1.0)).double()
    ids = torch.arange(n)
    latents = Latents(ids, State.begin(torch.zeros(n, d).double()))
    optimizer = torch.optim.Adam(f.parameters(), lr=0.05)
    batches = (Batch(ids, *observe(y, None)) for _ in range(iterations))
    for step in alternate(model, latents, batches, kernel, optimizer, steps=LEARNING_STEPS,
                          noise=Noise(seed), chunk=n):  # fmt: skip
        for group in optimizer.param_groups:
            group["lr"] = 0.025 * (1 + math.cos(math.pi * step.t / iterations)) + 1e-4
        model.likelihood.update(step.residual, rate=0.05)
    return model.requires_grad_(False)


# All of it --------------------------------------------------------------------------------------

CHECKS = {
    "linear": linear_checks,
    "calibration": calibration_checks,
    "likelihood": likelihood_check,
}


def one(check: str, kernel: str, seed: int, size: Size) -> list[Found]:
    """What one group of checks finds for one kernel and seed, on one thread."""
    torch.set_num_threads(1)
    return list(CHECKS[check](kernel, seed, size, KERNELS[kernel]))


def verify(
    seeds: Iterable[int] = SEEDS,
    kernels: Iterable[str] = SAMPLERS,
    size: Size | None = None,
    processes: int = 2,
    say: Callable[[str], None] = lambda line: None,
) -> list[Found]:
    """Everything, in several processes of one thread each.

    Args:
        seeds: of the noise and the problems.
        kernels: names of KERNELS that sample.
        size: how much is drawn.
        processes: that share the work.
        say: told what is done.
    """
    seeds, kernels, size = list(seeds), list(kernels), size or Size()
    checks = [("linear", kernel) for kernel in reversed(kernels)]  # the longest first
    checks += [("calibration", kernel) for kernel in kernels] + [("likelihood", kernels[0])]
    # A C library that gives freed memory back at once spends half of the time asking for it again.
    os.environ.setdefault("MALLOC_TRIM_THRESHOLD_", str(2**32))
    os.environ.setdefault("MALLOC_MMAP_THRESHOLD_", str(2**30))
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        jobs = [
            [pool.submit(one, check, kernel, seed, size) for seed in seeds]
            for check, kernel in checks
        ]
        found = []
        for (check, kernel), parts in zip(checks, jobs, strict=True):
            found += [told for part in parts for told in part.result()]
            say(f"{check}: {kernel}, {len(seeds)} seeds")
    return found


def summary(found: Iterable[Found]) -> dict[str, Any]:
    """What `verify --json` prints: per check, and in its rows per kernel and case.

    A row passes where four of five seeds do (of fewer seeds all). Values are medians over the
    seeds; a check's own value and bound are those of its row that came nearest to failing.
    """
    found = list(found)
    result: dict[str, Any] = {"passed": True, "seeds": len({told.seed for told in found})}
    for name in dict.fromkeys(told.check for told in found):
        rows = []
        for kernel, case in dict.fromkeys((f.kernel, f.case) for f in found if f.check == name):
            mine = [f for f in found if (f.check, f.kernel, f.case) == (name, kernel, case)]
            passed = sum(f.passed for f in mine)
            rows.append({
                "kernel": kernel,
                "case": case,
                "value": statistics.median(f.value for f in mine),
                "bound": mine[0].bound,
                "seeds_passed": passed,
                "passed": passed >= math.ceil(ENOUGH * len(mine)),
            })  # fmt: skip
        worst = min(rows, key=lambda row: row["seeds_passed"])
        keys = ("value", "bound", "seeds_passed")
        result[name] = {key: worst[key] for key in keys} | {
            "passed": all(row["passed"] for row in rows),
            "rows": rows,
        }
        result["passed"] &= result[name]["passed"]
    return result
