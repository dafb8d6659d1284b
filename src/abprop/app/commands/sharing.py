"""A run in other hands: its decoder, a page, the Hub. Heavy imports wait inside the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abprop.app.commands.options import Data, Device, RunDir, placed, say


def export(
    run: RunDir,
    out: Annotated[Path, typer.Option("-o", "--out", help="model.onnx, or model.pt2")],
    device: Device = None,
) -> None:
    """Write the decoder alone, for onnxruntime (.onnx) or torch.export.load (.pt2).

    Its input is z, (batch, *latent), its output x in data units; the batch is free, and so are the
    cells of a map.
    """
    from abprop.app.api import load
    from abprop.export import export as write

    say(f"decoder: {write(load(run, device=device, say=say), out)}")


def explore(
    run: RunDir,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="7860 or a free one")] = None,
    data: Data = None,
    device: Device = None,
) -> None:
    """A page to play with: sliders, paint what to complete, any size; on this machine alone."""
    from abprop.app.api import load
    from abprop.explore import explore as serve

    serve(load(run, data=placed(data), device=device, say=say), port, say=say)


def push(
    run: RunDir,
    name: Annotated[str, typer.Argument(help="hf://NAMESPACE/NAME, or NAMESPACE/NAME")],
    private: Annotated[bool, typer.Option("--private", help="if it is new: not for all")] = False,
) -> None:
    """Upload a run to the Hugging Face Hub, with a card; neither its data nor its report."""
    from abprop.app.api import load
    from abprop.hub import push as upload

    say(f"pushed: {upload(load(run, say=say), name, private=private)}")
