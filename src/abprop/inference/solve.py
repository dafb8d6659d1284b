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
    steps: int = 300,
    rate: float = 0.3,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """The mode of p(z | y; W) for signals never seen in training, by Adam from the prior's mean.

    Sixty plain gradient steps from a random z are far from converged; Adam with a rate that decays
    to zero is (Kingma and Ba, Adam, ICLR 2015; its averages are elementwise, so examples do not
    touch each other).

    Args:
        model, y, A, chunk: as for `infer`.
        steps: number of passes.
        rate: first step length, in prior standard deviations.

    Returns:
        z (B, *latent_shape) and log p(y, z; W) (B,) there.
    """
    parts = []
    for rows, n in chunks(len(y), chunk, y.device):
        score = model.score(y[rows], A[rows])
        z = model.mean_latent(len(rows)).to(y.device)
        z = _adam(score, z, steps, rate * model.prior.spread)
        parts.append((z[:n], score(z)[0][:n]))
    z, log_p = (torch.cat(values) for values in zip(*parts, strict=True))
    return z, log_p


def _adam(score: Score, z: Tensor, steps: int, rate: Tensor) -> Tensor:
    mean, square = torch.zeros_like(z), torch.zeros_like(z)
    for k in range(steps):
        _, grad = score(z)
        mean, square = 0.9 * mean + 0.1 * grad, 0.99 * square + 0.01 * grad**2
        length = rate * 0.5 * (1 + math.cos(math.pi * k / steps))
        z = z + length * (mean / (1 - 0.9 ** (k + 1))) / (
            torch.sqrt(square / (1 - 0.99 ** (k + 1))) + 1e-8
        )
    return z
