"""Latent factors at several scales, kept as one map.

    level l = 0, 1, ...    cells of 2^-l of the coarsest one's side, c factors in each
    z (k, *grid)           k = c (1 + 2^dims + 4^dims + ...): those of all cells under a coarse one

Coarse factors say where the stones lie, fine ones what their edges are like. Level l is added, by a
linear map of its own, to what the network has made when it comes to cells of that size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.errors import UserError


class Levels:
    """How the channels of a map are shared out.

    Args:
        latent_shape: (k, *grid).
        count: number of levels.
        stages: of the network.

    Attributes:
        channels: factors of a cell of any level.
        factors: channels of the map that belong to each level.

    Raises:
        UserError: a vector, more levels than stages, or channels that cannot be shared out.
    """

    def __init__(self, latent_shape: tuple[int, ...], count: int, stages: int) -> None:
        self.count, self.dims = count, len(latent_shape) - 1
        self.cells = [2 ** (level * self.dims) for level in range(count)]
        self.channels = latent_shape[0] // sum(self.cells)
        self.factors = tuple(self.channels * n for n in self.cells)
        if count == 1:
            return
        if not self.dims or count > stages:
            raise UserError(
                f"model.levels={count}: a map of {stages} stages has at most {max(1, stages)}; "
                "a vector has 1"
            )
        if not self.channels or latent_shape[0] % sum(self.cells):
            raise UserError(
                f"model.latent={'x'.join(map(str, latent_shape))} with model.levels={count}: the "
                f"first number must be a multiple of {sum(self.cells)}"
            )

    def split(self, z: Tensor) -> list[Tensor]:
        """z (B, k, *grid) -> factors of each level, (B, channels, *(2^l grid))."""
        if self.count == 1:
            return [z]
        parts = z.split(self.factors, 1)
        return [_spread(part, 2**level, self.dims) for level, part in enumerate(parts)]

    def join(self, parts: list[Tensor]) -> Tensor:
        """The transpose of `split` followed by cutting off the rims."""
        if self.count == 1:
            return parts[0]
        whole = [F.pad(part, (2**level - 1,) * (2 * self.dims)) for level, part in enumerate(parts)]
        return self.packed(whole)

    def packed(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `split`."""
        return torch.cat([_packed(p, 2**i, self.dims) for i, p in enumerate(parts)], 1)


def _spread(z: Tensor, r: int, dims: int) -> Tensor:
    """(B, k r^dims, *grid) -> (B, k, *(r grid)): channels become places within a cell."""
    batch, _, *grid = z.shape
    z = z.reshape(batch, -1, *(r,) * dims, *grid)
    order = [axis for i in range(dims) for axis in (2 + dims + i, 2 + i)]
    return z.permute(0, 1, *order).reshape(batch, -1, *(n * r for n in grid))


def _packed(z: Tensor, r: int, dims: int) -> Tensor:
    """The inverse of `_spread`."""
    batch, k, *size = z.shape
    z = z.reshape(batch, k, *(m for n in size for m in (n // r, r)))
    order = [3 + 2 * i for i in range(dims)] + [2 + 2 * i for i in range(dims)]
    return z.permute(0, 1, *order).reshape(batch, k * r**dims, *(n // r for n in size))
