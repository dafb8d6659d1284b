"""From a recipe and a source to signals: what was learned from, or others brought to its form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from abprop.data import Scale, Signals
from abprop.errors import UserError
from abprop.kinds import Kind
from abprop.run.recipe import Recipe, compose
from abprop.run.schema import DataKeys
from abprop.say import Say, quiet
from abprop.sources import read


class OtherShape(UserError):
    """Signals of another shape than a run learned."""


def load_data(recipe: Recipe, source: object = None, say: Say = quiet) -> Signals:
    """The signals a recipe names, or the same from somewhere else; `say` is told how far it is."""
    data = recipe.data
    return read(
        data.source if source is None else source,
        kind=data.kind,
        size=data.size,
        channels=data.channels,
        select=data.select,
        limit=data.limit,
        range=data.range,
        masks=data.masks,
        hide=data.hide,
        seed=recipe.seed,
        columns=data.columns,
        rate=data.rate,
        seconds=data.seconds,
        say=say,
    )


def read_alike(
    source: object,
    recipe: Recipe,
    kind: Kind,
    shape: tuple[int | None, ...],
    scale: Scale,
    wish: DataKeys,
    masks: object = None,
    hide: str | None = None,
    rate: int | None = None,
    seconds: float | None = None,
) -> Signals:
    """Other data, brought to a run's size, channels and scale.

    Args:
        source: path or array.
        recipe, kind, shape, scale: of the run; None is a length that may be any.
        wish: data keys asked of the other data.
        masks: what is hidden of them, a path or an array, True = hidden.
        hide: or a rule that hides, "P.5".
        rate, seconds: of sounds.

    Raises:
        UserError: they cannot be brought there.
    """
    own, size = recipe.data, None
    if len(shape) == 3:
        size = f"{shape[2]}x{shape[1]}" if own.size or wish.size else None
    signals = read(
        source,
        kind=wish.kind if kind.cuts and None not in shape else own.kind,
        size=size,
        channels=own.channels,
        select=wish.select,
        limit=wish.limit,
        range=wish.range or own.range,
        masks=wish.masks if masks is None else masks,
        hide=wish.hide if hide is None else hide,
        seed=recipe.seed,
        # An array holds a run's columns and no others.
        columns=wish.columns or (own.columns if isinstance(source, str | Path) else None),
        rate=rate,
        seconds=seconds,
    )
    if not own.operator:  # the matrix checks measurements
        _check_shape(signals, shape)
    if wish.range is None and not own.operator:
        _check_units(signals, scale)
    if wish.range is None:
        signals = replace(signals, scale=scale)
    return replace(signals, columns=(), note="")


def read_measured(source: object, sets: Sequence[str]) -> Signals:
    """Measurements, as they are; `sets` may choose some of them."""
    wish = compose(None, sets).data
    return read(source, kind=wish.kind, select=wish.select, limit=wish.limit, range=wish.range)


def _check_shape(signals: Signals, shape: tuple[int | None, ...]) -> None:
    """Refuse signals of another shape; None is any length."""
    pairs = zip(shape, signals.shape, strict=False)
    if len(shape) != len(signals.shape) or any(n not in (None, m) for n, m in pairs):
        had = "x".join("any" if n is None else str(n) for n in shape)
        got = "x".join(map(str, signals.shape))
        raise OtherShape(
            f"{signals.source}: signals of shape {got}, but this run learned {had}; "
            "give signals of that shape, or fit a new run with --set data.size"
        )


def _check_units(signals: Signals, scale: Scale) -> None:
    """Refuse pictures that are plainly in other units than those learned from.

    Raises:
        UserError: their values span next to nothing of the run's range, or many times it.
    """
    if np.ndim(scale.low) or not len(signals):
        return
    low, high = float(np.nanmin(signals.values)), float(np.nanmax(signals.values))
    whole = float(scale.high) - float(scale.low)
    squeezed = scale.dtype.startswith("uint") and low >= 0 and high <= 1 and whole > 50
    if squeezed or max(high - float(scale.high), float(scale.low) - low) > 4 * whole:
        raise UserError(
            f"{signals.source}: values from {low:g} to {high:g}, but this run learned "
            f"{float(scale.low):g} to {float(scale.high):g}; bring them to these units, or say "
            "their range: --set data.range=low:high"
        )
