"""Sliders along the leading directions of z: what the generator has learned to vary.

A slider's value is the coordinate u_k . z, in standard deviations of the prior; what z has beside
these directions stays as it was drawn.
"""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
import torch

from abprop import tasks
from abprop.explore.shown import told, view
from abprop.noise import Noise
from abprop.run import Run

SLIDERS = 8
EXTENT = 3.0  # standard deviations
WORDS = (
    "The directions of z along which f(z) changes most on average, and their shares of that change."
    " Units are standard deviations of the prior."
)


def fits(run: Run) -> bool:
    """Whether z is a vector and its signal can be shown."""
    return not run.model.network.stationary and view(run) is not None


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    along, shares = (
        part.cpu()
        for part in tasks.directions(run.model, SLIDERS, Noise(run.recipe.seed, "directions"))
    )
    shown = view(run)
    assert shown is not None
    mean = np.zeros(along.shape[1], np.float32)
    z, seed = gr.State(mean), gr.State(0)
    with gr.Row():
        with gr.Column():
            gr.Markdown(WORDS)
            sliders = [
                gr.Slider(-EXTENT, EXTENT, 0.0, step=0.05, label=f"direction {k}: {share:.0%}")
                for k, share in enumerate(shares.tolist(), 1)
            ]
        with gr.Column():
            outputs = shown.components()
            with gr.Row():
                middle, drawn = gr.Button("The mean"), gr.Button("A draw")
            last = max(1, len(run.names) - 1)
            example = gr.Slider(0, last, 0, step=1, label="a training example")

    def moved(z: np.ndarray, *values: float) -> Any:
        found = shown.values(run.decode(placed(along, z, values)[None])[0])
        return found if len(found) > 1 else found[0]  # one output takes no list

    def begun(z: np.ndarray) -> list[Any]:
        return [z, *coordinates(along, z), *shown.values(run.decode(z[None])[0])]

    def draw(seed: int) -> list[Any]:
        z = tasks.draw(run.model, 1, Noise(seed, "draws"))[0].cpu().numpy()
        return [seed + 1, *begun(z)]

    def learned(row: int) -> list[Any]:
        return begun(run.z[min(int(row), len(run.names) - 1)].cpu().numpy())

    state = [z, *sliders, *outputs]
    quick: Any = {"show_progress": "hidden", "trigger_mode": "always_last"}
    for slider in sliders:
        slider.input(told(moved), [z, *sliders], outputs, **quick)
    middle.click(told(lambda: begun(mean)), None, state, **quick)
    drawn.click(told(draw), seed, [seed, *state], **quick)
    example.input(told(learned), example, state, **quick)
    page.load(lambda: begun(mean), None, state)


def coordinates(along: torch.Tensor, z: np.ndarray) -> list[float]:
    """Those of z along each direction, within the sliders' range."""
    return (along @ torch.from_numpy(z)).clamp(-EXTENT, EXTENT).tolist()


def placed(along: torch.Tensor, z: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
    """z with these coordinates along the directions, (d,)."""
    start = torch.from_numpy(z)
    return (start + (torch.tensor(values) - along @ start) @ along).numpy()
