"""Weights averaged over the path of learning: the model that answers.

    W_bar  <-  b_t W_bar + (1 - b_t) W,    b_t = (1 - 1 / t)^(g + 1)

A power function of t rather than an exponential: the average reaches back over the same share of
the path at every t, so nothing has to be known of how long that will be. Its standard deviation is
that share s of t,  s^2 = (g + 1) / ((g + 2)^2 (g + 3)).

Small batches and large steps keep W moving about the weights that suit all examples, and of few
examples it learns each by heart as it passes. What W has in common along its path generalises.

T. Karras, M. Aittala, J. Lehtinen, J. Hellsten, T. Aila, S. Laine: Analyzing and Improving the
Training Dynamics of Diffusion Models, CVPR 2024 (equations 1 and 2, algorithm 2). B. T. Polyak,
A. B. Juditsky: Acceleration of Stochastic Approximation by Averaging, SIAM J. Control Optim. 1992.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from abprop.model import Model


def exponent(share: float) -> float:
    """g of an average over a share of the path.

    Args:
        share: s, in (0, .288): beyond that there is no such average.
    """
    roots = np.roots([1, 7, 16 - share**-2, 12 - share**-2])
    return float(roots.real.max())


@torch.no_grad()
def follow(means: Iterable[Tensor], weights: Iterable[Tensor], t: int, exponent: float) -> None:
    """Take the weights of the t-th iteration, from 1, into their means, in place."""
    keep = (1 - 1 / t) ** (exponent + 1)
    for mean, now in zip(means, weights, strict=True):
        mean.lerp_(now, 1 - keep)


class Average:
    """A model whose network is the average of another's.

    Args:
        model: what learns; prior and likelihood are shared with it.
        share: s, of the path.
    """

    def __init__(self, model: Model, share: float) -> None:
        self.walking, self.exponent = model.network, exponent(share)
        self.model = Model(copy.deepcopy(model.network), model.prior, model.likelihood)

    def update(self, t: int) -> None:
        """Take in the weights of the t-th iteration, from 1."""
        means, weights = self.model.network.parameters(), self.walking.parameters()
        follow(means, weights, t, self.exponent)
