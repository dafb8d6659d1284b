"""A flow that is learned with the network.

    u -> T(u) = n ~ N(0, I),   log q(u) = log N(T(u); 0, I) + log |dT / du|
    T = R_4 c_4 ... R_1 c_1,   c(a, b) = (a, b bent by curves that g(a) tells),   R rotations

Fisher's identity for the prior's own weights v: d/dv log p(y) = E[d/dv log p(z) | y]. So in each
iteration they take one step up log q at draws from the posteriors, as W does up the likelihood:
exact densities, exact draws, sums over rows. At first c is the identity, and the prior `gaussian`.

A few hundred examples are soon known by heart, so the weights decay (a Gaussian prior on them), the
more the more factors there are and the fewer examples: curves stay straight where these do not
insist. 20 factors that are N(0, I) lose 7 nats on unseen ones after 1,000 steps on 300 examples
without that measure (a decay of 1), and .2 with it. The step is Adam's with decoupled decay
(D. P. Kingma, J. Ba: Adam, ICLR 2015; I. Loshchilov, F. Hutter: Decoupled Weight Decay
Regularization, ICLR 2019).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.noise import Keyed, Noise
from abprop.priors.shaped.base import Shaped
from abprop.priors.shaped.splines import NUMBERS, bent, straightened
from abprop.whole import HERE, Whole

LAYERS, HIDDEN = 4, 16
RATE = 1e-3
DECAY = 500.0  # for each factor, over the number of examples
BETAS, TINY = (0.9, 0.99), 1e-8
BLOCK = 1024  # rows whose gradients are held at once
DRAWN = 64  # rows in one pass


class Flow(Shaped):
    """mu + L u with u of a flow; see the module.

    Args:
        shape: (d,).
        ridge: see `Gaussian`.

    Raises:
        UserError: see `Shaped`.
    """

    name: ClassVar[str] = "learned"
    weights: Tensor
    first: Tensor
    second: Tensor
    steps: Tensor
    turns: Tensor

    def __init__(self, shape: tuple[int, ...], ridge: float = 1e-3) -> None:
        super().__init__(shape, ridge)
        weights, turns = _begin(shape[0])
        self.register_buffer("weights", weights)
        self.register_buffer("first", torch.zeros_like(weights))
        self.register_buffer("second", torch.zeros_like(weights))
        self.register_buffer("steps", torch.zeros(()))
        self.register_buffer("turns", turns)

    @property
    def widens(self) -> bool:
        """No: of this law E[u'u] / d is not what is most likely."""
        return False

    @property
    def law(self) -> Couplings:
        """q with weights as now."""
        return Couplings(self.weights, self.turns)

    @torch.no_grad()
    def update(
        self, z: Tensor, rate: float, noise: Keyed | None = None, whole: Whole = HERE
    ) -> None:
        """One EM step on mean and covariance, and one step of the flow; see `Gaussian.update`."""
        super().update(z, rate, noise, whole)
        count, total = whole.sum(self._ascent, self.folded(z))
        grad, decay = -total / count, DECAY * len(self.mean) * rate / count
        self.steps += 1
        averages = []
        for average, value, beta in zip(
            (self.first, self.second), (grad, grad.square()), BETAS, strict=True
        ):
            average.lerp_(value, 1 - beta)
            averages.append(average / (1 - beta**self.steps))
        mean, square = averages
        self.weights.mul_(1 - (RATE * decay).clamp_max(1))
        self.weights.sub_(RATE * mean / (square.sqrt() + TINY))

    def _ascent(self, u: Tensor) -> tuple[Tensor, Tensor]:
        """How many rows, and the sum of the gradients of log q in the weights."""
        total, leaf = torch.zeros_like(self.weights), self.weights.detach().requires_grad_(True)
        for some in u.split(BLOCK):
            with torch.enable_grad():
                log_q = Couplings(leaf, self.turns).log_prob(some).sum()
            total += torch.autograd.grad(log_q, leaf)[0]
        return total.new_full((1,), len(u)), total


class Couplings:
    """The law of u for given weights.

    Args:
        weights: of all g, flat, see `_sizes`.
        turns: rotations (LAYERS, d, d).
    """

    def __init__(self, weights: Tensor, turns: Tensor) -> None:
        self.weights, self.turns, self.d = weights, turns, turns.shape[1]

    def whitened(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """T(z) (B, d) and log |dT / dz| (B,) of z (B, d)."""
        volume = z.new_zeros(len(z))
        for told, turn in self._layers():
            a, b = z.split(_halves(self.d), 1)
            b, slope = bent(b, _told(a, told, b.shape[1]))
            z, volume = torch.cat((a, b), 1) @ turn, volume + slope.sum(1)
        return z, volume

    def log_prob(self, z: Tensor) -> Tensor:
        """log q (B,) of z (B, d)."""
        n, volume = self.whitened(z)
        return volume - 0.5 * (n.square().sum(1) + self.d * math.log(2 * math.pi))

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log q (B,) and its gradient (B, d)."""
        with torch.enable_grad():
            leaf = z.detach().requires_grad_(True)
            log_q = self.log_prob(leaf)
            (grad,) = torch.autograd.grad(log_q.sum(), leaf)
        return log_q.detach(), grad

    def expected(self, count: int) -> Tensor:
        """0, about the mean, (count, d)."""
        return self.weights.new_zeros(count, self.d)

    @torch.no_grad()
    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, T^-1 of normals, (B, d)."""
        parts = noise.normal((self.d,)).to(self.weights).split(DRAWN)
        # Always as many rows, so that a draw's bits do not depend on its company.
        return torch.cat([self._made(F.pad(n, (0, 0, 0, DRAWN - len(n))))[: len(n)] for n in parts])

    def _made(self, n: Tensor) -> Tensor:
        """T^-1(n)."""
        for told, turn in reversed(list(self._layers())):
            a, b = (n @ turn.T).split(_halves(self.d), 1)
            n = torch.cat((a, straightened(b, _told(a, told, b.shape[1]))), 1)
        return n

    def _layers(self) -> Iterator[tuple[list[Tensor], Tensor]]:
        """Weights and biases of each g, and the rotation behind its curves."""
        sizes = _sizes(self.d)
        parts = self.weights.split([math.prod(size) for size in sizes] * LAYERS)
        shaped = [part.view(size) for part, size in zip(parts, sizes * LAYERS, strict=True)]
        for i, turn in enumerate(self.turns):
            yield shaped[i * len(sizes) : (i + 1) * len(sizes)], turn


def _halves(d: int) -> list[int]:
    return [d // 2, d - d // 2]


def _sizes(d: int) -> list[tuple[int, ...]]:
    """Of a g: (hidden, a), (hidden), (curves, hidden), (curves)."""
    a, b = _halves(d)
    return [(HIDDEN, a), (HIDDEN,), (b * NUMBERS, HIDDEN), (b * NUMBERS,)]


def _told(a: Tensor, told: list[Tensor], count: int) -> Tensor:
    """g(a): numbers of `count` curves, (B, count, NUMBERS)."""
    into, bias, out, level = told
    return F.linear(F.silu(F.linear(a, into, bias)), out, level).view(len(a), count, NUMBERS)


def _begin(d: int) -> tuple[Tensor, Tensor]:
    """Weights of no effect, which however see all of a, and rotations."""
    noise, ((_, a), *rest) = Noise(0, "flow").at(torch.arange(LAYERS)), _sizes(d)
    into = noise.normal((HIDDEN, max(1, a))).float()[:, :, :a] / math.sqrt(max(1, a))
    none = torch.zeros(sum(math.prod(size) for size in rest))
    turns = torch.linalg.qr(noise.of("turns").normal((d, d))).Q.float()
    return torch.cat([torch.cat((v.flatten(), none)) for v in into]), turns
