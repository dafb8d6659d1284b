"""How signals were observed: as they are, by a measurement, through a matrix, or as spectra.

Learning from measurements sees nothing else: all that is chosen by looking at the data is chosen by
looking at y. Where that can be had it sees the signals that y makes most likely of stationary ones
(`residuals.Completion`): f is then learned from E[x | y], and what y says of x beyond f is told
when a signal is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from math import log, prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from abprop.data.examples import Examples, Same, Seen, Source, Veils
from abprop.data.signals import Scale, Signals
from abprop.errors import UserError
from abprop.files import arrays
from abprop.grammar import parse_latent, parse_range
from abprop.likelihoods import RANGE
from abprop.machine import one_thread
from abprop.operators import Measurement, Projection, for_many, measure, written_out
from abprop.residuals import Completion, Known
from abprop.spectra import Colour, levels

BLOCK = 256  # signals measured together
MOST = 4096  # measured numbers with which signals are completed: matrices of that side
UNIT = Scale(-1.0, 1.0, "float32")  # of what is in model units already
LOUD = 10 * RANGE / log(10)  # decibels of a unit of the logarithm of a power


@dataclass(frozen=True)
class Sensor:
    """What lies between signals and observations.

    Attributes:
        shape: (C, *size) of a signal x.
        operator: of one example; None where x itself is observed.
        scale: between x in data units and x in model units.
        matrix: (M, D), where the source holds y = A x in data units.
        colour: of a sound, where x is the variance of its bands (bands, frames).
        completion: what completes measured signals, if they are learned so.
        kind: of what learning sees then.
    """

    shape: tuple[int, ...]
    operator: Measurement | None
    scale: Scale
    matrix: Tensor | None = None
    colour: Colour | None = None
    completion: Completion | None = None
    kind: str = "array"

    @cached_property
    def written(self) -> Tensor | None:
        """The operator as a matrix, where a law of stationary signals goes with it; else None."""
        A = self.operator
        if A is None or not A.linear or len(self.shape) < 2 or prod(A.shape) > MOST:
            return None
        return written_out(A, self.shape)

    def examples(self, source: Source, ids: Tensor) -> Examples:
        """What learning sees of a source that `learned_from` gave, or of views of it."""
        if self.operator is None or self.completion is not None:
            return Examples(Seen(source), Veils(source), ids, self.shape)
        return Examples(Seen(source), Same(self.operator), ids, self.shape)

    def learned_from(self, signals: Signals) -> Signals:
        """What learning may see: signals, what was measured of them, or signals made of that.

        Raises:
            UserError: measurements that are not finite, or parts missing.
        """
        if self.colour is not None:
            every = (levels(torch.from_numpy(x), self.colour) for x in signals.values)
            values = torch.stack(list(every)).numpy()
            return Signals.of(signals.kind, values, None, signals.names, UNIT, signals.source)
        if self.operator is None:
            return signals
        y, kind = self.measured(signals), "array"
        if self.completion is not None:
            with one_thread():  # what is seen must not hang on how many there are
                y, kind = self.completion(y.flatten(1)), self.kind
        return Signals.of(kind, y.numpy(), None, signals.names, UNIT, signals.source)

    def measured(self, signals: Signals) -> Tensor:
        """What was measured of the signals, (N, ...), y of x in model units.

        Raises:
            UserError: it is not finite, or parts of the signals are missing.
        """
        if signals.hidden is not None:
            bad = signals.names[int(signals.hidden.reshape(len(signals), -1).any(1).argmax())]
            what = "some of" if self.matrix is None else "a measurement of"
            raise UserError(
                f"{signals.source}: {what} example {bad!r} is missing or not finite; "
                "measurements must be complete: leave the example out with data.select"
            )
        if self.matrix is not None:
            return self._in_model_units(self.matrix, signals)
        assert self.operator is not None
        blocks, one = torch.arange(len(signals)).split(BLOCK), self.operator
        return torch.cat([for_many(one, len(b))(signals.batch(b)[0]) for b in blocks])

    def _in_model_units(self, matrix: Tensor, signals: Signals) -> Tensor:
        """y in data units -> y of x in model units: x_data = unit x + middle."""
        unit = float(self.scale.unit)
        middle = float(self.scale.low) + unit
        y = torch.from_numpy(signals.values.reshape(len(signals), -1).astype(np.float32))
        return (y - middle * matrix.sum(1)) / (unit * _gain(matrix))


def sensor(
    signals: Signals,
    *,
    measure: str | None = None,
    operator: str | None = None,
    shape: str | None = None,
    range: str | None = None,
    seed: int = 0,
    colour: Colour | None = None,
    known: Known | None = None,
    complete: bool = False,
) -> Sensor:
    """How such signals are observed.

    Args:
        signals: what was read.
        measure: the rule of a simulated measurement, see `operators.measure`.
        operator: or a matrix in a .npy, and the source holds y = A x.
        shape: CxHxW of x then.
        range: of x in data units then.
        seed: of what a rule draws.
        colour: of a sound that is learned by the variance of its bands.
        known: what measurements say of the signals, where they are to be completed by what others
            said.
        complete: whether they are to be completed, where that can be had.

    Raises:
        UserError: both kinds of measurement at once, or an operator that does not fit.
    """
    if measure and operator:
        raise UserError("--measure and --operator exclude each other: leave one out")
    if operator:
        found = _through_matrix(signals, operator, shape, range, seed)
        return _completed(found, signals, known) if complete else found
    if colour is not None and measure:
        raise UserError("--measure: a sound is learned by its spectra; leave it out")
    if colour is not None:
        frames = signals.shape[-1] // colour.hop - 1
        return Sensor((colour.bands, frames), None, Scale(-LOUD, LOUD, "float32"), colour=colour)
    simulated = _simulated(measure, signals.shape, seed) if measure else None
    found = Sensor(signals.shape, simulated, signals.scale)
    return _completed(found, signals, known) if complete else found


def _completed(found: Sensor, signals: Signals, known: Known | None) -> Sensor:
    """With what completes signals, where there is a linear measurement of not too many numbers."""
    matrix = found.written
    if matrix is None:
        return found
    with one_thread():
        known = known or Known.of(found.measured(signals).flatten(1), matrix, found.shape)
    kind = signals.kind if found.matrix is None else "array"
    return replace(found, completion=Completion(known, matrix), kind=kind)


def _simulated(rule: str, shape: tuple[int, ...], seed: int) -> Measurement:
    return measure(rule, shape, 1, seed)


def _through_matrix(
    signals: Signals, operator: str, wanted: str | None, range: str | None, seed: int
) -> Sensor:
    if wanted is None:
        raise UserError("--operator: say what shape a signal x has, --set data.shape=3x64x64")
    shape, named = parse_latent(wanted), Path(operator).suffix != ".npy"
    matrix = _of_rule(operator, shape, seed) if named else _matrix(Path(operator))
    measured = prod(signals.shape)
    if matrix.shape != (measured, prod(shape)):
        got = "x".join(map(str, matrix.shape))
        raise UserError(
            f"--operator {operator} is {got}, but {measured} measurements of {prod(shape)} numbers "
            f"({wanted}) need {measured}x{prod(shape)}"
        )
    own = f"{float(signals.scale.low)}:{float(signals.scale.high)}" if named else "-1:1"
    low, high = parse_range(range or own)
    dtype = "uint8" if (low, high) == (0.0, 255.0) else "float32"
    A = Projection(matrix / _gain(matrix), 1)
    return Sensor(shape, A, Scale(low, high, dtype), matrix)


def _of_rule(rule: str, shape: tuple[int, ...], seed: int) -> Tensor:
    try:
        A = measure(rule, shape, 1, seed)
    except UserError as error:
        raise UserError(
            f"--operator {rule}: must be a matrix in a .npy file, or a rule; {error}"
        ) from None
    if prod(A.shape) > MOST:
        raise UserError(
            f"--operator {rule} measures {prod(A.shape)} numbers of {prod(shape)}; at most {MOST} "
            "can be taken here"
        )
    return written_out(A, shape)


def _matrix(path: Path) -> Tensor:
    if not path.exists():
        raise UserError(f"--operator {path} does not exist; check the path")
    matrix = torch.from_numpy(np.array(arrays.load(path, None)[0], dtype=np.float32))
    if matrix.ndim != 2 or not torch.isfinite(matrix).all():
        raise UserError(f"--operator {path}: must be a matrix of finite numbers, one row each")
    return matrix


def _gain(matrix: Tensor) -> Tensor:
    """What divides A and y so that y has x's units: the rows' length, root mean square."""
    return matrix.square().sum(1).mean().sqrt().clamp_min(1e-12)
