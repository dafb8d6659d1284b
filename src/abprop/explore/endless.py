"""New signals of any size: a texture, a sound, a video."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np

from abprop.explore.shown import image, sixteen, told
from abprop.report.figures import coloured
from abprop.report.figures.sounds import seen as spectrogram
from abprop.run import Run

LARGEST = 1024  # pixels of a side
SECONDS, FRAMES = 30, 240  # longest


def fits(run: Run) -> bool:
    """Whether samples may be of any size."""
    return run.endless or run.kind.moves or (run.model.network.stationary and len(run.shape) == 3)


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    inputs, outputs, answer = (
        _sound(run) if run.endless else _video(run) if run.kind.moves else _texture(run)
    )
    seed = gr.Number(0, label="seed", precision=0, minimum=0, maximum=2**31 - 1)
    again = gr.Button("Another", variant="primary")
    made = told(answer)
    again.click(lambda seed: seed + 1, seed, seed).then(made, [*inputs, seed], outputs)
    gr.on([i.release for i in inputs], made, [*inputs, seed], outputs, trigger_mode="always_last")
    gr.on([seed.submit], made, [*inputs, seed], outputs)
    page.load(made, [*inputs, seed], outputs)


def _texture(run: Run) -> Any:
    size = [min(LARGEST, 2 * n) for n in run.shape[1:]]
    with gr.Row():
        width = gr.Slider(16, LARGEST, size[1], step=16, label="width")
        height = gr.Slider(16, LARGEST, size[0], step=16, label="height")
    return [width, height], [image(name="woven")], partial(_woven, run)


def _woven(run: Run, width: float, height: float, seed: float) -> np.ndarray:
    x = run.sample(1, size=(int(height), int(width)), seed=int(seed))
    return np.moveaxis(coloured(run.scale.to_model(x))[0], 0, -1)


def _sound(run: Run) -> Any:
    seconds = gr.Slider(1, SECONDS, 5, step=1, label="seconds")
    return [seconds], [gr.Audio(label="a new sound"), image()], partial(_sounded, run)


def _sounded(run: Run, seconds: float, seed: float) -> tuple[Any, ...]:
    x = run.sample(1, seconds=seconds, seed=int(seed))[0]
    return (run.rate, sixteen(x)), spectrogram(run, x)


def _video(run: Run) -> Any:
    frames = gr.Slider(8, FRAMES, 96, step=8, label="frames")
    player = gr.Video(label="a new video", autoplay=True, loop=True)
    # Removed with the page; the browser is sent a copy that gradio keeps.
    return [frames], [player], partial(_filmed, run, tempfile.TemporaryDirectory())


def _filmed(run: Run, folder: tempfile.TemporaryDirectory[str], frames: float, seed: float) -> str:
    path = Path(folder.name) / "a.mp4"
    return str(run.record(path, frames=int(frames), seed=int(seed)))
