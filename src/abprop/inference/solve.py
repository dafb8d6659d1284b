"""The most probable latents of signals that were never seen in training."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from abprop.inference.chunks import chunks
from abprop.model import Model, Score
from abprop.operators import Operator


def solve(
    model: Model,
    y: Tensor,
    A: Operator,
    *,
    start: Tensor | None = None,
    steps: int = 300,
    rate: float = 0.3,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """The mode of p(z | y; W) for signals never seen in training, by Adam.

    Sixty plain gradient steps from a random z are far from converged; Adam with a rate that decays
    to zero is (Kingma and Ba, Adam, ICLR 2015; its averages are elementwise, so examples do not
    touch each other).

    Args:
        model, y, A, chunk: as for `infer`.
        start: latents (B, *latent_shape) to start from; the prior's mean if None.
        steps: number of passes.
        rate: first step length, in prior standard deviations.

    Returns:
        z (B, *latent_shape) and log p(y, z; W) (B,) there.
    """
    parts = []
    for rows, n in chunks(len(y), chunk, y.device):
        score = model.score(y[rows], A[rows])
        z = model.mean_latent(len(rows)) if start is None else start[rows]
        z = _adam(score, z, steps, rate, model.prior.spread)
        parts.append((z[:n], score(z)[0][:n]))
    z, log_p = (torch.cat(values) for values in zip(*parts, strict=True))
    return z, log_p


def _adam(score: Score, z: Tensor, steps: int, rate: float, spread: Tensor) -> Tensor:
    """Adam in units of the prior's spread, z = spread u, so that one rate suits every channel."""
    u = (z / spread).detach()
    optimizer = torch.optim.Adam([u], betas=(0.9, 0.99), eps=1e-8)
    for k in range(steps):
        _, grad = score(spread * u)
        u.grad = -spread * grad
        optimizer.param_groups[0]["lr"] = rate * 0.5 * (1 + math.cos(math.pi * k / steps))
        optimizer.step()
    return spread * u


@torch.no_grad()
def nearest(model: Model, y: Tensor, A: Operator, z: Tensor, *, chunk: int = 64) -> Tensor:
    """Where to start: for each signal the prior's mean or one of some latents, whichever is better.

    Of the latents the one whose signal measures most like y; it is taken where log p(y, z; W) is
    larger there than at the mean. With few factors the posterior has several modes, and the mean
    leads to a worse one than a training example that looks alike.

    Args:
        model, y, A, chunk: as for `infer`.
        z: latents to choose from, (M, *latent_shape); each is compared with each y.

    Returns:
        latents (B, *latent_shape).
    """
    x = torch.cat([model.network(z[rows])[:n] for rows, n in chunks(len(z), chunk, z.device)])
    best = torch.empty(len(y), dtype=torch.int64, device=x.device)
    # One large piece of memory for all: small ones kept between freed large ones leave holes.
    apart = torch.empty(len(x), *y.shape[1:], dtype=x.dtype, device=x.device)
    for i in range(len(y)):
        seen = A[torch.full((len(x),), i, device=x.device)](x)
        torch.sub(seen, y[i], out=apart)
        best[i] = apart.square_().flatten(1).sum(1).argmin()
    found, mean = z[best], model.mean_latent(len(y))
    chosen = []
    for rows, n in chunks(len(y), chunk, y.device):
        score = model.score(y[rows], A[rows])
        closer = score(found[rows])[0] > score(mean[rows])[0]
        wide = closer.reshape(-1, *(1,) * (z.ndim - 1))
        chosen.append(torch.where(wide, found[rows], mean[rows])[:n])
    return torch.cat(chosen)
