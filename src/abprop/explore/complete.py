"""Paint over a part of a picture: what may be there, and how sure that is.

Which law of residuals is better, and how wide it should be, is asked once, of a hole in pictures
whose truth is known; a painted picture then takes its chains alone.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from abprop.data import ASIDE, OBSERVED, SECRET, Signals
from abprop.errors import UserError
from abprop.evaluate import Posterior, recovery
from abprop.explore.shown import enlarged, image, opened, picture, pictured, told
from abprop.report.figures import coloured, heat, seen
from abprop.report.figures import own as found
from abprop.run import Run

DRAWS, SHOWN = 16, 4
ASKED = 8  # pictures with a hole for that
LARGEST = (
    64  # pixels of a side that is completed here of a larger picture: chains of a map are slow
)
PAINT = "#ff00ff"


def fits(run: Run) -> bool:
    """Whether there are pictures that were learned from as they are, and can still be found."""
    return pictured(run) and not run.measured and found(run) is not None


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    pictures = own(run)
    answers = prepared(run, pictures)
    signals, number = gr.State(None), gr.State(0)
    with gr.Row():
        with gr.Column():
            editor = gr.ImageEditor(
                label="paint over what is to be hidden", type="numpy", sources=(), transforms=(),
                layers=False, brush=gr.Brush(default_size=40, colors=[PAINT], color_mode="fixed"),
                elem_id="paint", height=460, format="png",
            )  # fmt: skip
            with gr.Row():
                other = gr.Button("Another picture")
                mine = gr.UploadButton("A picture of your own", file_types=["image"])
        with gr.Column():
            with gr.Row():
                mean = shown("Completed: the mean of what may be there", "completed")
                spread = shown("Standard deviation: brighter is more")
            draws = shown("Single draws of it")
            words = gr.Markdown()
    begun, done = [signals, editor, number], [mean, spread, draws, words]

    def nth(number: int) -> tuple[Any, ...]:
        one = pictures.take([number % len(pictures)])
        return one, board(run, one), number + 1

    def uploaded(path: str, number: int) -> tuple[Any, ...]:
        one = cropped(opened(run, path))
        return one, board(run, one), number

    page.load(told(nth), number, begun)
    other.click(told(nth), number, begun)
    mine.upload(told(uploaded), [mine, number], begun)
    editor.input(
        told(partial(completed, run, answers)), [editor, signals], done, trigger_mode="always_last"
    )


def shown(words: str, name: str | None = None) -> gr.Image:
    """An empty picture under its words."""
    with gr.Column(min_width=160):
        gr.Markdown(words)
        return image(name=name)


def own(run: Run) -> Signals:
    """Pictures of the run to begin with: held-out ones, if there are any."""
    if run.kind.cuts:
        return cropped(run.signals)
    parts = run.split
    return (parts.train if parts.heldout is None else parts.heldout).stored()


def cropped(signals: Signals) -> Signals:
    """The middle of larger pictures."""
    height, width = (slice(max(0, n - LARGEST) // 2, max(0, n - LARGEST) // 2 + LARGEST)
                     for n in signals.shape[1:])  # fmt: skip
    veil = None if signals.veil is None else signals.veil[..., height, width]
    return signals.become(signals.values[..., height, width], veil, signals.names)


def board(run: Run, one: Signals) -> dict[str, Any]:
    """What the editor begins with."""
    pixels = coloured(seen(one, [0])[:, : 3 if one.shape[0] == 3 else 1])[0]
    return {"background": enlarged(np.moveaxis(pixels, 0, -1)), "layers": [], "composite": None}


def painted(drawing: dict[str, Any] | None, size: tuple[int, ...]) -> np.ndarray:
    """What was painted over, bool (H, W): pixels of which half is covered."""
    layers = [] if drawing is None else [x for x in drawing["layers"] if x is not None]
    if not layers:
        return np.zeros(size, bool)
    over = np.max([layer[..., 3] > 127 for layer in layers], 0)
    times = [max(1, a // n) for a, n in zip(over.shape, size, strict=True)]
    over = over[: size[0] * times[0], : size[1] * times[1]]
    return over.reshape(size[0], times[0], size[1], times[1]).mean((1, 3)) >= 0.5


def prepared(run: Run, pictures: Signals) -> Posterior:
    """How the run answers for holes, by one of half the sides in the middle of some pictures."""
    some = pictures.take(range(min(ASKED, len(pictures))))
    veil = np.zeros((len(some), 1, *some.shape[1:]), np.uint8) if some.veil is None else some.veil
    hole = np.zeros(veil.shape, bool)
    hole[(..., *(slice(n // 4, n - n // 4) for n in some.shape[1:]))] = True
    veil = np.where(hole & (veil == OBSERVED), np.uint8(ASIDE), veil)
    found = run.posterior(some.become(some.values, veil, some.names), DRAWS)
    assert isinstance(found, Posterior)
    return replace(found, chunk=DRAWS)  # of one picture: more would be padding


def completed(
    run: Run, answers: Posterior, drawing: dict[str, Any] | None, one: Signals | None
) -> tuple[Any, ...]:
    """The mean, the spread, some draws, and a line about them."""
    if one is None:
        raise UserError("there is no picture yet; wait a moment")
    over = painted(drawing, one.shape[1:])
    if not over.any():
        return None, None, None, ""
    veil = np.zeros((1, 1, *over.shape), np.uint8) if one.veil is None else one.veil.copy()
    veil[..., over] = SECRET
    hidden = one.become(one.values, veil, one.names)
    answer = recovery.answer(answers, hidden, DRAWS, run.device)
    there = answer.std[np.broadcast_to(answer.hidden, answer.std.shape)]
    words = (
        f"{100 * over.mean():.0f} % hidden; standard deviation there "
        f"{np.sqrt(np.square(there).mean()):.3g} data units"
    )
    warm = enlarged(np.moveaxis(heat(answer.std)[0], 0, -1))
    sheet = np.concatenate([picture(run, x) for x in answer.draws[0, :SHOWN]], 1)
    return picture(run, answer.mean[0]), warm, sheet, words
