"""Chains on a linear generator, whose posteriors are known exactly: their mean and covariance."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.inference import Kernel
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Operator, observe
from abprop.priors import StandardNormal
from abprop.verify.base import P_VALUE, Found, Plan, Size, draws, normals, survival

SPECTRA = ("equal", "power", "stiff")
EXACT, BIASED = 0.02, 0.10  # relative errors of a variance: adjusted kernels, unadjusted ones
NEAR = 0.04  # of plain Langevin to the bias that its step size must have

# As many of 1,024 chains as the bounds need: worth 15,000 (Langevin) to 80,000 independent draws.
PLANS = {
    "langevin": Plan(5, 40, 50),
    "leimkuhler": Plan(2, 25, 30),
    "mala": Plan(5, 20, 120),
    "hmc": Plan(1, 20, 170),
}
SAMPLERS = tuple(PLANS)


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
    U, V = (torch.linalg.qr(normals(source, n, d, i))[0] for i, n in enumerate((D, d)))
    values = {
        "equal": torch.full((d,), 30.0),
        "power": 1000.0 / torch.arange(1, d + 1),
        "stiff": torch.cat((torch.tensor([1000.0]), torch.full((d - 1,), 3.0))),
    }[spectrum].double()
    f = LinearGenerator((d,), (D,))
    f.weight.data = (U @ torch.diag(values.sqrt()) @ V.T).float()
    model = Model(f, StandardNormal((d,)), Gaussian(1.0)).requires_grad_(False)
    W = f.weight.double()
    hidden = normals(source, E, D, 2) < 0 if hide else torch.zeros(E, D, dtype=torch.bool)
    shown = (~hidden).double()
    y = normals(source, E, d, 3) @ W.T + normals(source, E, D, 4)
    precision = torch.eye(d).double() + torch.einsum("dj,ed,dk->ejk", W, shown, W)
    told = (y * shown) @ W
    mean = torch.linalg.solve(precision, told[..., None])[..., 0]
    clean, A = observe(y.float(), hidden if hide else None)
    return Linear(model, clean, A, mean, precision)


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
    p = survival(C * along.sum().item(), E * d)
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
