"""The likelihood by annealed importance sampling against the exact one of a linear generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from abprop.inference import Kernel
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Operator, observe
from abprop.priors import StandardNormal
from abprop.tasks import Annealing, log_likelihood, sandwich
from abprop.verify.base import Found, Size, normals

NATS_OFF = 0.1  # of the mean over the examples
SIGMA = 0.5
# Where chains begin: temperatures, chains of each example and latent factors. From the prior it is
# far, and farther the more factors there are.
ANNEALED = {"near": (30, 16, 20), "prior": (400, 24, 3)}


def annealing_checks(
    name: str, seed: int, size: Size, make: Callable[[], Kernel]
) -> Iterator[Found]:
    """From near and from the prior, complete and half hidden; and from above.

    Args:
        name, make: not asked: the chains are HMC's, whatever samples elsewhere.
        seed: of the problem and the chains.
        size: how many examples.
    """
    for course, (steps, chains, d) in ANNEALED.items():
        for hide in (False, True):
            case = f"{course}, half hidden" if hide else course
            how = Annealing(course, steps, chains, seed, chunk=128)
            model, y, A = _linear(d, hide, seed, size.annealed)
            ids = torch.arange(len(y))
            found = log_likelihood(model, y, A, ids, how).found
            off = abs(found.mean - exact(model, y, A).mean().item())
            yield Found("ais_error", name, seed, case, off, NATS_OFF, off <= NATS_OFF)
            below, above = (told.found for told in sandwich(model, A, ids, how))
            gap = abs(above.mean - below.mean)
            yield Found("ais_gap", name, seed, case, gap, NATS_OFF, gap <= NATS_OFF)


def _linear(d: int, hide: bool, seed: int, examples: int) -> tuple[Model, Tensor, Operator]:
    """A linear model with loadings of falling size, and signals of it."""
    source, D = Noise(seed, "annealed"), 6 * d
    W = normals(source, D, d, 0) * torch.linspace(1.5, 0.5, d)
    f = LinearGenerator((d,), (D,))
    f.weight.data = W.float()
    z, e = normals(source, examples, d, 1), normals(source, examples, D, 2)
    hidden = normals(source, examples, D, 3) < 0 if hide else None
    y, A = observe((z @ W.T + SIGMA * e).float(), hidden)
    return Model(f, StandardNormal((d,)), Gaussian(SIGMA)).requires_grad_(False), y, A


def exact(model: Model, y: Tensor, A: Operator) -> Tensor:
    """log N(y; b, W W^T + sigma^2 I) of what masks show of signals of a linear model, (B,)."""
    f = model.network
    assert isinstance(f, LinearGenerator)
    W, rest = f.weight.double(), y.double() - f.bias.double()
    shown = A(torch.ones_like(y)) != 0
    sigma, found = model.likelihood.sigma.double(), []
    for row, seen in zip(rest, shown, strict=True):
        covariance = W[seen] @ W[seen].T + sigma**2 * torch.eye(int(seen.sum())).double()
        zero = torch.zeros_like(row[seen])
        found.append(torch.distributions.MultivariateNormal(zero, covariance).log_prob(row[seen]))
    return torch.stack(found)
