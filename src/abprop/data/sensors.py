"""How signals were observed: as they are, by a measurement, through a matrix, or as spectra.

Learning from measurements sees nothing else: all that is chosen by looking at the data is chosen by
looking at y.
"""

from __future__ import annotations

from dataclasses import dataclass
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
from abprop.operators import Operator, Projection, measure
from abprop.spectra import Colour, levels

BLOCK = 256  # signals measured together
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
    """

    shape: tuple[int, ...]
    operator: Operator | None
    scale: Scale
    matrix: Tensor | None = None
    colour: Colour | None = None

    def examples(self, source: Source, ids: Tensor) -> Examples:
        """What learning sees of a source that `learned_from` gave, or of views of it."""
        A = Veils(source) if self.operator is None else Same(self.operator)
        return Examples(Seen(source), A, ids, self.shape)

    def learned_from(self, signals: Signals) -> Signals:
        """What learning may see: the signals, or only what was measured of them.

        Raises:
            UserError: measurements that are not finite, or parts missing.
        """
        if self.colour is not None:
            every = (levels(torch.from_numpy(x), self.colour) for x in signals.values)
            values = torch.stack(list(every)).numpy()
            return Signals.of(signals.kind, values, None, signals.names, UNIT, signals.source)
        if self.operator is None:
            return signals
        if signals.hidden is not None:
            bad = signals.names[int(signals.hidden.reshape(len(signals), -1).any(1).argmax())]
            what = "some of" if self.matrix is None else "a measurement of"
            raise UserError(
                f"{signals.source}: {what} example {bad!r} is missing or not finite; "
                "measurements must be complete: leave the example out with data.select"
            )
        if self.matrix is None:
            blocks = torch.arange(len(signals)).split(BLOCK)
            one = self.operator
            values = torch.cat([one[torch.zeros_like(b)](signals.batch(b)[0]) for b in blocks])
        else:
            values = self._in_model_units(self.matrix, signals)
        return Signals.of("array", values.numpy(), None, signals.names, UNIT, signals.source)

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

    Raises:
        UserError: both kinds of measurement at once, or an operator that does not fit.
    """
    if measure and operator:
        raise UserError("--measure and --operator exclude each other: leave one out")
    if operator:
        return _through_matrix(signals, Path(operator), shape, range)
    if colour is not None and measure:
        raise UserError("--measure: a sound is learned by its spectra; leave it out")
    if colour is not None:
        frames = signals.shape[-1] // colour.hop - 1
        return Sensor((colour.bands, frames), None, Scale(-LOUD, LOUD, "float32"), colour=colour)
    simulated = _simulated(measure, signals.shape, seed) if measure else None
    return Sensor(signals.shape, simulated, signals.scale)


def _simulated(rule: str, shape: tuple[int, ...], seed: int) -> Operator:
    return measure(rule, shape, 1, seed)


def _through_matrix(signals: Signals, path: Path, wanted: str | None, range: str | None) -> Sensor:
    if wanted is None:
        raise UserError("--operator: say what shape a signal x has, --set data.shape=3x64x64")
    shape = parse_latent(wanted)
    matrix, measured = _matrix(path), prod(signals.shape)
    if matrix.shape != (measured, prod(shape)):
        got = "x".join(map(str, matrix.shape))
        raise UserError(
            f"--operator {path} is {got}, but {measured} measurements of {prod(shape)} numbers "
            f"({wanted}) need {measured}x{prod(shape)}"
        )
    low, high = parse_range(range or "-1:1")
    dtype = "uint8" if (low, high) == (0.0, 255.0) else "float32"
    A = Projection(matrix / _gain(matrix), 1)
    return Sensor(shape, A, Scale(low, high, dtype), matrix)


def _matrix(path: Path) -> Tensor:
    if path.suffix != ".npy":
        raise UserError(f"--operator {path}: must be a matrix in a .npy file")
    if not path.exists():
        raise UserError(f"--operator {path} does not exist; check the path")
    matrix = torch.from_numpy(np.array(arrays.load(path, None)[0], dtype=np.float32))
    if matrix.ndim != 2 or not torch.isfinite(matrix).all():
        raise UserError(f"--operator {path}: must be a matrix of finite numbers, one row each")
    return matrix


def _gain(matrix: Tensor) -> Tensor:
    """What divides A and y so that y has x's units: the rows' length, root mean square."""
    return matrix.square().sum(1).mean().sqrt().clamp_min(1e-12)
