"""Algorithm 1 of the paper: alternating back-propagation.

    input    observations {(y_i, A_i)}, the model, the number l of Langevin steps
    output   weights W and latents {z_i}
    repeat   1. for each i: l steps of Langevin on z_i given y_i and W, from the current z_i
             2. one gradient step on W given all (y_i, z_i)

Both follow the gradient of one function, log p(y, z; W). Step 2 is a stochastic gradient of the
observed-data log-likelihood by Fisher's identity, d/dW log p(y; W) = E[d/dW log p(y, z; W) | y].
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.inference import Info, Kernel, chunks, infer
from abprop.latents import Latents
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import Operator


class Batch(NamedTuple):
    """Some examples: their ids (B,), observations (B, ...) and operator."""

    ids: Tensor
    y: Tensor
    A: Operator


class Step(NamedTuple):
    """What one iteration yields."""

    t: int
    loss: Tensor  # -log p(y, z; W), mean over the batch
    log_prior: Tensor  # log p(z), mean over the batch
    count: Tensor  # numbers measured in an example, mean over the batch
    info: Info
    ids: Tensor


def alternate(
    model: Model,
    latents: Latents,
    batches: Iterable[Batch],
    kernel: Kernel,
    optimizer: torch.optim.Optimizer,
    *,
    steps: int,
    noise: Noise,
    start: int = 0,
    chunk: int = 64,
) -> Iterator[Step]:
    """Learn `model` and `latents` in place, one yield for every batch.

    Logging, pictures, checkpoints and time are the caller's.

    Args:
        model: network, prior and likelihood.
        latents: the table of persistent chains.
        batches: one batch for each iteration.
        kernel: how the chains move.
        optimizer: of the network's weights.
        steps: l, transitions for each visit of an example.
        noise: the chains' stream.
        start: number of the first iteration, for resuming.
        chunk: examples in one pass.
    """
    for t, (ids, y, A) in enumerate(batches, start):
        # Inferential back-propagation: l Langevin steps on each z_i, from where it was left
        state, info = infer(
            model, y, A, latents[ids], kernel, steps=steps, noise=noise.at(ids, t), chunk=chunk
        )
        latents[ids] = state
        # Learning back-propagation: ascend the same log joint in W
        optimizer.zero_grad()
        loss = torch.stack([*_learn(model, y, state.z, A, chunk)]).sum()
        optimizer.step()
        # The prior's own step is closed-form, and wants draws from the posterior
        log_prior = model.prior.log_prob(state.z).mean()
        if kernel.samples:
            model.prior.update(state.z, rate=len(ids) / len(latents))
        yield Step(t, loss, log_prior, A.count.mean(), info, ids)


def _learn(model: Model, y: Tensor, z: Tensor, A: Operator, chunk: int) -> Iterator[Tensor]:
    """Accumulates the gradient of -mean log p over the batch, a chunk at a time."""
    for rows, n in chunks(len(y), chunk, y.device):
        rows = rows[:n]
        loss = -model.log_joint(y[rows], z[rows], A[rows]).sum() / len(y)
        loss.backward()
        yield loss.detach()
