"""How signals were observed: as they are, by a measurement, or as spectra.

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
from abprop.noise import Noise
from abprop.operators import (
    Measurement,
    Projection,
    Units,
    adopted,
    checked,
    for_many,
    in_model_units,
    measure,
    written_out,
)
from abprop.residuals import Completion, Known
from abprop.spectra import Colour, levels

BLOCK = 256  # signals measured together
MOST = 4096  # measured numbers with which signals are completed: matrices of that side
TOLD = 8  # of its numbers tell a measurement from others
UNIT = Scale(-1.0, 1.0, "float32")  # of what is in model units already
LOUD = 10 * RANGE / log(10)  # decibels of a unit of the logarithm of a power


@dataclass(frozen=True)
class Sensor:
    """What lies between signals and observations.

    Attributes:
        shape: (C, *size) of a signal x.
        operator: of one example; None where x itself is observed.
        scale: between x in data units and x in model units.
        units: of y, where the source holds y = A(x) in data units; None where signals are measured.
        colour: of a sound, where x is the variance of its bands (bands, frames).
        completion: what completes measured signals, if they are learned so.
        kind: of what learning sees then.
    """

    shape: tuple[int, ...]
    operator: Measurement | None
    scale: Scale
    units: Units | None = None
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

    @cached_property
    def told(self) -> list[float]:
        """A few numbers of the measurement of a signal that is always the same; [] if there is
        none."""
        if self.operator is None:
            return []
        with one_thread():
            x = Noise(0, "told").at(torch.zeros(1, dtype=torch.int64)).normal(self.shape).float()
            y = self.operator(x).flatten()
        return y[:: max(1, len(y) // TOLD)][:TOLD].tolist()

    def check_same(self, told: list[float], where: str) -> None:
        """Refuse another operator than the one of which this was told.

        Raises:
            UserError: it measures the same signal differently.
        """
        size = max(map(abs, told), default=1.0)
        if told and not np.allclose(self.told, told, rtol=1e-3, atol=1e-3 * size):
            raise UserError(f"{where} was learned through another operator; give the same one")

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
            every = (levels(torch.from_numpy(np.array(x)), self.colour) for x in signals.values)
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
            what = "some of" if self.units is None else "a measurement of"
            raise UserError(
                f"{signals.source}: {what} example {bad!r} is missing or not finite; "
                "measurements must be complete: leave the example out with data.select"
            )
        if self.units is not None:
            return self.units(torch.from_numpy(signals.values.astype(np.float32)))
        assert self.operator is not None
        blocks, one = torch.arange(len(signals)).split(BLOCK), self.operator
        return torch.cat([for_many(one, len(b))(signals.batch(b)[0]) for b in blocks])


def sensor(
    signals: Signals,
    *,
    measure: object = None,
    operator: object = None,
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
        measure: a simulated measurement: a rule (see `operators.measure`), of signals in model
            units; or what `operators.adopted` takes, of signals in data units.
        operator: or the source holds y = A(x) in data units: a matrix in a .npy, a rule, or what
            `adopted` takes.
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
    operator = str(operator) if isinstance(operator, Path) else operator
    if measure is not None and operator is not None:
        raise UserError("--measure and --operator exclude each other: leave one out")
    if operator is not None:
        found = _through(signals, operator, shape, range, seed)
        return _completed(found, signals, known) if complete else found
    if colour is not None and measure is not None:
        raise UserError("--measure: a sound is learned by its spectra; leave it out")
    if colour is not None:
        frames = signals.shape[-1] // colour.hop - 1
        return Sensor((colour.bands, frames), None, Scale(-LOUD, LOUD, "float32"), colour=colour)
    simulated = None if measure is None else _simulated(measure, signals, seed)
    found = Sensor(signals.shape, simulated, signals.scale)
    return _completed(found, signals, known) if complete else found


def _completed(found: Sensor, signals: Signals, known: Known | None) -> Sensor:
    """With what completes signals, where there is a linear measurement of not too many numbers."""
    matrix = found.written
    if matrix is None:
        return found
    with one_thread():
        known = known or Known.of(found.measured(signals).flatten(1), matrix, found.shape)
    kind = signals.kind if found.units is None else "array"
    return replace(found, completion=Completion(known, matrix), kind=kind)


def _simulated(given: object, signals: Signals, seed: int) -> Measurement:
    """A rule measures signals in model units; what was handed over, in data units."""
    if isinstance(given, str):
        return measure(given, signals.shape, 1, seed)
    if np.ndim(signals.scale.low):
        raise UserError("measure: columns have units of their own; give one data.range for all")
    return _in_units(adopted(given, signals.shape), signals.shape, signals.scale, seed)[0]


def _in_units(
    A: Measurement, shape: tuple[int, ...], scale: Scale, seed: int
) -> tuple[Measurement, Units]:
    with one_thread():  # what is seen must not hang on how many there are
        return in_model_units(A, shape, float(scale.unit), float(scale.middle), seed)


def _through(
    signals: Signals, given: object, wanted: str | None, range: str | None, seed: int
) -> Sensor:
    """Of signals that are measurements: their x, in units in which y is as large as x."""
    if wanted is None:
        raise UserError("--operator: say what shape a signal x has, --set data.shape=3x64x64")
    shape, rule = parse_latent(wanted), isinstance(given, str) and Path(given).suffix != ".npy"
    A = _at(given, shape, seed) if isinstance(given, str) else adopted(given, shape)
    name = f"--operator {given}" if isinstance(given, str) else "the operator"
    checked(A, name, prod(signals.shape), shape)
    own = f"{float(signals.scale.low)}:{float(signals.scale.high)}" if rule else "-1:1"
    low, high = parse_range(range or own)
    scale = Scale(low, high, "uint8" if (low, high) == (0.0, 255.0) else "float32")
    A, units = _in_units(A, shape, scale, seed)
    return Sensor(shape, A, scale, units)


def _at(text: str, shape: tuple[int, ...], seed: int) -> Measurement:
    """The operator of a .npy, or of a rule."""
    if Path(text).suffix == ".npy":
        return Projection(_matrix(Path(text)), 1)
    try:
        return measure(text, shape, 1, seed)
    except UserError as error:
        raise UserError(
            f"--operator {text}: must be a matrix in a .npy file, or a rule; {error}"
        ) from None


def _matrix(path: Path) -> Tensor:
    if not path.exists():
        raise UserError(f"--operator {path} does not exist; check the path")
    matrix = torch.from_numpy(np.array(arrays.load(path, None)[0], dtype=np.float32))
    if matrix.ndim != 2 or not torch.isfinite(matrix).all():
        raise UserError(f"--operator {path}: must be a matrix of finite numbers, one row each")
    return matrix
