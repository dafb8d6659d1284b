"""How a run's signals were observed: as they are, by a simulated measurement, or through a matrix.

Learning from measurements sees nothing else: all that is chosen by looking at the data is chosen by
looking at y.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from abprop.app.recipe import Recipe, parse_latent
from abprop.data import Scale, Signals
from abprop.errors import UserError
from abprop.files import arrays
from abprop.operators import Operator, Projection, measure, observe

BLOCK = 256  # signals measured together


@dataclass(frozen=True)
class Sensor:
    """What lies between signals and observations.

    Attributes:
        shape: (C, *size) of a signal x.
        operator: of one example; None where x itself is observed.
        scale: between x in data units and x in model units.
    """

    shape: tuple[int, ...]
    operator: Operator | None
    scale: Scale

    def observed(
        self, signals: Signals, rows: Tensor | None = None, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Operator]:
        """Observations and operator of some of the signals to learn from, or of all, on a device.

        Pictures are channels-last in memory, as the network makes them.
        """
        rows = torch.arange(len(signals)) if rows is None else rows
        y, hidden = signals.batch(rows)
        if self.operator is not None:
            A = self.operator[torch.zeros(len(y), dtype=torch.int64)]
            return y.to(device), A.to(device)
        layout = torch.channels_last if y.ndim == 4 else torch.preserve_format
        y, A = observe(
            y.to(device, memory_format=layout), hidden if hidden is None else hidden.to(device)
        )
        return y, A.to(device)


def sensor(recipe: Recipe, signals: Signals) -> Sensor:
    """The sensor that a recipe names, for such signals.

    Raises:
        UserError: both kinds of measurement at once, or an operator that does not fit.
    """
    data = recipe.data
    if data.measure and data.operator:
        raise UserError("--measure and --operator exclude each other: leave one out")
    if data.operator:
        return _through_matrix(recipe, signals)
    if data.measure:
        operator = measure(data.measure, signals.shape, 1, recipe.seed)
        return Sensor(signals.shape, operator, signals.scale)
    return Sensor(signals.shape, None, signals.scale)


def learned_from(recipe: Recipe, sensor: Sensor, signals: Signals) -> Signals:
    """What learning may see: the signals, or only what was measured of them.

    Raises:
        UserError: measurements that are not finite or not of the operator's shape, parts missing.
    """
    if sensor.operator is None:
        return signals
    if signals.hidden is not None:
        bad = signals.names[int(signals.hidden.reshape(len(signals), -1).any(1).argmax())]
        what = "a measurement of" if recipe.data.operator else "some of"
        raise UserError(
            f"{signals.source}: {what} example {bad!r} is missing or not finite; "
            "measurements must be complete: leave the example out with data.select"
        )
    if recipe.data.operator:
        values = _in_model_units(recipe, sensor, signals)
    else:
        blocks = torch.arange(len(signals)).split(BLOCK)
        one = sensor.operator
        values = torch.cat([one[torch.zeros_like(b)](signals.batch(b)[0]) for b in blocks])
    unit = Scale(-1.0, 1.0, "float32")
    return Signals.of("array", values.numpy(), None, signals.names, unit, signals.source)


def _through_matrix(recipe: Recipe, signals: Signals) -> Sensor:
    path, wanted = Path(str(recipe.data.operator)), recipe.data.shape
    if wanted is None:
        raise UserError("--operator: say what shape a signal x has, --set data.shape=3x64x64")
    shape = parse_latent(str(wanted))
    matrix, measured = _matrix(path), prod(signals.shape)
    if matrix.shape != (measured, prod(shape)):
        got = "x".join(map(str, matrix.shape))
        raise UserError(
            f"--operator {path} is {got}, but {measured} measurements of {prod(shape)} numbers "
            f"({wanted}) need {measured}x{prod(shape)}"
        )
    low, high = map(float, (recipe.data.range or "-1:1").split(":"))
    dtype = "uint8" if (low, high) == (0.0, 255.0) else "float32"
    return Sensor(shape, Projection(matrix / _gain(matrix), 1), Scale(low, high, dtype))


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


def _in_model_units(recipe: Recipe, sensor: Sensor, signals: Signals) -> Tensor:
    """y in data units -> y of x in model units: x_data = unit x + middle."""
    matrix = _matrix(Path(str(recipe.data.operator)))
    unit = float(sensor.scale.unit)
    middle = float(sensor.scale.low) + unit
    y = torch.from_numpy(signals.values.reshape(len(signals), -1).astype(np.float32))
    return (y - middle * matrix.sum(1)) / (unit * _gain(matrix))
