"""What is hidden of a run's signals, or of others: filled in, with how sure that is.

The law of the residuals is fitted to what the run was learned from; the width of the answer is
calibrated on observed entries that were set aside, never on any that are scored.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import residuals, tasks
from abprop.data import ASIDE, OBSERVED, Scale, Signals, set_aside
from abprop.distributed import ALONE, Group, by_turns
from abprop.evaluate.scores import Scores, crps, quantiles
from abprop.model import Model
from abprop.residuals import Residual, White
from abprop.say import Say, counted, quiet

FITTED = 400  # examples whose residuals are looked at
CALIBRATED, CHECKED = 64, 2000  # examples whose uncertainty is checked, and entries, at least
SHARE = 0.02  # of the observed entries are set aside for that
PLACED = 20  # signals from which on it is known which places are hidden more often
COUNTING = 0.1  # of what is set aside, at least, must count if some is to count more
ENOUGH = 16  # draws whose extremes are about [5 %, 95 %]
NARROWEST, WIDEST = 0.25, 4.0
ROUNDING = 1e-10  # of squares in model units: what is left of deviations where all are alike


@dataclass(frozen=True)
class Posterior:
    """How a fitted model answers for what is hidden.

    Attributes:
        model: with chains in the coordinates in which they were learned.
        residual: the law of y - f(z).
        width: factor on the deviations of draws from their mean.
        chunk: chains in one pass.
        seed: of all draws.
        group: processes that take turns with blocks.
    """

    model: Model
    residual: Residual
    chunk: int
    width: float = 1.0
    seed: int = 0
    group: Group = ALONE

    def draws(self, signals: Signals, count: int, device: torch.device) -> Iterator[Block]:
        """Blocks of recovered signals, in order."""
        chunk = self._chunk(signals.shape[1:])
        blocks = torch.arange(len(signals)).split(chunk)

        def drawn(ids: Tensor) -> tuple[Tensor, ...]:
            y, hidden = signals.batch(ids)
            if hidden is None:
                hidden = torch.zeros(1, dtype=torch.bool).expand(len(y), 1, *y.shape[2:])
            block = next(tasks.recover(
                self.model, y.to(device), hidden.to(device), self.residual,
                draws=count, ids=ids.to(device), seed=self.seed, chunk=chunk,
            ))  # fmt: skip
            wide = block.mean[:, None] + self.width * (block.draws - block.mean[:, None])
            return wide.cpu(), block.mean.cpu(), block.generated.cpu()

        for rows, told in zip(blocks, by_turns(drawn, blocks, self.group), strict=True):
            yield Block(rows, *told)

    def _chunk(self, size: tuple[int, ...]) -> int:
        """Fewer chains at once where signals are larger than the examples were."""
        own = self.model.network.signal_shape[1:]
        return max(1, self.chunk * math.prod(own) // max(math.prod(own), math.prod(size)))

    def scale(self, signals: Signals) -> Scale:
        """Between data units of such signals and model units."""
        return signals.scale


class Answering(Protocol):
    """What answers for signals, with draws; see `Posterior` and `measured.Measured`."""

    def draws(self, signals: Signals, count: int, device: torch.device) -> Iterator[Block]: ...
    def scale(self, signals: Signals) -> Scale: ...


@dataclass(frozen=True)
class Block:
    """Some signals: rows (b,), draws (b, K, C, *size), their mean, and f(z) alone; model units."""

    rows: Tensor
    draws: Tensor
    mean: Tensor
    generated: Tensor


# The law of the residuals, and its width ------------------------------------------------------


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
        share: of the observed entries, to set aside now; as while learning, so that a run's own
            signals lose the entries that it never saw.
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


# Answers --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Answer:
    """Recovered signals in data units.

    Attributes:
        mean: the answer, in the data's dtype; observed entries as they were, (N, C, *size).
        std: standard deviation, float32 data units.
        q05, q50, q95: quantiles of the draws, float32.
        draws: posterior draws, (N, K, C, *size), in the data's dtype.
        hidden: what had been hidden, bool (N, 1 or C, *size).
        names: of the signals.
    """

    mean: np.ndarray
    std: np.ndarray
    q05: np.ndarray
    q50: np.ndarray
    q95: np.ndarray
    draws: np.ndarray
    hidden: np.ndarray
    names: tuple[str, ...]


def answer(
    posterior: Answering, signals: Signals, count: int, device: torch.device, progress: Say = quiet
) -> Answer:
    """All of the signals with their hidden entries filled in; measured ones as they may be."""
    scale, parts = posterior.scale(signals), []
    progress(f"recovering {counted(len(signals), 'signal', 'signals')}, {count} draws of each")
    for block in posterior.draws(signals, count, device):
        spread = block.draws.std(1, correction=1) if count > 1 else torch.zeros_like(block.mean)
        parts.append((
            _data(scale, block.mean, True),
            (spread.numpy() * scale.unit).astype(np.float32),
            *(_data(scale, q, False) for q in quantiles(block.draws)),
            _data(scale, block.draws, True),
        ))  # fmt: skip
    mean, std, q05, q50, q95, draws = (np.concatenate(p) for p in zip(*parts, strict=True))
    if not isinstance(posterior, Posterior):
        hidden = np.ones((len(mean), 1, *mean.shape[2:]), dtype=bool)
        return Answer(mean, std, q05, q50, q95, draws, hidden, signals.names)
    hidden = signals.hidden
    if hidden is None:
        hidden = np.zeros((len(mean), 1, *mean.shape[2:]), dtype=bool)
    mean = np.where(hidden, mean, signals.values)  # not through the scale and back
    draws = np.where(hidden[:, None], draws, signals.values[:, None])
    return Answer(mean, std, q05, q50, q95, draws, hidden, signals.names)


def _data(scale: Scale, x: Tensor, rounded: bool) -> np.ndarray:
    return scale.to_data(x.float().numpy(), rounded)


def score(
    posterior: Answering,
    signals: Signals,
    scored: Tensor,
    known: Tensor,
    count: int,
    device: torch.device,
    progress: Say,
) -> tuple[Scores, Scores]:
    """Scores over `scored` entries with uncertainty, and of f(z) over all that are `known`."""
    unit = posterior.scale(signals).unit
    hidden, everything = Scores(unit), Scores(unit)
    truth = torch.from_numpy(signals.scale.to_model(signals.values))
    progress(f"recovering {counted(len(signals), 'signal', 'signals')}, {count} draws of each")
    for block in posterior.draws(signals, count, device):
        y = torch.nan_to_num(truth[block.rows])
        hidden.add(block.mean, y, scored[block.rows], draws=block.draws)
        everything.add(block.generated, y, known[block.rows])
    return hidden, everything
