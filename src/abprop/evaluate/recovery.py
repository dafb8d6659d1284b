"""What is hidden of a run's signals, or of others: filled in, with how sure that is.

The law of what f leaves over, and how wide the answer is, are told by `calibration`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import tasks
from abprop.data import Scale, Signals
from abprop.distributed import ALONE, Group, by_turns
from abprop.evaluate.scores import Scores, quantiles
from abprop.model import Model
from abprop.residuals import Residual
from abprop.say import Say, counted, quiet


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
