"""The generator model: a network, a prior and a likelihood.

    z ~ p(z),   x = f(z; W),   y = A(x) + sigma * noise
    log p(y, z; W) = log p(y | A(f(z; W)), sigma) + log p(z)

Summed within an example: shape (B,). Both halves of the algorithm differentiate this one function,
in z and in W.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from abprop.likelihoods import Gaussian, Likelihood, summed
from abprop.networks import Generator
from abprop.operators import Operator
from abprop.priors import Prior

Score = Callable[[Tensor], tuple[Tensor, Tensor]]


class Joint(NamedTuple):
    """log p(y, z; W) of each example and the squared residual |y - A(f(z))|^2 in it, both (B,)."""

    log_p: Tensor
    square: Tensor


class Model(nn.Module):
    """log p(y, z; W) and its gradients.

    Args:
        network: f, with `freeze()` for inference (see `networks`).
        prior: p(z), with `score` and `transform` (see `priors`).
        likelihood: p(y | A(x)) (see `likelihoods`).
    """

    network: Generator
    prior: Prior
    likelihood: Likelihood

    def __init__(self, network: Generator, prior: Prior, likelihood: Likelihood) -> None:
        super().__init__()
        self.network, self.prior, self.likelihood = network, prior, likelihood

    def log_joint(self, y: Tensor, z: Tensor, A: Operator) -> Tensor:
        """log p(y, z; W), (B,), differentiable in z and in W.

        Args:
            y: observations (B, ...).
            z: latents (B, *latent_shape).
            A: what was measured, for these B examples.
        """
        return self.joint(y, z, A).log_p

    def joint(self, y: Tensor, z: Tensor, A: Operator) -> Joint:
        """The same, with the residual beside it."""
        x = A(self.network(z))
        log_p = self.likelihood.log_prob(y, x, A.count) + self.prior.log_prob(z)
        return Joint(log_p, summed((y - x.detach()).square()))

    def score(self, y: Tensor, A: Operator) -> Score:
        """z -> (log p(y, z; W) (B,), its gradient in z (B, *latent_shape)) for weights as now.

        The chain rule written out: no graph and no gradient for W (compare `log_joint`).
        """
        f = self.network.freeze()

        def score(z: Tensor) -> tuple[Tensor, Tensor]:
            x, pullback = f(z)
            Ax, adjoint = A.vjp(x)
            log_lik, dx = self.likelihood.score(y, Ax, A.count)
            log_prior, dz = self.prior.score(z)
            return log_lik + log_prior, pullback(adjoint(dx)) + dz

        return score

    def precise(self) -> Model:
        """The same model, f computed in float32 at least: where log p must be right to below 1."""
        return Model(self.network.precise(), self.prior, self.likelihood)

    def as_drawn(self) -> Model:
        """The same model with the density of its draws; inference may take a plainer one."""
        return Model(self.network, self.prior.as_drawn(), self.likelihood)

    def answering(self, spread: float, width: float = 1.0) -> Model:
        """The same network as it answers: a copy.

        Args:
            spread: what sigma^2 is, of a likelihood that learns it.
            width: how wide the prior is, of one that may be wider; see `priors.normal`.
        """
        likelihood = copy.deepcopy(self.likelihood)
        likelihood.update(spread)
        return Model(self.network, self.prior.widened(width), likelihood)

    def at_sigma(self, sigma: float) -> Model:
        """The same network and prior, observed with another noise."""
        likelihood = Gaussian(sigma, floor=0.0).to(self.likelihood.sigma.device)
        return Model(self.network, self.prior, likelihood)

    def mean_latent(self, count: int, grid: tuple[int, ...] | None = None) -> Tensor:
        """The prior's mean, `count` times: (count, *latent_shape), or maps of other lengths."""
        return self.prior.expected(count, grid).to(self.likelihood.sigma)

    def folded(self) -> Model:
        """The same model with as much of the prior moved into f as f can take.

        Latents of the folded model are `fold_latents(z)`; of a vector they are N(0, I).
        """
        model = copy.deepcopy(self)
        model.prior = model.prior.fold(model.network)
        return model

    def fold_latents(self, z: Tensor) -> Tensor:
        """z of this model -> z' of `folded()`, (N, *latent_shape)."""
        return self.prior.folded(z)
