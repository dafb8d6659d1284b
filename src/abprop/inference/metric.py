"""The coordinates in which chains move: one linear map shared by all examples.

    z = L u,      L L^T about the mean covariance of p(z | y_i)

In u every direction is about equally stiff, so one step size serves all of them and a chain
forgets where it was in a few steps, whatever the spectrum of the posterior. L is learned from
differences of the score: for u ~ N(0, I) and h = -d^2 log p / du^2 u,

    <h h^T> = <H^2>,      L <- L C^-T,   C C^T = ((1 - r) I + r <h h^T>)^(1/2)

The square root of a mean of squares never loses its sign, however few examples were looked at, and
the square root keeps order: if the sample mean of u u^T lies within (1 +- e) I, the new coordinates
are within (1 +- e)^(1/2) of right in every direction, also where curvatures differ a thousandfold.

For a map latent (k, *grid) L is k x k, the same at every position. (M. K. Titsias: Optimal
Preconditioning and Fisher Adaptive Langevin Sampling, NeurIPS 2023, learns the like for one chain.)
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.networks.stages import padded

MEMORY = 50  # looks in memory, per channel
DOUBT = 2  # looks, per channel, that the first coordinates are worth
LEAP = 1e6  # the scale changes by so much at once, at most
OUTLIER = 10.0  # a look this many times as stiff as the median counts no more than that


class Metric:
    """L and how much it rests on.

    Args:
        root: L (k, k).
        looks: examples looked at, up to a limit.
    """

    def __init__(self, root: Tensor, looks: Tensor | None = None) -> None:
        self.root = root
        self.looks = torch.zeros(()) if looks is None else looks

    @classmethod
    def plain(cls, z: Tensor, scale: float = 1.0) -> Metric:
        """u = z / scale, for latents like z (B, k, ...)."""
        return cls(scale * torch.eye(z.shape[1], dtype=z.dtype, device=z.device))

    @property
    def root(self) -> Tensor:
        """L (k, k)."""
        return self._root

    @root.setter
    def root(self, root: Tensor) -> None:
        self._root = root
        # L^T and L with columns of zeros, so that rows of a product have bits of their own.
        self._padded = padded(root.T), padded(root)

    def push(self, u: Tensor) -> Tensor:
        """L u, like z."""
        return _times(u, self._padded[0], len(self.root))

    def pull(self, grad: Tensor) -> Tensor:
        """L^T grad: a gradient in z becomes one in u."""
        return _times(grad, self._padded[1], len(self.root))

    @torch.no_grad()
    def update(self, bent: Tensor) -> None:
        """Learn from a batch's looks h (B, k, *grid); rows that are not finite do not count."""
        k = len(self.root)
        rows = bent.movedim(1, -1).reshape(len(bent), -1, k).cpu().double()
        rows = rows[torch.isfinite(rows).flatten(1).all(1)]
        if not len(rows):
            return
        length = rows.square().mean((1, 2), keepdim=True).sqrt()
        rows = rows * (OUTLIER * length.median() / length.clamp_min(1e-300)).clamp_max(1.0)
        n = len(rows)
        looks = min(self.looks.item() + n, MEMORY * k + n)
        rate = n / (looks + DOUBT * k)
        flat = rows.flatten(0, 1)
        squares = flat.T @ flat / len(flat)
        # The common scale is known at once; which directions are stiffer takes many looks.
        scale = squares.diagonal().mean().sqrt().clamp(1 / LEAP, LEAP)
        mixed = (1 - rate) * torch.eye(k, dtype=rows.dtype) + rate * squares / scale**2
        values, vectors = torch.linalg.eigh(mixed)
        whole = scale * (vectors * values.clamp_min(1e-12).sqrt()) @ vectors.T
        factor = torch.linalg.cholesky((whole + whole.T) / 2)
        root = self.root.cpu().double()
        root = torch.linalg.solve_triangular(factor, root.T, upper=False).T
        self.root, self.looks = root.to(self.root), torch.tensor(float(looks))

    def tensors(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {"root": self.root, "looks": self.looks}

    def to(self, device: torch.device | str) -> Metric:
        """The same on another device."""
        return Metric(self.root.to(device), self.looks)


def _times(v: Tensor, matrix: Tensor, k: int) -> Tensor:
    """Every position's channels times a matrix of k columns and zeros beside them."""
    return (v.movedim(1, -1) @ matrix)[..., :k].movedim(-1, 1)
