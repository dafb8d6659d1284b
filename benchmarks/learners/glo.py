"""Generative latent optimisation (Bojanowski, Joulin, Lopez-Paz, Szlam, ICML 2018).

    min over W and z_i of  sum_i |y_i - A_i f(z_i; W)|^2,   |z_i| <= r

The latents are free parameters, put back into a ball after each step; there is no posterior and no
noise. As in the paper they begin at principal component scores, and pictures are sampled from a
normal law fitted to them (model.prior=gaussian, at the end). Otherwise than there: the radius is
sqrt(d) instead of 1, to suit a network that is drawn for latents of about N(0, I) (a factor on its
first layer); the loss is the squared error by which all are judged instead of a Laplacian pyramid;
and both optimisers are Adam's, that of the latents with moments for each row.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from abprop.learning.parts import make_optimizer
from abprop.likelihoods import summed
from abprop.networks import Generator
from abprop.run.fitting import Session
from learners.harness import BLOCK, Found, Limit, timed

SETS = ("model.prior=gaussian", "infer.start=pca", "infer.kernel=gradient")
RATIO = 10.0  # learning rate of z over that of W, as in the paper
STEPS, RATE = 300, 0.3  # at test: those of the library's own solver


def radius(z: Tensor) -> float:
    """r, for latents (M, d)."""
    return math.sqrt(z.shape[1])


@torch.no_grad()
def project(z: Tensor, rows: Tensor | None = None) -> None:
    """Put latents z (M, d), or some of them, back into the ball, in place."""
    some = z if rows is None else z[rows]
    inside = some * (radius(z) / some.norm(dim=1, keepdim=True)).clamp_max(1)
    z.copy_(inside) if rows is None else z.index_copy_(0, rows, inside)


def learn(session: Session, limit: Limit) -> Found:
    """Descend the squared error in W and in the latents of each batch."""
    learning = session.learning
    network, settings = learning.model.network, learning.settings
    z, ids = learning.latents.z.clone(), learning.train.ids
    table = nn.Embedding.from_pretrained(z, freeze=False, sparse=True)
    project(table.weight.data)
    optimizer = make_optimizer(settings, learning.model)
    free, done = torch.optim.SparseAdam(table.parameters(), betas=(0.9, 0.99)), 0

    rate = settings.train.learning_rate
    for t, batch in enumerate(timed(session, limit, {optimizer: rate, free: RATIO * rate})):
        rows = torch.searchsorted(ids, batch.ids.cpu()).to(z.device)
        error = summed((batch.y - batch.A(network(table(rows)))).square())
        optimizer.zero_grad()
        free.zero_grad()
        (error / batch.A.count.clamp_min(1)).mean().backward()
        optimizer.step()
        free.step()
        project(table.weight.data, rows)
        done = t + 1
    latents = table.weight.data
    return Found(latents, done, lambda y: descended(network, y, latents.mean(0)))


def descended(network: Generator, y: Tensor, start: Tensor) -> Tensor:
    """Its own inference: f at the latents in the ball where gradient descent from `start` ends."""
    found = []
    for some in y.split(BLOCK):
        z = start.repeat(len(some), 1).requires_grad_()
        optimizer = torch.optim.Adam([z], betas=(0.9, 0.99))
        for k in range(STEPS):
            optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + math.cos(math.pi * k / STEPS))
            (z.grad,) = torch.autograd.grad((some - network(z)).square().sum(), z)
            optimizer.step()
            project(z.data)
        with torch.no_grad():
            found.append(network(z))
    return torch.cat(found)
