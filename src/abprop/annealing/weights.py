"""Log weights of several chains -> log p(y) with a stated error.

    log p(y)  ~  log (1 / C) sum_c w_c                      E of the mean of weights is p(y)
    se^2      =  (C - 1) / C sum_c (L_c - mean of L)^2      L_c: the same without chain c
    ess       =  (sum_c w_c)^2 / sum_c w_c^2                as many equal weights are worth as much

The mean of weights is unbiased, so its logarithm is too low in expectation (Jensen), by about
se^2 / 2: the estimate is a lower bound, unless chains ran backwards, and then an upper one. The
jackknife's se sees what the chains differ by. If ess is near 1 a single chain says it all, and
neither number can be trusted: take more temperatures.

B. Efron, C. Stein: The Jackknife Estimate of Variance, Annals of Statistics 1981. A. Kong: A note
on importance sampling using standardized weights, 1992 (ess).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.errors import AbpropError


class Estimate(NamedTuple):
    """log p(y) of each example, float64 (B,) each.

    Attributes:
        nats: the estimate, natural logarithms of a density in model units.
        se: its standard error, from the spread over chains.
        ess: effective number of chains, 1 to C.
    """

    nats: Tensor
    se: Tensor
    ess: Tensor

    @property
    def mean(self) -> float:
        """Over the examples."""
        return self.nats.mean().item()

    @property
    def mean_se(self) -> float:
        """Standard error of that mean: of the chains' noise alone, with these examples given."""
        return self.se.square().sum().sqrt().item() / len(self.se)


def estimate(log_weights: Tensor) -> Estimate:
    """What the log weights (B, C) of C > 1 chains say.

    Raises:
        AbpropError: there is but one chain, which cannot tell its error.
    """
    w = log_weights.double()
    count = w.shape[1]
    if count < 2:
        raise AbpropError("annealing: one chain cannot tell its error; take at least 2")
    own = torch.eye(count, dtype=torch.bool, device=w.device)
    others = w[:, None].masked_fill(own, -math.inf).logsumexp(2) - math.log(count - 1)
    apart = others - others.mean(1, keepdim=True)
    se = (apart.square().sum(1) * (count - 1) / count).sqrt()
    ess = (2 * w.logsumexp(1) - (2 * w).logsumexp(1)).exp()
    return Estimate(w.logsumexp(1) - math.log(count), se, ess)


def reversed_estimate(log_weights: Tensor) -> Estimate:
    """The same of chains that ran from the posterior: an upper bound in expectation.

    Args:
        log_weights: of these chains, (B, C); the mean of their weights is 1 / p(y).
    """
    found = estimate(log_weights)
    return found._replace(nats=-found.nats)
