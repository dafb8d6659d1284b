"""What a report shows of a table: its columns and its first rows."""

from __future__ import annotations

import math

import numpy as np

from abprop.data import MISSING, SECRET, Signals
from abprop.files.tables import numbered
from abprop.report.figures.pictures import Shown, own
from abprop.report.page import Table
from abprop.report.words import number
from abprop.run import Run

ROWS, WIDE = 8, 20  # of a table that are written out
SCORED = 1000  # rows of a table that are reconstructed


def columns(run: Run) -> Shown:
    """Each column: how much of it was seen, how it is spread, how well it is told."""
    signals = own(run)
    if signals is None or run.measured:
        return []
    some = signals if len(signals) <= SCORED else signals.take(np.arange(SCORED))
    found = run.reconstruct(some).astype(np.float64)
    told, everything = [], _known(signals)
    for c, name in enumerate(headings(run)):
        known = everything[:, c]
        values = signals.values[known, c].astype(np.float64)
        scored = known[: len(some)]
        error = found[scored, c] - some.values[scored, c]
        rmse = float(np.sqrt(np.mean(error**2))) if scored.any() else math.nan
        spread = (values.mean(), values.std()) if len(values) else (math.nan, math.nan)
        note = run.kind.remarks(signals.values[:, c : c + 1], ~known[:, None], [name])
        told.append((name, 100 * float(known.mean()), *map(float, spread), rmse, note))
    header = ("column", "observed, %", "mean", "sd", "RMSE of f(z)", "note")
    return [Table("Columns, in their own units", header, told)]


def rows(run: Run) -> Shown:
    """The first rows, and what f(z) makes of each cell."""
    signals = own(run)
    if signals is None or run.measured:
        return []
    shown = signals.take(np.arange(min(ROWS, len(signals))))
    found, known = run.reconstruct(shown), _known(shown)
    told = [
        [name, *(
            f"{number(was)} → {number(now)}" if seen_ else f"{number(now)}*"
            for was, now, seen_ in zip(*map(np.ndarray.tolist, (a, b, k)), strict=True)
        )]
        for name, a, b, k in zip(
            shown.names, shown.values[:, :WIDE], found[:, :WIDE], known[:, :WIDE], strict=True
        )
    ]  # fmt: skip
    title = "The first rows: observed → f(z) (* was missing)"
    return [Table(title, ["row", *headings(run)[:WIDE]], told)]


def headings(run: Run) -> list[str]:
    """The names of a table's columns."""
    return list(run.meta["data"]["columns"] or numbered(run.shape[0]))


def _known(signals: Signals) -> np.ndarray:
    """Bool (N, C), what may be looked at."""
    codes = signals.codes(np.arange(len(signals)))
    if codes is None:
        return np.ones(signals.values.shape, dtype=bool)
    return ~np.isin(codes, (MISSING, SECRET))
