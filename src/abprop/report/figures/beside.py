"""What several runs make, side by side: new signals, and the same held-out ones told by each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from abprop.data import Views
from abprop.errors import UserError
from abprop.files.write import grid
from abprop.report.figures import pictures, sounds, videos
from abprop.report.figures.pictures import Shown, seen
from abprop.report.page import Beside, Figure
from abprop.run import Run

SHEET = 8  # samples in a row
CANVAS = 256  # pixels on a side of a texture, at most
FEW = 12  # held-out examples

Named = tuple[str, Run]  # as it is called on the page


def canvas(run: Run) -> Shown:
    """A new texture, as large as the picture, where it is one of any size."""
    if not run.model.network.stationary or len(run.shape) != 3:
        return []
    made = run.scale.to_model(run.sample(1, size=(CANVAS, CANVAS)))
    return pictures.figure(run, "Synthesis", "A new picture; no crop of it was chosen.", made)


# By the names of figures that kinds give for their reports.
NEW: dict[str, Callable[[Run], Shown]] = {
    "samples": lambda run: pictures.samples(run, SHEET),
    "synthesis": canvas,
    "sounded": sounds.sounded,
    "voiced": sounds.voiced,
    "moved": videos.sample,
}


def samples(runs: Iterable[Named]) -> Beside | None:
    """New signals of each run, with seed 0; None where the kinds show none."""
    found = list[Figure]()
    for name, run in runs:
        made = (part for kind in run.kind.figures if kind in NEW for part in NEW[kind](run))
        figures = [part for part in made if isinstance(part, Figure)]
        for figure in figures:
            title = name if len(figures) == 1 else f"{name}: {figure.title}"
            found.append(replace(figure, title=title))
    captions = {figure.caption for figure in found}
    if len(captions) == 1:  # said once
        found = [replace(figure, caption="") for figure in found]
    said = f"{captions.pop()} " if len(captions) == 1 else ""
    said += "Of the first run of each row, with seed 0."
    return Beside("New signals", said, found) if found else None


def reconstructions(runs: Sequence[Named]) -> list[Figure]:
    """Examples that none of the runs learned from, and what each makes of them.

    Returns:
        One figure; nothing where a kind shows none.

    Raises:
        UserError: there are no such examples, or data are not where they were.
    """
    if not all("reconstructions" in run.kind.figures and not run.measured for _, run in runs):
        return []
    if len({(run.recipe.data.fingerprint, run.shape) for _, run in runs}) > 1:
        raise UserError("the data differ, so no example is held out of all of them")
    parts = _unseen([run for _, run in runs])
    if not len(parts[0]):
        raise UserError("no example is held out of all of them")
    models = [_told(run, part) for (_, run), part in zip(runs, parts, strict=True)]
    everything = [seen(parts[0], np.arange(len(parts[0]))), *models]
    tiles = [runs[0][1].kind.tiles(x) for x in everything]
    return _stacked([one for one in tiles if one is not None], [name for name, _ in runs])


def _stacked(tiles: Sequence[np.ndarray], names: Sequence[str]) -> list[Figure]:
    """Pictures (n, C, H, W) of each, in a row of its own; nothing where there are none."""
    if not tiles:
        return []
    sheet = grid(np.concatenate(tiles), len(tiles[0]))
    image = sheet[0] if len(sheet) == 1 else np.moveaxis(sheet, 0, -1)
    words = "Examples that none of these runs learned from, the first ones and not chosen (above); "
    words += "f(z) of the first run of each row, at its most probable z (below)."
    return [Figure("Held-out reconstructions", words, image, rows=("held out", *names))]


def _unseen(runs: Sequence[Run]) -> list[Views]:
    """The same few examples as each of the runs held them out; the data are read once.

    Raises:
        UserError: they are not where they were.
    """
    for run in runs[1:]:
        run.source = runs[0].signals if run.source is None else run.source
    held = [run.split.heldout for run in runs]
    rows = [set() if views is None else set(views.rows.tolist()) for views in held]
    common = np.array(sorted(set.intersection(*rows))[:FEW], dtype=np.int64)
    whole = [views or run.split.train for views, run in zip(held, runs, strict=True)]
    return [views.take(np.flatnonzero(np.isin(views.rows, common))) for views in whole]


def _told(run: Run, part: Views) -> np.ndarray:
    """f(z) in model units, (n, C, *size)."""
    return run.scale.to_model(run.reconstruct(part.stored()))
