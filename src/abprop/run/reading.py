"""From a recipe and a source to signals: what was learned from, or others brought to its form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abprop.data import OBSERVED, Scale, Signals
from abprop.errors import UserError
from abprop.files.entries import by_row
from abprop.files.limits import check_memory
from abprop.grammar import parse_selection
from abprop.kinds import KINDS, Kind
from abprop.run.recipe import Recipe, compose
from abprop.run.schema import DataKeys
from abprop.say import Say, counted, quiet
from abprop.sources import read


class OtherShape(UserError):
    """Signals of another shape than a run learned."""


def load_data(
    recipe: Recipe, source: object = None, say: Say = quiet, scale: Scale | None = None
) -> Signals:
    """The signals a recipe names, with what was added to them and without what was forgotten.

    Args:
        recipe: complete but for what depends on the data.
        source: where they are, if somewhere else; a tuple: the first, and what was added.
        say: told how far reading is.
        scale: of the first, if that is known.

    Raises:
        UserError: see `sources.read`; there are more or fewer of them than there were; or the
            recipe does not tell.
    """
    places = source if isinstance(source, tuple) else (source,)
    growth = recipe.growth
    if len(places) > 1 + len(growth.added):
        there = counted(1 + len(growth.added), "source", "sources")
        raise UserError(f"data (--data): {len(places)} are given, and the run has {there}")
    first = _first(recipe, places[0], say)
    if growth == type(growth)():
        return first
    if not len(growth.sizes) == len(growth.added) + 1 == len(growth.masks) + 1:
        raise UserError("growth.*: what was added is not told whole; take the recipe back")
    first = first if scale is None else replace(first, scale=scale)
    parts = [first]
    for i, (place, masks) in enumerate(zip(growth.added, growth.masks, strict=True), 1):
        given = places[i] if i < len(places) and places[i] is not None else place
        parts.append(read_more(recipe, first, given, masks or None, i))
    return joined(parts, growth.sizes, forgotten(recipe))


def _first(recipe: Recipe, source: object, say: Say) -> Signals:
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
    seed: int = 0,
) -> Signals:
    """Other data, brought to a run's size, channels and scale.

    Args:
        source: path or array.
        recipe, kind, shape, scale: of the run; None is a length that may be any.
        wish: data keys asked of the other data.
        masks: what is hidden of them, a path or an array, True = hidden.
        hide: or a rule that hides, "P.5".
        rate, seconds: of sounds.
        seed: of the rule, from the recipe's on.

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
        seed=recipe.seed + seed,
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


def read_more(
    recipe: Recipe, first: Signals, source: object, masks: str | None, number: int
) -> Signals:
    """What is added to the signals that a run learns from, brought to their form.

    Args:
        recipe: of the run.
        first: the signals of its first source.
        source, masks: of what is added.
        number: of this source, from 1.
    """
    kind, length = KINDS[first.kind], dict[str, Any]()
    if first.rate:
        length = {"rate": first.rate, "seconds": first.shape[-1] / first.rate}
    asked = (recipe, kind, first.shape, first.scale, DataKeys(), masks, recipe.data.hide)
    return read_alike(source, *asked, **length, seed=number)


# What data became -----------------------------------------------------------------------------


def forgotten(recipe: Recipe) -> list[int]:
    """Ids that were taken out again, ascending."""
    told = recipe.growth.forgotten
    return [] if told is None else [i for i in parse_selection(told) if isinstance(i, int)]


def joined(
    parts: Sequence[Signals], sizes: Sequence[int], gone: Iterable[int] = (), since: int = 1
) -> Signals:
    """Signals one after the other, so that each one's place is its id for ever.

    Args:
        parts: like the first in all but their number.
        sizes: how many there were of each.
        gone: ids of which nothing shall be left. They may be missing from their source.
        since: number of the second part among the sources; it stands behind names: "smith+1".

    Raises:
        UserError: there are more or fewer of a part now.
    """
    first, gone, begin, whole = parts[0], np.array(sorted(gone), dtype=int), 0, list[Signals]()
    check_memory(sum(sizes), first.shape, first.values.itemsize, first.source)
    for part, size in zip(parts, sizes, strict=True):
        own = gone[(gone >= begin) & (gone < begin + size)] - begin
        whole.append(_blanked(part, size, own) if len(own) else _complete(part, size))
        begin += size
    if len(whole) == 1:
        return whole[0]
    values, names = np.concatenate([part.values for part in whole]), list(whole[0].names)
    for number, part in enumerate(whole[1:], since):  # one name may be in several sources
        names += [f"{name}+{number}" if name else "" for name in part.names]
    return first.become(values, _veils(whole), names)


def _veils(parts: Sequence[Signals]) -> np.ndarray | None:
    """One veil of all, with channels of its own where one part has them."""
    found = [part.veil for part in parts if part.veil is not None]
    if not found:
        return None
    channels = max(veil.shape[1] for veil in found)
    whole = []
    for part in parts:
        veil = np.uint8(OBSERVED) if part.veil is None else part.veil
        whole.append(np.broadcast_to(veil, (len(part), channels, *part.shape[1:])))
    return np.concatenate(whole)


def _complete(part: Signals, size: int) -> Signals:
    if len(part) != size:
        raise UserError(
            f"{part.source} holds {len(part)} examples, but a run learned from {size}: give it "
            "as it was; new ones go into a source of their own, for --add"
        )
    return part


def _blanked(part: Signals, size: int, gone: np.ndarray) -> Signals:
    """A part with nothing in the places of what was forgotten, whether or not it is still there."""
    left = np.setdiff1d(np.arange(size), gone)
    if len(part) != len(left):
        part = _complete(part, size).take(left)
    found, names = list(part.names), [""] * size
    if found == by_row(range(len(found))):  # by their rows, which are others now
        found = by_row(left.tolist())
    for place, name in zip(left.tolist(), found, strict=True):
        names[place] = name
    veil = None if part.veil is None else _spread(part.veil, left, size)
    return part.become(_spread(part.values, left, size), veil, names)


def _spread(rows: np.ndarray, places: np.ndarray, size: int) -> np.ndarray:
    whole = np.zeros((size, *rows.shape[1:]), rows.dtype)
    whole[places] = rows
    return whole


# Whether others fit ---------------------------------------------------------------------------


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
