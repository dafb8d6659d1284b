"""A prior over vectors that is a Gaussian in all but its shape.

    z = mu + L u,   u ~ q,   mu and L L^T = mean and covariance of the current z's

q has about mean 0 and covariance 1; with q = N(0, I) it is `gaussian`. Whatever q is, mu and L fold
into the network's first layer, and q is what is left: latents of a folded model scatter as far as
those of N(0, I) do in every direction, and are of another shape. Once learning is over mu and L are
those of the examples' own z's, without their copies (`Gaussian.remember`).
"""

from __future__ import annotations

import copy
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.noise import Keyed, Noise
from abprop.priors.base import Cells, Foldable, Prior
from abprop.priors.normal import Gaussian


class Law(Protocol):
    """The law q of vectors u (B, d); a prior has all of these as well."""

    def log_prob(self, z: Tensor) -> Tensor: ...
    def score(self, z: Tensor) -> tuple[Tensor, Tensor]: ...
    def expected(self, count: int) -> Tensor: ...
    def draw_each(self, noise: Keyed) -> Tensor: ...


class Shaped(Gaussian):
    """Draws mu + L u of u ~ `law`; see the module.

    Args:
        shape: (d,).
        ridge: added to the covariance's diagonal so that it can be inverted.

    Raises:
        UserError: a map, whose cells would be taken one by one.
    """

    name: ClassVar[str]

    def __init__(self, shape: tuple[int, ...], ridge: float = 1e-3) -> None:
        super().__init__(shape, ridge)
        if len(shape) > 1:
            raise UserError(
                f"model.prior={self.name}: needs a vector of latents, not a map of "
                f"{'x'.join(map(str, shape))}; use model.prior=markov or gaussian"
            )

    @property
    def law(self) -> Law:
        """q."""
        raise NotImplementedError

    def log_prob(self, z: Tensor) -> Tensor:
        """log p (B,) of z (B, d)."""
        return self.law.log_prob(self.folded(z)) - self._log_volume

    def score(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """log p (B,) and its gradient L^-T grad log q(u)."""
        log_q, grad = self.law.score(self.folded(z))
        back = torch.linalg.solve_triangular(self.root.T, grad.T, upper=True).T
        return log_q - self._log_volume, back

    @property
    def _log_volume(self) -> Tensor:
        return self.root.diagonal().log().sum()

    def expected(self, count: int, grid: Cells | None = None) -> Tensor:
        """The mean, (count, d)."""
        return self._transform(self.law.expected(count).to(self.root))

    def draw(
        self, noise: Noise, count: int, grid: Cells | None = None, start: Cells | None = None,
        first: int = 0,
    ) -> Tensor:  # fmt: skip
        """`count` draws (count, d), the first of them number `first`."""
        number = torch.arange(first, first + count)
        return self.draw_each(noise.at(torch.zeros_like(number), chain=number))

    def draw_each(self, noise: Keyed) -> Tensor:
        """One draw for each of the noise's chains, (B, d)."""
        return self._transform(self.law.draw_each(noise).to(self.root))

    def fold(self, network: Foldable) -> Prior:
        """z = mu + L u moves into the network, and u ~ q is left."""
        network.fold(self.mean, self.root)
        left = copy.deepcopy(self)
        left.mean.zero_()
        for matrix in (left.covariance, left.root):
            matrix.copy_(torch.eye(len(matrix)))
        return left
