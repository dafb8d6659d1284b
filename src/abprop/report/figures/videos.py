"""What a report shows of videos: the clip, what f explains of it, a new one, and its score."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from abprop import tasks
from abprop.evaluate.samples import videos
from abprop.files.videos import save_video
from abprop.report.figures.pictures import Shown, laid, own, scored, sheet
from abprop.report.page import Figure
from abprop.run import Run
from abprop.say import quiet

HOW = {
    "linear": "; its factors move by a linear system.",
    "blocks": ": stretches of the clip's path that fit each other, made anew by f.",
}
SECONDS = 4.0  # that are played
STRIP = 12  # frames side by side


def filmed(run: Run) -> Shown:
    """The clip."""
    signals = own(run)
    if signals is None:
        return []
    x = videos.clip(signals)
    return _figure(run, "The clip", "All there was to learn from.", x.numpy())


def played(run: Run) -> Shown:
    """What f tells of the clip."""
    if own(run) is None:
        return []
    words = "f(z) at the z that the clip was learned with."
    return _figure(run, "The clip, reconstructed", words, explained(run))


def moved(run: Run) -> Shown:
    """A new video, and its scores beside the clip."""
    count, made = _count(run), _new(run)
    shown = _sample(run, made)
    signals = own(run)
    real = None if signals is None else videos.moving(signals, quiet)
    if real is None or count < real.length:
        return shown
    return [*shown, scored(real.ratios(videos.shown(made)), videos.words, "the clip")]


def sample(run: Run) -> Shown:
    """A new video alone."""
    return _sample(run, _new(run))


def _new(run: Run) -> np.ndarray:
    return run.scale.to_model(run.sample(1, frames=_count(run)))[0]


def _sample(run: Run, made: np.ndarray) -> list[Figure]:
    words = f"A new video, not chosen{HOW[run.recipe.model.motion] if not run.kind.cuts else '.'}"
    return _figure(run, "A sample", words, made)


def explained(run: Run) -> np.ndarray:
    """The clip as f tells it, (C, T, H, W) in model units: means over stretches that overlap."""
    x = tasks.generate(run.model, run.z[: len(run.names)], chunk=8).cpu()
    if not run.kind.cuts:
        return x.movedim(0, 1).numpy()
    return laid(x, [place[0] for place in run.meta["data"]["places"]]).numpy()


def strip(run: Run, x: np.ndarray, count: int = STRIP) -> np.ndarray | None:
    """Some frames of a video (C, T, H, W) in model units side by side, uint8 (H, W, 3) or (H, W).

    None where there is no such picture.
    """
    some = np.linspace(0, x.shape[1] - 1, min(count, x.shape[1])).round().astype(int)
    return sheet(run, x[:, some].swapaxes(0, 1), len(some))


def _count(run: Run) -> int:
    return max(1, round(SECONDS * run.meta["data"]["about"]["fps"]))


def _figure(run: Run, title: str, words: str, x: np.ndarray) -> list[Figure]:
    """A player over frames side by side."""
    image, begun = strip(run, x), x[:, : _count(run)]
    if image is None:
        return []
    return [Figure(title, words, image, scale=1, video=_encoded(run, begun))]


def _encoded(run: Run, x: np.ndarray) -> bytes:
    """MP4, the same bytes for the same video."""
    tiles = run.kind.tiles(x.swapaxes(0, 1))
    assert tiles is not None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.mp4"
        save_video([tiles.swapaxes(0, 1)], path, run.meta["data"]["about"]["fps"])
        return path.read_bytes()
