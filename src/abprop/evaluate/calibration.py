"""Which law of residuals answers for what is hidden, and how wide its draws are.

The laws are fitted to what a run was learned from; which of them answers, and the factor on its
draws, show on observed entries that were set aside, never on any that are scored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from abprop import residuals, tasks
from abprop.data import ASIDE, OBSERVED, Signals, set_aside
from abprop.evaluate.recovery import Posterior
from abprop.evaluate.scores import crps, quantiles
from abprop.model import Model
from abprop.residuals import Residual, White

FITTED = 400  # examples whose residuals are looked at
CALIBRATED, CHECKED = 64, 2000  # examples whose uncertainty is checked, and entries, at least
SHARE = 0.1  # of the observed entries are set aside for that, where none were while learning
PLACED = 20  # signals from which on it is known which places are hidden more often
COUNTING = 0.1  # of what is set aside, at least, must count if some is to count more
ENOUGH = 16  # draws whose extremes are about [5 %, 95 %]
NARROWEST, WIDEST = 0.25, 4.0
ROUNDING = 1e-10  # of squares in model units: what is left of deviations where all are alike


def residual_laws(model: Model, z: Tensor, signals: Signals, correlated: bool) -> list[Residual]:
    """What the law of y - f(z) may be, from observed entries of the examples learned from.

    Args:
        model, z: as learned; z are the chains' last states, draws from the posterior.
        signals: the examples of these z.
        correlated: by stationary covariances; else white, with the model's sigma.

    Returns:
        One white law; or that of what f leaves over where it was learned, and that of what a mean
        leaves over. The first is too sure where f has learned little of what is hidden; the second
        trusts neighbours more than f. Which one is better shows on what was set aside. Of signals
        without axes both are joint covariances, and the white law is tried beside them.
    """
    white = White(model.likelihood.sigma.item())
    if not correlated:
        return [white]
    rows = torch.arange(min(FITTED, len(z), len(signals)))
    y, hidden = signals.batch(rows)
    x = tasks.generate(model, z[rows]).cpu()
    observed = torch.ones_like(y, dtype=torch.bool) if hidden is None else ~hidden
    turned = observed.shape[1] == 1 or hidden is None
    deviation, where = _about_mean(y, observed)
    varied = deviation[where.expand_as(y)].square().sum() > ROUNDING * where.sum()
    pairs = [(y - x, observed), *([(deviation, where)] if varied else [])]
    if y.ndim == 2:
        return [white, *(residuals.fit_joint(*pair) for pair in pairs)]
    return [residuals.fit(*pair, turned=turned) for pair in pairs]


def _about_mean(y: Tensor, observed: Tensor) -> tuple[Tensor, Tensor]:
    """Deviations from the mean of each place, or of all where there is one example; and where."""
    axes = (0,) if len(y) > 1 else tuple(range(2, y.ndim))
    y, count = torch.where(observed, y, 0.0), observed.sum(axes, keepdim=True)
    # Of n about their own mean the variance is (n - 1) / n of what it is about the true one.
    unbiased = (count / (count - 1).clamp_min(1)).sqrt()
    mean = y.sum(axes, keepdim=True) / count.clamp_min(1)
    return (y - mean) * unbiased, observed & (count > 1)


def answering(
    model: Model, z: Tensor, train: Signals, correlated: bool, chunk: int, seed: int
) -> list[Posterior]:
    """How a fitted model may answer, of width 1; see `residual_laws`.

    Args:
        model, z, train, correlated: see `residual_laws`; at most FITTED examples are looked at.
        chunk: chains in one pass.
        seed: of all draws.
    """
    laws = residual_laws(model, z, train, correlated)
    return [Posterior(model, law, chunk, seed=seed) for law in laws]


def calibrated(
    candidates: Sequence[Posterior],
    signals: Signals,
    draws: int,
    device: torch.device,
    share: float = SHARE,
) -> Posterior:
    """The one that tells best what was set aside, as wide as it should be.

    Args:
        candidates: of width 1; the first, where there is nothing to compare them on.
        signals: some entries of which were set aside while learning; else some are now.
        draws: as many as will be asked for: quantiles of few draws have a bias of their own.
        device: where to compute.
        share: of the observed entries, to set aside now, if none are. Of a run's own signals as
            while learning, so that they lose those that it never saw; of others it may be more,
            which tells the laws apart better.
    """
    some = _aside(signals, share, candidates[0].seed)
    if not len(some):
        return candidates[0]
    weight, many = _importance(signals), max(2, draws)  # of one draw nothing shows how wide it is
    checked = [_checked(candidate, some, weight, many, device) for candidate in candidates]
    best = min(range(len(checked)), key=lambda k: _told(checked[k]))
    return replace(candidates[best], width=_width(checked[best]))


class Checked(NamedTuple):
    """What was set aside, and what is said of it: n entries, model units."""

    truth: Tensor  # (n,)
    mean: Tensor  # (n,)
    draws: Tensor  # (n, K)
    weight: Tensor  # how much each counts, (n,)


def _aside(signals: Signals, share: float, seed: int) -> Signals:
    """Some of the signals in which entries are set aside; none, where that can't be."""
    if signals.veil is None or not (signals.veil == ASIDE).any():
        signals = set_aside(signals, share, seed)
    codes = signals.codes(range(len(signals)))
    if codes is None:
        return signals.take([])
    counts = (codes == ASIDE).reshape(len(codes), -1).sum(1)
    some = counts.nonzero()[0]
    enough = np.searchsorted(counts[some].cumsum(), CHECKED) + 1  # rows of a table have few
    return signals.take(some[: max(CALIBRATED, enough)])


def _importance(signals: Signals) -> Tensor:
    """How much a place counts, (1 or C, *size): as much as it is more often hidden than seen.

    What is set aside lies where signals are seen, and that may be elsewhere: around blocks in the
    middle of faces. Weighted by p(hidden) / p(seen) it speaks for what is hidden.
    """
    codes = signals.codes(range(len(signals)))
    if codes is None or len(signals) < PLACED:
        return torch.ones(() if codes is None else codes.shape[1:])
    seen = torch.from_numpy((codes == OBSERVED) | (codes == ASIDE)).float().mean(0)
    return (1 - seen) / seen.clamp_min(1 / len(codes))


def _checked(
    posterior: Posterior, signals: Signals, weight: Tensor, draws: int, device: torch.device
) -> Checked:
    truth = torch.from_numpy(signals.scale.to_model(signals.values))
    scored = torch.from_numpy(signals.codes(range(len(signals))) == ASIDE).expand_as(truth)
    everywhere, parts = weight.expand_as(truth), []
    for block in posterior.draws(signals, draws, device):
        at = scored[block.rows]
        found = truth[block.rows], block.mean, block.draws.movedim(1, -1), everywhere[block.rows]
        parts.append([values[at] for values in found])
    found = Checked(*map(torch.cat, zip(*parts, strict=True)))
    return found._replace(weight=_counting(found.weight))


def _counting(weight: Tensor) -> Tensor:
    """The weights; equal ones, where next to nothing of what was set aside would count.

    So where all signals are hidden at the same places: what is set aside is never there. Kish:
    n weights are worth (sum w)^2 / sum w^2 equal ones.
    """
    worth = weight.sum().square() / weight.square().sum().clamp_min(1e-12)
    return weight if worth >= COUNTING * len(weight) else torch.ones_like(weight)


def _told(found: Checked) -> float:
    """CRPS at what was set aside, of draws as wide as they should be.

    As they come their width may be off by a factor, and would count for more than the law.
    """
    wide = found.mean[:, None] + _width(found) * (found.draws - found.mean[:, None])
    each, weight = crps(wide.double(), found.truth.double()), found.weight.double()
    return float((each * weight).sum() / weight.sum())


def _width(found: Checked) -> float:
    """The factor on the draws' deviations at which [5 %, 95 %] covers 90 % of the truth.

    Of fewer than ENOUGH draws as much as right ones cover, (K - 1) / (K + 1): the extremes of 16
    reach 90 % with 6 % more than their spread, those of 8 with 25 %.
    """
    low, _, high = quantiles(found.draws) - found.mean
    error, count = found.truth - found.mean, found.draws.shape[1]
    # Inside once the interval is stretched by this much.
    needed = torch.where(error > 0, error / high.clamp_min(1e-9), error / low.clamp_max(-1e-9))
    share = 0.9 if count >= ENOUGH else (count - 1) / (count + 1)
    needed, order = needed.sort()
    inside = found.weight[order].double().cumsum(0)
    last = min(int((inside < share * inside[-1]).sum()), len(needed) - 1)
    return float(needed[last].clamp(NARROWEST, WIDEST))
