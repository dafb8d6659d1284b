"""How good a fitted model is, on data it saw or never saw, and how true its uncertainty.

mse         mean squared error over the scored entries, model units (the signal spans [-1, 1])
mae         mean absolute error, model units
error       mae / 2: the paper's per-pixel difference relative to the range of values
rmse_data   root mean squared error in the data's own units
psnr        10 log10(4 / mse), dB: the range of model units is 2
coverage90  share of the scored entries inside their [5 %, 95 %] interval; .9 is right
crps        continuous ranked probability score, model units: the mae of a single answer, less
            where the spread is right. Of K draws x_k, without the bias of few draws,
                mean_k |x_k - y| - sum_{k < l} |x_k - x_l| / (K (K - 1))
            and of N(mu, s^2), with w = (y - mu) / s,
                s (w (2 Phi(w) - 1) + 2 phi(w) - 1 / sqrt(pi))

T. Gneiting, A. E. Raftery: Strictly Proper Scoring Rules, Prediction, and Estimation, JASA 2007.
C. A. T. Ferro: Fair scores for ensemble forecasts, QJRMS 2014.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch import Tensor

LEVELS = (0.05, 0.5, 0.95)
Z90 = 1.6448536269514722  # half the width of a normal's [5 %, 95 %], in standard deviations


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB of signals that span [-1, 1]."""
    return 10 * math.log10(4 / max(mse, 1e-20))


class Scores:
    """Scores of signals that come block by block.

    Args:
        unit: data units per model unit; broadcastable to a signal (a table has one per column).
    """

    def __init__(self, unit: float | np.ndarray) -> None:
        self.unit = torch.as_tensor(unit, dtype=torch.float64)
        self.count = 0
        self.sums: dict[str, float] = {}

    def add(
        self,
        x: Tensor,
        y: Tensor,
        scored: Tensor | None = None,
        *,
        draws: Tensor | None = None,
        sd: Tensor | None = None,
    ) -> None:
        """Score answers x against the truth y, with their uncertainty if it is known.

        Args:
            x, y: signals (b, C, *size) in model units.
            scored: bool, broadcastable to them, which entries count; None for all.
            draws: posterior draws of the same signals, (b, K, C, *size), K > 1.
            sd: or the standard deviations of a normal law about x, like x.
        """
        # Summed in 64 bits, so on the CPU: there are devices without.
        kept = torch.ones(x.shape, dtype=torch.bool) if scored is None else scored.cpu()
        kept, x, y = kept.expand_as(x), x.cpu(), y.cpu()
        difference = (x - y).double()
        self._sum("square", difference[kept].square())
        self._sum("absolute", difference[kept].abs())
        self._sum("data", (difference * self.unit)[kept].square())
        self.count += int(kept.sum())
        truth = y.double()[kept]
        if draws is not None:
            some = draws.cpu().double().movedim(1, -1)[kept]  # (n, K)
            low, _, high = quantiles(some)
            self._sum("covered", (low <= truth) & (truth <= high))
            self._sum("crps", crps(some, truth))
        elif sd is not None:
            spread, error = sd.cpu().double().expand_as(x)[kept], difference[kept]
            self._sum("covered", error.abs() <= Z90 * spread)
            self._sum("crps", crps_normal(error, spread))

    def _sum(self, name: str, values: Tensor) -> None:
        self.sums[name] = self.sums.get(name, 0.0) + values.sum(dtype=torch.float64).item()

    def result(self) -> dict[str, float]:
        """The scores so far by name, see above; NaN where nothing was scored."""
        mean = {k: v / self.count if self.count else math.nan for k, v in self.sums.items()}
        mse, mae = mean.get("square", math.nan), mean.get("absolute", math.nan)
        result = {
            "mse": mse,
            "mae": mae,
            "error": mae / 2,
            "rmse_data": math.sqrt(mean.get("data", math.nan)),
            "psnr": psnr(mse),
        }
        if "covered" in mean:
            result |= {"coverage90": mean["covered"], "crps": mean["crps"]}
        return result


def errors(
    x: Tensor, y: Tensor, scored: Tensor | None, unit: float | np.ndarray
) -> dict[str, float]:
    """Errors of signals x against y at once; see `Scores.add`."""
    scores = Scores(unit)
    scores.add(x, y, scored)
    return scores.result()


def quantiles(draws: Tensor, levels: Sequence[float] = LEVELS) -> Tensor:
    """Quantiles over the draws (n, K, ...), each level l at rank l (K + 1): (levels, n, ...).

    So [5 %, 95 %] of K draws holds a further draw with probability .9, or as near to it as K
    draws come: (K - 1) / (K + 1) at most.
    """
    ordered = draws.sort(1).values
    count = draws.shape[1]
    found = []
    for level in levels:
        rank = min(max(level * (count + 1) - 1, 0.0), count - 1.0)
        low = int(rank)
        high = min(low + 1, count - 1)
        found.append(torch.lerp(ordered[:, low], ordered[:, high], rank - low))
    return torch.stack(found)


def crps(draws: Tensor, y: Tensor) -> Tensor:
    """Of draws (n, K), K > 1, about the truth y (n,): (n,)."""
    count = draws.shape[1]
    rank = 2 * torch.arange(count, device=draws.device, dtype=draws.dtype) - (count - 1)
    apart = draws.sort(1).values @ rank
    return (draws - y[:, None]).abs().mean(1) - apart / (count * (count - 1))


def crps_normal(error: Tensor, sd: Tensor) -> Tensor:
    """Of a normal law with standard deviation sd > 0 whose mean is off by `error`."""
    w = error / sd
    inside = w * torch.erf(w / math.sqrt(2)) + math.sqrt(2 / math.pi) * torch.exp(-(w**2) / 2)
    return sd * (inside - 1 / math.sqrt(math.pi))


def nearest(x: Tensor, train: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """For each signal the training signal nearest to it, by squared error.

    Args:
        x: signals (N, ...).
        train: training signals in blocks (M_i, ...), so that there may be many.

    Returns:
        Rows of the blocks taken together (N,) and root mean squared distances (N,), model units.
    """
    # sklearn's NearestNeighbors keeps all it was fitted to in memory; blocks come one at a time.
    flat, begin = x.flatten(1), 0
    least = torch.full((len(x),), math.inf, dtype=flat.dtype)
    best = torch.zeros(len(x), dtype=torch.int64)
    for block in train:  # nothing is kept of one: what stays between large pieces leaves holes
        apart, rows = torch.cdist(flat, block.flatten(1)).min(1)
        nearer = apart < least
        best[nearer], least[nearer] = rows[nearer] + begin, apart[nearer]
        begin += len(block)
    return best, least / math.sqrt(flat.shape[1])
