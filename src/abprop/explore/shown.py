"""Signals as what a page can show, and what a page sends as signals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from abprop.data import Signals
from abprop.errors import UserError
from abprop.report.figures import coloured, headings
from abprop.report.figures.sounds import seen as spectrogram
from abprop.report.words import number, text
from abprop.run import Run

SIDE = 384  # pixels on the page of a small picture's longer side


@dataclass(frozen=True)
class View:
    """How one signal is shown: what draws it, and the values of these for a signal."""

    components: Callable[[], Sequence[gr.components.Component]]
    values: Callable[[np.ndarray], list[Any]]


def view(run: Run) -> View | None:
    """How signals f(z) of a run are shown, in data units (C, *size); None if they cannot be."""
    if run.rate:
        return View(
            lambda: [gr.Audio(label="f(z)"), image()],
            lambda x: [(run.rate, sixteen(x)), spectrogram(run, x, x)],
        )
    if pictured(run):
        return View(
            lambda: [image(name="signal")],
            lambda x: [picture(run, x)],
        )
    if len(run.shape) == 1:
        names = headings(run)
        return View(
            lambda: [gr.Dataframe(headers=["column", "f(z)"], label="f(z)", interactive=False)],
            lambda x: [[[name, number(v)] for name, v in zip(names, x.tolist(), strict=True)]],
        )
    return None


def image(value: np.ndarray | None = None, name: str | None = None) -> gr.Image:
    """A picture that is shown; `name` is that of its element in the page."""
    return gr.Image(value, format="png", show_label=False, buttons=["fullscreen"], elem_id=name)


def pictured(run: Run) -> bool:
    """Whether a signal of a run is a picture."""
    return len(run.shape) == 3 and not run.rate


def enlarged(pixels: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Pixels (H, W, 3) as squares, so many of the screen that a small picture can be seen."""
    times = max(1, side // max(pixels.shape[:2]))
    return pixels.repeat(times, 0).repeat(times, 1)


def picture(run: Run, x: np.ndarray) -> np.ndarray:
    """A signal in data units, (C, H, W), as pixels (H', W', 3); channels that are no colours side
    by side."""
    return enlarged(np.moveaxis(coloured(run.scale.to_model(x[None]))[0], 0, -1))


def sixteen(x: np.ndarray) -> np.ndarray:
    """A sound (C, T) in [-1, 1] as 16-bit samples (T, C)."""
    return np.rint(np.clip(x, -1, 1).T * 32767).astype(np.int16)


def opened(run: Run, path: str) -> Signals:
    """The picture of an uploaded file, brought to the run's size.

    Raises:
        UserError: it is none, or cannot be brought there.
    """
    if run.kind.cuts:
        return run.incomplete(path)
    return run.given(path, ["data.size=" + "x".join(map(str, reversed(run.shape[1:])))])


def told(answer: Callable[..., Any]) -> Callable[..., Any]:
    """What the user can mend becomes a line on the page."""

    def asked(*values: Any) -> Any:
        try:
            return answer(*values)
        except UserError as error:
            raise gr.Error(text(error), print_exception=False) from error  # it takes HTML

    return asked
