"""What a report shows, by the names that kinds of signals give.

Each is a function of a run that gives figures or tables, none where there is nothing to show: the
data cannot be found, or signals of this shape are no pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from abprop.data import Signals
from abprop.errors import UserError
from abprop.evaluate import nearest
from abprop.files.write import grid
from abprop.report.page import Figure, Table
from abprop.run import Run

FEW = 12
Shown = Sequence[Figure | Table]


def sheet(run: Run, x: np.ndarray, columns: int | None = None) -> np.ndarray | None:
    """Signals in data units as one sheet of 8-bit pixels, (H, W, 3) or (H, W)."""
    tiles = run.kind.tiles(run.scale.to_model(x))
    if tiles is None:
        return None
    whole = grid(tiles, columns)
    return whole[0] if len(whole) == 1 else np.moveaxis(whole, 0, -1)


def figure(
    run: Run, title: str, caption: str, x: np.ndarray, columns: int | None = None
) -> list[Figure]:
    """Signals in data units as a figure, if they can be shown as pictures."""
    image = sheet(run, x, columns)
    return [] if image is None else [Figure(title, caption, image)]


def own(run: Run) -> Signals | None:
    """The run's data, if they can still be found."""
    try:
        return run.signals
    except UserError:
        return None


def reconstructions(run: Run) -> Shown:
    """Signals and what the generator makes of them."""
    if own(run) is None:
        return []
    if run.measured:
        return _from_measurements(run)
    parts = run.split
    held = parts.heldout
    shown = (parts.train if held is None else held).take(np.arange(FEW)[: len(held or parts.train)])
    if held is None:
        answers, what = run.decode(run.z[: len(shown)]), "Training"
        words = "Training examples (above) and f(z) at the z they were learned with (below)."
    else:
        answers, what = run.reconstruct(shown.stored()), "Held-out"
        words = (
            "Examples the generator never learned from (above) and f(z) at their most probable z "
            "(below)."
        )
    pairs = np.concatenate([shown.stored().values, answers])
    return figure(run, f"{what} reconstructions", words, pairs, len(shown))


def _from_measurements(run: Run) -> Shown:
    """What learning made of its measurements, below the signals where these are known."""
    shown = run.signals.take(np.arange(min(FEW, len(run.signals))))
    x = run.reconstruct(shown)
    if run.recipe.data.operator:
        words = "f(z) at the z that explains the measurements best."
        return figure(run, "From the measurements", words, x, len(x))
    words = "Signals of which only measurements were seen (above) and f(z) from these (below)."
    pairs = np.concatenate([shown.values, x])
    return figure(run, "From the measurements", words, pairs, len(x))


def samples(run: Run) -> Shown:
    """New signals."""
    columns = 16 if run.shape[-1] <= 64 else 8
    words = "New signals f(z), z drawn from the learned prior; not chosen."
    return figure(run, "Samples", words, run.sample(64), columns)


def plane(run: Run) -> Shown:
    """The plane of two latent factors."""
    if not run.plane:
        return []
    words = "f(z) for z over [-2, 2] x [-2, 2]."
    return figure(run, "The latent plane", words, run.latent_grid(), 9)


def interpolation(run: Run) -> Shown:
    """Between four examples."""
    if len(run.names) < 4 or run.model.network.stationary:
        return []
    words = (
        "Along great circles between the latents of the first four training examples, in the "
        "corners."
    )
    return figure(run, "Interpolation", words, run.interpolate(), 8)


def nearest_neighbours(run: Run) -> Shown:
    """Samples beside the training signals most like them."""
    if own(run) is None or run.measured:
        return []
    made, train = run.sample(64)[:FEW], run.split.train
    blocks = (train.batch(torch.arange(i, min(i + 512, len(train))))[0]
              for i in range(0, len(train), 512))  # fmt: skip
    rows, _ = nearest(torch.from_numpy(run.scale.to_model(made)), blocks)
    pairs = np.concatenate([made, train.values_of(rows)])
    words = (
        f"The first samples (above) and the training {run.kind.many} nearest to them in squared "
        "error, copies included (below)."
    )
    return figure(run, "Is it memory?", words, pairs, len(made))


def source(run: Run) -> Shown:
    """What a stationary signal was cut from."""
    signals = own(run)
    if signals is None:
        return []
    return figure(run, "The picture", "All there was to learn from.", signals.values)


def crops(run: Run) -> Shown:
    """Cut examples and what the generator makes of them."""
    if own(run) is None:
        return []
    shown = run.split.train.take(np.arange(min(8, len(run.names)))).stored()
    pairs = np.concatenate([shown.values, run.decode(run.z[: len(shown)])])
    words = (
        f"{run.kind.many.capitalize()} (above) and f(z) at the z they were learned with (below)."
    )
    return figure(run, run.kind.many.capitalize(), words, pairs, len(shown))


def synthesis(run: Run) -> Shown:
    """A new signal twice as large each way."""
    if not run.model.network.stationary:
        return []
    signals = own(run)
    side = 256 if signals is None else min(256, *signals.shape[1:])
    words = "A new picture, twice as large each way; no crop of it was chosen."
    return figure(run, "Synthesis", words, run.sample(1, size=(2 * side,) * (len(run.shape) - 1)))


FIGURES: dict[str, Callable[[Run], Shown]] = {
    "reconstructions": reconstructions,
    "samples": samples,
    "plane": plane,
    "interpolation": interpolation,
    "nearest": nearest_neighbours,
    "source": source,
    "crops": crops,
    "synthesis": synthesis,
}
