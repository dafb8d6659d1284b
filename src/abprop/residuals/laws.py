"""Laws of residuals: how some are measured, and the hidden ones given those observed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from abprop.operators import Mask, Operator
from abprop.residuals.neighbours import Field, field
from abprop.residuals.stationary import Stationary
from abprop.residuals.whitening import Whitened


class Law(Protocol):
    """p(e) of some signals: how it is measured, and its hidden part given the observed one.

    Attributes:
        A: under it, observed entries are white with standard deviation `sigma`.
    """

    @property
    def A(self) -> Operator: ...
    @property
    def sigma(self) -> float: ...
    def fill(self, residual: Tensor, normal: Tensor) -> Tensor: ...


class Independent:
    """Nothing can be told from the neighbours."""

    def __init__(self, sigma: float, hidden: Tensor) -> None:
        self.A: Operator = Mask(hidden)
        self.sigma = sigma

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """Hidden residuals (B, K, C, *size) of K chains: noise alone."""
        return self.sigma * normal


class Correlated:
    """The neighbours tell: see `Field`."""

    sigma = 1.0

    def __init__(self, turn: Tensor, fields: list[Field]) -> None:
        self.A: Operator = Whitened(turn, fields)
        self.turn, self.fields = turn, fields

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """Residuals of K chains, the hidden ones drawn given the observed ones.

        Args:
            residual: y - f(z), (B, K, C, *size); anything where hidden.
            normal: standard normals of that shape; zeros give the conditional mean.
        """
        turned = torch.einsum("ab,nka...->nkb...", self.turn, residual)
        drawn = [_drawn(*parts) for parts in zip(self.fields, turned, normal, strict=True)]
        return torch.einsum("ab,nkb...->nka...", self.turn, torch.stack(drawn))


def _drawn(field: Field, residual: Tensor, normal: Tensor) -> Tensor:
    e = residual.flatten(1).T.contiguous()  # (D, K): a wave is some of the rows
    noise = normal.flatten(1).T
    for now in field.waves:
        mean = (field.weight[now][..., None] * e[field.near[now]]).sum(1)
        e[now] = mean + field.deviation[now][:, None] * noise[now]
    return e.T.reshape(residual.shape)


# Where laws come from -------------------------------------------------------------------------


@dataclass(frozen=True)
class Covariance(Stationary):
    """Correlated residuals: a stationary covariance of signals of C channels."""

    def on(self, hidden: Tensor) -> Correlated:
        """The law of residuals of which some are hidden, bool (B, C, *size), where that is."""
        here = self.to("cpu")  # neighbours are searched for on the processor
        fields = [field(here, mask).to(hidden.device) for mask in hidden.cpu()]
        return Correlated(self.turn.to(hidden.device), fields)


@dataclass(frozen=True)
class White:
    """The paper's residual: independent, of one standard deviation."""

    sigma: float

    def on(self, hidden: Tensor) -> Independent:
        """The law of residuals of which some are hidden, bool (B, C, *size)."""
        return Independent(self.sigma, hidden)


Residual = White | Covariance
