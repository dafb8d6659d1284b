"""Signals of which linear measurements were taken: answered with draws and their spread.

Two laws of what f leaves over stand for choice, as for hidden parts (`calibration`): that of
residuals about f, and that of deviations from the mean, by which f is trusted as little as a mean.
The one with the lower CRPS answers, at numbers that are set aside and foretold from the others.
Where there is no such law (a measurement that is not linear, of too many numbers, of a table) f(z)
and white noise are all there is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from abprop import tasks
from abprop.data import Scale, Sensor, Signals
from abprop.distributed import ALONE, Group, by_turns
from abprop.evaluate.calibration import FITTED, residual_laws
from abprop.evaluate.recovery import Block
from abprop.evaluate.scores import crps
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import for_many
from abprop.residuals import Indirect, Loose, Stationary, fit_power

TRIED, FEW = 32, 2  # signals on which laws are compared, and draws of each
HELD = 0.1  # of the numbers are foretold from the others then
QUIET = 1e-5  # of the residual's variance: the noise of a measurement of which nothing is known


@dataclass(frozen=True)
class Measured:
    """How a fitted model answers for signals that were measured.

    Attributes:
        model: with chains in the coordinates in which they were learned.
        law: of what was measured and what was not.
        sensor: how the signals are observed.
        chunk: chains in one pass.
        seed: of all draws.
        group: processes that take turns with blocks.
    """

    model: Model
    law: Indirect | Loose
    sensor: Sensor
    chunk: int
    seed: int = 0
    group: Group = ALONE

    def draws(self, signals: Signals, count: int, device: torch.device) -> Iterator[Block]:
        """Blocks of signals, in order."""
        yield from self.given(self.sensor.measured(signals), count, device)

    def given(self, y: Tensor, count: int, device: torch.device) -> Iterator[Block]:
        """The same from measurements in model units, (N, ...)."""
        law, most = self.law.to(device), min(self.chunk, tasks.MEASURED)
        blocks = torch.arange(len(y)).split(most)

        def drawn(ids: Tensor) -> tuple[Tensor, ...]:
            block = next(
                tasks.recover_measured(
                    self.model, y[ids].to(device), law,
                    draws=count, ids=ids.to(device), seed=self.seed, chunk=self.chunk,
                )
            )  # fmt: skip
            return block.draws.cpu(), block.mean.cpu(), block.generated.cpu()

        for rows, told in zip(blocks, by_turns(drawn, blocks, self.group), strict=True):
            yield Block(rows, *told)

    def scale(self, signals: Signals) -> Scale:
        """Between data units of a signal and model units."""
        return self.sensor.scale


def answering(
    model: Model, z: Tensor, train: Signals, own: Sensor, asked: Sensor, chunk: int, seed: int
) -> list[Measured]:
    """How a fitted model may answer for signals that `asked` observes.

    Args:
        model, z: as learned; z are the chains' last states.
        train: the signals of these z, as the run's own sensor takes them.
        own: how the run observes its own.
        asked: how the signals in question are observed.
        chunk, seed: see `Measured`.
    """
    matrix = asked.written
    if matrix is None or (own.operator is not None and own.written is None):
        assert asked.operator is not None
        law = Loose(asked.operator, model.likelihood.sigma.item())
        return [Measured(model, law, asked, chunk, seed)]
    known = _own_laws(model, z, train, own)
    laws = [Indirect(covariance, matrix, nugget) for covariance, nugget in known]
    return [Measured(model, law, asked, chunk, seed) for law in laws]


def _own_laws(
    model: Model, z: Tensor, train: Signals, own: Sensor
) -> list[tuple[Stationary, float]]:
    """Covariances about f and about the mean, and the noise of measurements; from y alone."""
    rows = torch.arange(min(FITTED, len(z), len(train)))
    train, z = train.take(rows), z[rows]
    if own.operator is None:
        laws = residual_laws(model, z, train, correlated=True)
        there = [law for law in laws if isinstance(law, Stationary)]
        return [(law.to("cpu"), QUIET * law.variance.mean().item()) for law in there]
    A, y, matrix = for_many(own.operator, len(rows)), own.measured(train).flatten(1), own.written
    assert matrix is not None
    about_f = y - A(tasks.generate(model, z).cpu()).flatten(1)
    powers = [fit_power(about_f, matrix, own.shape)]
    if own.completion is None:
        powers.append(fit_power(y - y.mean(0), matrix, own.shape))
    else:
        powers.append(own.completion.known.power)
    return [(power.covariance, power.nugget) for power in powers]


def chosen(candidates: Sequence[Measured], signals: Signals, device: torch.device) -> Measured:
    """The one that foretells best what is set aside of the numbers measured of such signals."""
    if len(candidates) == 1:
        return candidates[0]
    y = candidates[0].sensor.measured(signals.take(np.arange(min(TRIED, len(signals)))))
    return min(candidates, key=lambda one: _told(one, y.flatten(1), device))


def _told(one: Measured, y: Tensor, device: torch.device) -> float:
    """CRPS of a share of the measurements, foretold from the rest."""
    law = one.law
    assert isinstance(law, Indirect)
    order = Noise(one.seed, "aside").permutation(len(law.matrix))
    share = max(1, round(HELD * len(order)))
    held, kept = order[:share], order[share:]
    rest = replace(one, law=Indirect(law.covariance, law.matrix[kept], law.noise**2))
    each = []
    for block in rest.given(y[:, kept], FEW, device):
        foretold = block.draws.flatten(2) @ law.matrix[held].T
        truth = y[block.rows][:, held].double()
        each.append(crps(foretold.double().movedim(1, -1).flatten(0, 1), truth.flatten()))
    return float(torch.cat(each).mean())
