"""A variational auto-encoder (Kingma and Welling 2014; Rezende, Mohamed, Wierstra 2014).

    q(z | y) = N(m(y), diag(s(y)^2)),   z = m + s e,   e ~ N(0, I)
    ELBO = log p(y | f(z; W), sigma) - KL(q || N(0, I)),  KL = sum(m^2 + s^2 - 1 - log s^2) / 2

Beta is 1, and sigma is learned with the weights (Rybkin, Daniilidis, Levine, Simple and Effective
VAE Training with Calibrated Decoders, 2021). The encoder is the decoder mirrored: the same widths,
kernels and strides, a dense layer at its end. Where entries are missing it is given zeros in their
place and the likelihood is of what was observed (Nazabal et al., Handling Incomplete Heterogeneous
Data using VAEs, 2020).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abprop.learning.parts import decaying, make_optimizer
from abprop.likelihoods import summed
from abprop.networks import ConvGenerator, Generator
from abprop.networks.stages import SLOPE
from abprop.noise import Noise
from abprop.operators import Operator
from abprop.run.fitting import Session
from learners.harness import BLOCK, Found, Limit, in_blocks, timed

SETS = ("model.prior=standard", "model.sigma=learned", "infer.start=prior")
CLAMP = -8.0, 2.0  # of log s


class Law(NamedTuple):
    """q(z | y) of some pictures: means and logarithms of deviations, both (B, d)."""

    mean: Tensor
    log_s: Tensor

    def draw(self, normal: Tensor) -> Tensor:
        """z = m + s e for standard normals e (B, d)."""
        return self.mean + self.log_s.exp() * normal

    def divergence(self) -> Tensor:
        """KL(q || N(0, I)) in nats, (B,)."""
        squares = self.mean.square() + (2 * self.log_s).exp()
        return 0.5 * (squares - 1 - 2 * self.log_s).sum(1)


class Encoder(nn.Module):
    """The generator mirrored: pictures (B, C, H, W) -> the law of their latents.

    Args:
        network: the decoder; widths, kernels and precision are its own.
        noise: that the weights are drawn with.
    """

    def __init__(self, network: ConvGenerator, noise: Noise) -> None:
        super().__init__()
        draws = iter(range(1000))

        def normal(*shape: int) -> Tensor:
            return noise.at(torch.zeros(1), next(draws)).normal(shape)[0].float()

        gain = 2 / (1 + SLOPE**2)
        shapes = [tuple(w.shape) for w in reversed(list(network.weights))]
        self.weights = nn.ParameterList(
            normal(*s) * math.sqrt(gain / math.prod(s[1:])) for s in shapes
        )
        self.biases = nn.ParameterList(torch.zeros(s[0]) for s in shapes)
        cells, (d,) = len(network.dense), network.latent_shape
        self.dense = nn.Parameter(normal(2 * d, cells) / math.sqrt(cells))
        self.dense_bias = nn.Parameter(torch.cat((torch.zeros(d), torch.full((d,), -1.0))))
        self.dtype, doublings = network.dtype, 2 ** len(shapes)
        self.canvas = tuple(n * doublings for n in network.fixed)

    def forward(self, y: Tensor) -> Law:
        """q(z | y)."""
        h = self._padded(y).to(self.dtype)
        for w, b in zip(self.weights, self.biases, strict=True):
            h = F.leaky_relu(F.conv2d(h, w.to(h.dtype), b.to(h.dtype), stride=2, padding=1), SLOPE)
        mean, log_s = F.linear(h.flatten(1).float(), self.dense, self.dense_bias).chunk(2, 1)
        return Law(mean, log_s.clamp(*CLAMP))

    def _padded(self, y: Tensor) -> Tensor:
        """In the middle of the decoder's canvas."""
        pads = []
        for n, length in zip(reversed(self.canvas), reversed(y.shape[2:]), strict=True):
            first = (n - length) // 2
            pads += [first, n - length - first]
        return F.pad(y, pads)


def elbo(network: Generator, law: Law, y: Tensor, A: Operator, sigma: Tensor, e: Tensor) -> Tensor:
    """Of each example, one draw: an unbiased estimate in nats, (B,).

    Args:
        network: f.
        law: q(z | y).
        y, A: what was observed, (B, ...), 0 where nothing was.
        sigma: of the noise, ().
        e: standard normals (B, d).
    """
    squares = summed((y - A(network(law.draw(e)))).square())
    log_p = -squares / (2 * sigma**2) - 0.5 * A.count * torch.log(2 * math.pi * sigma**2)
    return log_p - law.divergence()


def learn(session: Session, limit: Limit) -> Found:
    """Ascend the ELBO in W, the encoder's weights and log sigma, by the recipe's AdamW."""
    learning = session.learning
    network, settings = learning.model.network, learning.settings
    assert isinstance(network, ConvGenerator) and len(network.fixed) == 2
    encoder = Encoder(network, Noise(settings.seed, "encoder")).to(learning.device)
    log_sigma = nn.Parameter(learning.model.likelihood.sigma.log())
    optimizer = make_optimizer(settings, learning.model)
    others = [*encoder.parameters(), log_sigma]
    for group in decaying(others, settings.train.weight_decay):
        optimizer.add_param_group(group)
    noise, done = Noise(settings.seed, "vae"), 0
    rates = {optimizer: settings.train.learning_rate}
    for t, batch in enumerate(timed(session, limit, rates, others)):
        e = noise.at(batch.ids, t).normal(network.latent_shape).float()
        told = elbo(network, encoder(batch.y), batch.y, batch.A, log_sigma.exp(), e)
        optimizer.zero_grad()
        (-told.mean()).backward()
        optimizer.step()
        done = t + 1
    learning.model.likelihood.sigma.copy_(log_sigma.detach().exp())
    e = Noise(settings.seed, "vae-draws")
    z = in_blocks(
        session,
        lambda batch: encoder(batch.y).draw(e.at(batch.ids).normal(network.latent_shape).float()),
    )
    return Found(z, done, lambda y: _through(encoder, network, y))


@torch.no_grad()
def _through(encoder: Encoder, network: Generator, y: Tensor) -> Tensor:
    """Its own inference: f at the encoder's mean."""
    return torch.cat([network(encoder(some).mean) for some in y.split(BLOCK)])
