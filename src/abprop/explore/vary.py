"""Sliders along the leading directions of z: what the generator has learned to vary.

A slider's value is the coordinate u_k . z, in standard deviations of the prior; what z has beside
these directions stays as it was drawn.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import numpy as np
import torch

from abprop import tasks
from abprop.explore.shown import View, told, view
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


@dataclass(frozen=True)
class Sliders:
    """What the sliders of a run mean: `along` (K, d) are their directions of z."""

    run: Run
    along: torch.Tensor
    shown: View

    @property
    def mean(self) -> np.ndarray:
        """The prior's mean, (d,)."""
        return np.zeros(self.along.shape[1], np.float32)

    def moved(self, z: np.ndarray, *values: float) -> Any:
        """f of z with other coordinates."""
        found = self.shown.values(self.run.decode(placed(self.along, z, values)[None])[0])
        return found if len(found) > 1 else found[0]  # one output takes no list

    def begun(self, z: np.ndarray) -> list[Any]:
        """z, its coordinates, and f(z)."""
        signal = self.run.decode(z[None])[0]
        return [z, *coordinates(self.along, z), *self.shown.values(signal)]

    def draw(self, seed: int) -> list[Any]:
        """Another draw from the prior, the next seed before it."""
        z = tasks.draw(self.run.model, 1, Noise(seed, "draws"))[0].cpu().numpy()
        return [seed + 1, *self.begun(z)]

    def learned(self, row: float) -> list[Any]:
        """A training example's z."""
        return self.begun(self.run.z[min(int(row), len(self.run.names) - 1)].cpu().numpy())


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    noise, shown = Noise(run.recipe.seed, "directions"), view(run)
    along, shares = (part.cpu() for part in tasks.directions(run.model, SLIDERS, noise))
    assert shown is not None
    asked = Sliders(run, along, shown)
    z, seed = gr.State(asked.mean), gr.State(0)
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
    state = [z, *sliders, *outputs]
    quick: Any = {"show_progress": "hidden", "trigger_mode": "always_last"}
    for slider in sliders:
        slider.input(told(asked.moved), [z, *sliders], outputs, **quick)
    middle.click(told(partial(asked.begun, asked.mean)), None, state, **quick)
    drawn.click(told(asked.draw), seed, [seed, *state], **quick)
    example.input(told(asked.learned), example, state, **quick)
    page.load(partial(asked.begun, asked.mean), None, state)


def coordinates(along: torch.Tensor, z: np.ndarray) -> list[float]:
    """Those of z along each direction, within the sliders' range."""
    found = (along @ torch.from_numpy(z)).clamp(-EXTENT, EXTENT)
    return [round(value, 2) for value in found.tolist()]


def placed(along: torch.Tensor, z: np.ndarray, values: tuple[float, ...]) -> np.ndarray:
    """z with these coordinates along the directions, (d,)."""
    start = torch.from_numpy(z)
    return (start + (torch.tensor(values) - along @ start) @ along).numpy()
