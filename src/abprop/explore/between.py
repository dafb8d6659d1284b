"""Between four pictures that are dropped: a sheet of f(z) along great circles of their z."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr
import numpy as np
import torch

from abprop import tasks
from abprop.explore.shown import enlarged, opened, picture, pictured, told
from abprop.files.write import grid
from abprop.report.figures import coloured
from abprop.run import Run

EDGE, SIDE = 8, 768  # signals along an edge of the sheet, pixels of it


def fits(run: Run) -> bool:
    """Whether there are pictures with vectors of factors."""
    return pictured(run) and not run.model.network.stationary and not run.measured


def tab(run: Run, page: gr.Blocks) -> None:
    """The tab, within the page."""
    first = run.z[tasks.corners(None, run.ids[: len(run.names)].tolist())].cpu().numpy()
    z = gr.State(first)
    with gr.Row():
        with gr.Column(scale=2):
            gr.Markdown("The corners: drop a picture of your own on one.")
            corners = []
            for row in (0, 2):
                with gr.Row():
                    corners += [_corner(run, first, k) for k in (row, row + 1)]
        with gr.Column(scale=3):
            gr.Markdown("f(z) on great circles between their z")
            sheet = gr.Image(
                sheeted(run, first),
                show_label=False,
                format="png",
                buttons=["fullscreen"],
                elem_id="sheet",
            )
    for k, corner in enumerate(corners):
        corner.upload(told(partial(dropped, run, k)), [corner, z], [z, sheet])


def _corner(run: Run, z: np.ndarray, k: int) -> gr.Image:
    pixels = picture(run, run.decode(z[k : k + 1])[0])
    return gr.Image(pixels, type="filepath", image_mode=None, sources=["upload"], height=200,
                    min_width=140, show_label=False, buttons=[], elem_id=f"corner-{k}")  # fmt: skip


def dropped(run: Run, k: int, path: str, z: np.ndarray) -> tuple[Any, np.ndarray]:
    """Another picture in corner k."""
    z = z.copy()
    z[k] = run.embed(opened(run, path))[0]
    return z, sheeted(run, z)


def sheeted(run: Run, z: np.ndarray) -> np.ndarray:
    """The sheet between four latents (4, d), pixels (H, W, 3)."""
    x = run.decode(tasks.sheet(torch.from_numpy(z), EDGE))
    tiles = grid(coloured(run.scale.to_model(x)), EDGE)
    return enlarged(np.moveaxis(tiles, 0, -1), SIDE)
