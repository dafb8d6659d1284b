"""Learning: the likelihood that a linear generator reaches against the optimum of PPCA."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from abprop.alternate import Batch, alternate
from abprop.inference import Kernel, State
from abprop.latents import Latents
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import observe
from abprop.priors import StandardNormal
from abprop.verify.base import Found, Size, normals

NATS = 0.01
LEARNING_STEPS = 5


def likelihood_check(
    name: str, seed: int, size: Size, make: Callable[[], Kernel]
) -> Iterator[Found]:
    """The likelihood of a learned linear generator below PPCA's optimum, nats per dimension."""
    from sklearn.decomposition import PCA

    d, D, n = 3, 10, 1500
    source = Noise(seed, "ppca")
    W = normals(source, D, d, 0) * torch.linspace(1.5, 0.7, d)
    y = normals(source, n, d, 1) @ W.T + 0.5 * normals(source, n, D, 2) + normals(source, 1, D, 3)
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
