"""Laws of residuals: how some are measured, and signals given what was observed of them."""

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
    """p(e) of some signals: how it is measured, and signals given what was observed of them.

    Attributes:
        A: of signals; under it, what was observed is white with standard deviation `sigma`.
    """

    @property
    def A(self) -> Operator: ...
    @property
    def sigma(self) -> float: ...
    def seen(self, y: Tensor) -> Tensor:
        """What A gives of the signals of which y was observed."""
        ...

    def normals(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the noise that `complete` takes for a signal of such a shape."""
        ...

    def complete(self, x: Tensor, y: Tensor, normal: Tensor) -> Tensor:
        """Signals drawn given what was observed of them.

        Args:
            x: f(z) of K chains, (B, K, C, *size).
            y: what was observed, (B, ...).
            normal: standard normals (B, K, *normals).
        """
        ...

    def expected(self, x: Tensor, y: Tensor) -> Tensor:
        """The mean of what `complete` draws."""
        ...


class Parts:
    """What laws share under which some entries were observed as they are."""

    def __init__(self, A: Operator, hidden: Tensor) -> None:
        self.A, self.hidden = A, hidden

    def seen(self, y: Tensor) -> Tensor:
        """See `Law`."""
        return self.A(y)

    def normals(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """See `Law`."""
        return shape

    def complete(self, x: Tensor, y: Tensor, normal: Tensor) -> Tensor:
        """See `Law`; what was observed stays as it is."""
        y = y[:, None]
        return torch.where(self.hidden[:, None], x + self.fill(y - x, normal), y)

    def expected(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Law`."""
        return self.complete(x, y, torch.zeros_like(x))

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """Residuals (B, K, C, *size) of K chains, the hidden ones drawn given the others.

        Args:
            residual: y - f(z); anything where hidden.
            normal: standard normals of that shape; zeros give the conditional mean.
        """
        raise NotImplementedError


class Independent(Parts):
    """Nothing can be told from the neighbours."""

    def __init__(self, sigma: float, hidden: Tensor) -> None:
        super().__init__(Mask(hidden), hidden)
        self.sigma = sigma

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """See `Parts`: noise alone."""
        return self.sigma * normal


class Correlated(Parts):
    """The neighbours tell: see `Field`."""

    sigma = 1.0

    def __init__(self, turn: Tensor, fields: list[Field], hidden: Tensor) -> None:
        super().__init__(Whitened(turn, fields), hidden)
        self.turn, self.fields = turn, fields

    def fill(self, residual: Tensor, normal: Tensor) -> Tensor:
        """See `Parts`."""
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
        return Correlated(self.turn.to(hidden.device), fields, hidden)


@dataclass(frozen=True)
class White:
    """The paper's residual: independent, of one standard deviation."""

    sigma: float

    def on(self, hidden: Tensor) -> Independent:
        """The law of residuals of which some are hidden, bool (B, C, *size)."""
        return Independent(self.sigma, hidden)
