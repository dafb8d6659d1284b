"""Probabilistic principal component analysis (Tipping and Bishop 1999), a linear f.

    x = W z + mean + sigma e,   z ~ N(0, I):  maximum likelihood in closed form

Where entries are missing, by variational expectation maximisation (`abprop.principal`). It is no
matter of minutes: it takes what it takes, and that is told.
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop import principal
from abprop.alternate import Batch
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Mask
from abprop.run.fitting import Session
from learners.harness import Found, Limit, in_blocks

SETS = (
    "model.network=linear", "model.prior=standard", "model.sigma=learned", "infer.start=prior",
    "train.average=0",
)  # fmt: skip


def learn(session: Session, limit: Limit) -> Found:
    """Fit to all examples, copies included."""
    learning = session.learning
    network, (d,) = learning.model.network, learning.model.network.latent_shape
    assert isinstance(network, LinearGenerator)
    x, observed = _seen(session)
    fitted = principal.fit(x, observed, d)
    network.weight.data.copy_(fitted.W)
    network.bias.data.copy_(fitted.mean)
    learning.model.likelihood.sigma.fill_(fitted.sigma)
    z = torch.cat([_drawn(fitted, *some) for some in _blocks(x, observed)])
    normal = Noise(learning.settings.seed, "ppca").at(learning.train.ids).normal((d, 1)).to(z)
    z = z[:, :, 0] + (z[:, :, 1:] @ normal)[:, :, 0]
    shape = learning.train.signal_shape
    return Found(z, 1, lambda y: fitted.reconstruct(y.flatten(1)).reshape(-1, *shape))


def _seen(session: Session) -> tuple[Tensor, Tensor | None]:
    """All examples (M, D), and which entries were observed, bool (M, G); see `principal.fit`."""
    x = in_blocks(session, lambda batch: batch.y.flatten(1))
    some = session.learning.train.A[torch.arange(1)]
    return x, in_blocks(session, _observed) if isinstance(some, Mask) else None


def _observed(batch: Batch) -> Tensor:
    """Places where something was observed: rules hide them in all channels."""
    assert isinstance(batch.A, Mask)
    return ~batch.A.hidden[:, 0].flatten(1)


def _blocks(
    x: Tensor, observed: Tensor | None, length: int = 512
) -> list[tuple[Tensor, Tensor | None]]:
    rows = torch.arange(len(x)).split(length)
    return [(x[some], None if observed is None else observed[some]) for some in rows]


def _drawn(fitted: principal.PPCA, x: Tensor, observed: Tensor | None) -> Tensor:
    """Mean and root of the covariance of each posterior, side by side, (B, d, 1 + d)."""
    mean, covariance = fitted.posterior(x, observed)
    return torch.cat((mean[:, :, None], torch.linalg.cholesky(covariance)), 2)
