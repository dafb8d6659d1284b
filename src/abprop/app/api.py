"""The Python face: fit a run, load a run.

run = abprop.fit(array_or_path, latent=100, budget="10m")
run = abprop.load("runs/faces")
run.sample(16);  run.reconstruct(x);  run.embed(x)
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from abprop.app.progress import Bar
from abprop.errors import unknown
from abprop.learning import Clock
from abprop.run import Layers, Progress, Run, load
from abprop.run import fit as _fit
from abprop.run.recipe import KEYS

__all__ = ["Run", "fit", "load"]

_SHORT = {key.rpartition(".")[2]: key for key in reversed(list(KEYS))}


def fit(
    source: object,
    *,
    run: str | Path | None = None,
    preset: str | Path | None = None,
    sets: Mapping[str, Any] | None = None,
    verbose: bool = True,
    **short: Any,
) -> Run:
    """Learn a generator and its examples' latents.

    Args:
        source: a path as on the command line, or an array: (N, H, W[, C]) or (N, C, H, W) pictures,
            (H, W[, C]) one texture, (N, D) a table; NaN = missing.
        run: the run directory; fitting again into it resumes. A temporary one if None.
        preset: a preset's name or TOML file.
        sets: dotted recipe keys, as {"model.latent": 100}.
        verbose: show progress on stderr.
        **short: recipe keys without their section: latent=100, iterations=500, budget="10m".

    Returns:
        The fitted run, at its best checkpoint.

    Raises:
        UserError: bad data, an unknown key or a bad value; one line saying what to do.
    """
    clock = Clock()
    overrides = dict(sets or {})
    for name, value in short.items():
        if name not in _SHORT:
            raise unknown("argument", name, _SHORT)
        overrides[_SHORT[name]] = value
    named = isinstance(source, str | Path)
    overrides["data.source"] = str(source) if named else "<array>"
    folder = Path(run) if run is not None else Path(tempfile.mkdtemp(prefix="abprop-"))
    asked, given = Layers(preset, (), overrides), None if named else source
    progress = Bar() if verbose else Progress()
    try:
        _fit(folder, asked, source=given, progress=progress, clock=clock)
    finally:
        progress.end()
    return load(folder, data=given)
