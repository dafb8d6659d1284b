"""Empty some cells of a row: what may be there, and how sure that is."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from abprop.data import Signals
from abprop.errors import UserError
from abprop.evaluate import Answering, recovery
from abprop.explore.shown import told
from abprop.report.figures import headings, own
from abprop.report.words import number
from abprop.run import Run

DRAWS = 64
HEADINGS = ["column", "given", "answer", "standard deviation"]


def fits(run: Run) -> bool:
    """Whether these are rows of a table, which can still be found."""
    return len(run.shape) == 1 and not run.measured and own(run) is not None


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    rows, names = run.signals, headings(run)
    answers = run.posterior(rows, DRAWS)
    which = gr.Slider(0, max(1, len(rows) - 1), 0, step=1, label="row")
    gr.Markdown("Empty a cell, or change it.")
    asked = gr.Dataframe(headers=names, type="array", row_count=1)
    answer = gr.Dataframe(headers=HEADINGS, interactive=False)
    chosen = told(partial(row, rows))
    which.input(chosen, which, asked, trigger_mode="always_last", show_progress="hidden")
    page.load(chosen, which, asked)
    filled = told(partial(completed, run, answers, names))
    asked.change(filled, asked, answer, trigger_mode="always_last", show_progress="hidden")


def row(rows: Signals, which: float) -> list[list[str]]:
    """One row as text, empty where it is missing."""
    one = rows.take([min(int(which), len(rows) - 1)])
    hidden = np.zeros(one.shape, bool) if one.hidden is None else one.hidden[0]
    cells = zip(one.values[0].tolist(), hidden, strict=True)
    return [["" if gone else f"{value:.8g}" for value, gone in cells]]


def completed(
    run: Run, answers: Answering, names: list[str], asked: list[list[Any]]
) -> list[list[str]]:
    """Each cell with the mean and spread of its answer.

    Raises:
        UserError: a cell is no number.
    """
    given = np.array([[cell(v, name) for v, name in zip(asked[0], names, strict=True)]], "f4")
    answer = recovery.answer(answers, run.given(given), DRAWS, run.device)
    columns = zip(names, given[0], answer.mean[0], answer.std[0], answer.hidden[0], strict=True)
    return [
        [name, "" if gone else number(value), number(mean), number(sd) if gone else ""]
        for name, value, mean, sd, gone in columns
    ]


def cell(value: Any, name: str) -> float:
    """A cell's number; NaN where it is empty."""
    text = "" if value is None else str(value).strip()
    try:
        return float(text) if text else np.nan
    except ValueError:
        mend = "empty it or give one"
        raise UserError(f"column {name}: {text[:20]!r} is no number; {mend}") from None
