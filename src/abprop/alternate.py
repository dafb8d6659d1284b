"""Algorithm 1 of the paper: alternating back-propagation.

    input    observations {(y_i, A_i)}, the model, the number l of Langevin steps
    output   weights W and latents {z_i}
    repeat   1. for each i: l steps of Langevin on z_i given y_i and W, from the current z_i
             2. one gradient step on W given all (y_i, z_i)

Both follow the gradient of one function, log p(y, z; W). Step 2 is a stochastic gradient of the
observed-data log-likelihood by Fisher's identity, d/dW log p(y; W) = E[d/dW log p(y, z; W) | y].
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.inference import Info, Kernel, due, infer
from abprop.latents import Latents
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import Operator
from abprop.weights import Learned, ascend
from abprop.whole import HERE, Whole


class Batch(NamedTuple):
    """Some examples: their ids (B,), observations (B, ...), operator, and what they are part of."""

    ids: Tensor
    y: Tensor
    A: Operator
    whole: Whole = HERE

    def pinned(self) -> Batch:
        """With y where a GPU can fetch it itself."""
        return self if self.y.is_cuda else self._replace(y=self.y.pin_memory())

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device; nothing waits there for a y that is pinned."""
        y = self.y.to(device, non_blocking=self.y.is_pinned())
        return Batch(self.ids.to(device), y, self.A.to(device), self.whole)

    def spread(self, chains: int) -> tuple[Tensor, Tensor, Operator, Tensor]:
        """ids, y and A with a row for each chain, those of one example in a row; and its number."""
        rows = torch.arange(len(self.ids), device=self.ids.device).repeat_interleave(chains)
        number = torch.arange(chains, device=rows.device).repeat(len(self.ids))
        if chains == 1:
            return self.ids, self.y, self.A, number
        return self.ids[rows], self.y[rows], self.A[rows], number


class Step(NamedTuple):
    """What one iteration yields."""

    t: int
    info: Info
    ids: Tensor  # of the chains that `info` tells of, (B K,)
    whole: Whole  # the batch of which these are here
    rate: float  # what part of all examples the batch is
    learned: Learned

    @property
    def loss(self) -> Tensor:
        """-log p(y, z; W), mean over the batch."""
        return self.learned.loss

    @property
    def residual(self) -> Tensor:
        """Mean squared residual of the numbers measured, before W moved."""
        return self.learned.residual

    def gathered(self) -> Step:
        """With what `info` tells of the chains of the whole batch, but for looks."""
        kept = {name: v for name, v in self.info._asdict().items() if name != "bent"}
        told = {name: self.whole.gather(v) for name, v in kept.items()}
        sound = None if self.learned.sound is None else self.whole.gather(self.learned.sound)
        return self._replace(
            info=self.info._replace(**told),
            ids=self.whole.gather(self.ids),
            learned=self.learned._replace(sound=sound),
        )


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
    also: Callable[[int], Tensor] | None = None,
) -> Iterator[Step]:
    """Learn `model` and `latents` in place, one yield for every batch.

    Logging, pictures, checkpoints and time are the caller's.

    Args:
        model: network, prior and likelihood.
        latents: the table of persistent chains; learning averages over those of an example.
        batches: one batch for each iteration.
        kernel: how the chains move.
        optimizer: of the network's weights.
        steps: l, transitions for each visit of an example.
        noise: the chains' stream.
        start: number of the first iteration, for resuming.
        chunk: chains in one pass.
        also: a further loss on W, of the iteration; none in the paper.
    """
    for t, batch in enumerate(batches, start):
        # Inferential back-propagation: l Langevin steps on each z_i, from where it was left
        ids, y, A, chain = batch.spread(latents.chains)
        state = latents[batch.ids]
        state, info = infer(
            model, y, A, state, kernel, steps=steps, noise=noise.at(ids, chain=chain),
            metric=latents.metric, look=due(t, steps), chunk=chunk,
        )  # fmt: skip
        latents[batch.ids] = state
        latents.metric.update(batch.whole.gather(info.bent))
        # Learning back-propagation: ascend the same log joint in W
        learned = ascend(model, batch.whole, y, state.z, A, chunk)
        if also is not None:
            also(t).backward()
        optimizer.step()
        # The prior's own step is closed-form, and wants draws from the posterior
        rate = batch.whole.share(len(batch.ids), len(latents))
        if kernel.samples:
            keyed = noise.at(ids, state.age, chain).of("prior")
            model.prior.update(state.z, rate, keyed, batch.whole)
        yield Step(t, info, ids, batch.whole, rate, learned)
