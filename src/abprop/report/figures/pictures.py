"""What a report shows of pictures, and of whatever can be shown as pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from abprop.data import MISSING, SECRET, Signals, Views
from abprop.data.signals import Ids
from abprop.errors import UserError
from abprop.evaluate import nearest
from abprop.evaluate.samples import textures
from abprop.files.write import grid
from abprop.measures import Ratios
from abprop.report.page import Figure, Table
from abprop.run import Run
from abprop.say import quiet

FEW = 12
Shown = Sequence[Figure | Table]


def sheet(run: Run, x: np.ndarray, columns: int | None = None) -> np.ndarray | None:
    """Signals in model units as one sheet of 8-bit pixels, (H, W, 3) or (H, W)."""
    tiles = run.kind.tiles(x)
    if tiles is None:
        return None
    whole = grid(tiles, columns)
    return whole[0] if len(whole) == 1 else np.moveaxis(whole, 0, -1)


def heat(sd: np.ndarray) -> np.ndarray:
    """Mean standard deviation over the channels as colours, black 0, white the largest of all."""
    from matplotlib import colormaps

    mean = sd.mean(1)
    top = float(np.quantile(mean, 0.999)) or 1.0
    colours = colormaps["magma"](np.clip(mean / top, 0, 1))[..., :3]
    return np.moveaxis(np.rint(255 * colours).astype(np.uint8), -1, 1)


def coloured(x: np.ndarray) -> np.ndarray:
    """Signals in model units as RGB, (n, 3, H, W'); channels that are no colours side by side."""
    pixels = np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)
    if pixels.shape[1] == 1:
        return np.repeat(pixels, 3, axis=1)
    if pixels.shape[1] == 3:
        return pixels
    beside = np.concatenate(np.moveaxis(pixels, 1, 0), axis=-1)
    return np.repeat(beside[:, None], 3, axis=1)


def figure(
    run: Run, title: str, caption: str, *parts: np.ndarray, columns: int | None = None
) -> list[Figure]:
    """Signals in model units, part after part, as a figure if they can be shown as pictures."""
    image = sheet(run, np.concatenate(parts), columns)
    return [] if image is None else [Figure(title, caption, image)]


def seen(signals: Signals | Views, ids: Ids) -> np.ndarray:
    """Some signals in model units, 0 (grey) where no one knows them or a mask hides them."""
    x, codes = signals.scale.to_model(signals.values_of(ids)), signals.codes(ids)
    return x if codes is None else np.where(np.isin(codes, (MISSING, SECRET)), np.float32(0), x)


def laid(parts: Tensor, places: Sequence[int], most: int | None = None) -> Tensor:
    """Stretches (M, C, t, ...) laid where they were cut, (C, T, ...): means where several lie.

    Of the first `most` entries in time, or all, those that a stretch covers.
    """
    length = parts.shape[2]
    frames = max(places) + length
    total = parts.new_zeros(parts.shape[1], frames, *parts.shape[3:])
    count = parts.new_zeros(frames)
    for place, part in zip(places, parts, strict=True):
        total[:, place : place + length] += part
        count[place : place + length] += 1
    total, count = total[:, :most], count[:most]
    told = count > 0
    return total[:, told] / count[told].reshape(-1, *[1] * (parts.ndim - 3))


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
    first = np.arange(len(shown))
    if held is None:
        answers, what = run.decode(run.z[: len(shown)]), "Training"
        words = "Training examples (above) and f(z) at the z they were learned with (below)."
    else:
        answers, what = run.reconstruct(shown.stored()), "Held-out"
        words = (
            "Examples the generator never learned from (above) and f(z) at their most probable z "
            "(below)."
        )
    pairs = seen(shown, first), run.scale.to_model(answers)
    return figure(run, f"{what} reconstructions", words, *pairs, columns=len(shown))


def _from_measurements(run: Run) -> Shown:
    """What learning made of its measurements, below the signals where these are known."""
    shown = run.signals.take(np.arange(min(FEW, len(run.signals))))
    x = run.scale.to_model(run.reconstruct(shown))
    if run.recipe.data.operator:
        words = "f(z) at the z that explains the measurements best."
        return figure(run, "From the measurements", words, x, columns=len(x))
    words = "Signals of which only measurements were seen (above) and f(z) from these (below)."
    known = seen(shown, np.arange(len(x)))
    return figure(run, "From the measurements", words, known, x, columns=len(x))


def samples(run: Run, columns: int | None = None) -> Shown:
    """New signals.

    Args:
        run: whose.
        columns: how many in a row; as many as fit a page, if None.
    """
    columns = columns or (16 if run.shape[-1] <= 64 else 8)
    words = "New signals f(z), z drawn from the learned prior; not chosen."
    x = run.scale.to_model(run.sample(64))
    return figure(run, "Samples", words, x, columns=columns)


def plane(run: Run) -> Shown:
    """The plane of two latent factors."""
    if not run.plane:
        return []
    words = "f(z) for z over [-2, 2] x [-2, 2]."
    x = run.scale.to_model(run.latent_grid())
    return figure(run, "The latent plane", words, x, columns=9)


def interpolation(run: Run) -> Shown:
    """Between four examples."""
    if len(run.names) < 4 or run.model.network.stationary:
        return []
    words = (
        "Along great circles between the latents of the first four training examples, in the "
        "corners."
    )
    x = run.scale.to_model(run.interpolate())
    return figure(run, "Interpolation", words, x, columns=8)


def nearest_neighbours(run: Run) -> Shown:
    """Samples beside the training signals most like them."""
    if own(run) is None or run.measured:
        return []
    made, train = run.scale.to_model(run.sample(FEW)), run.split.train
    blocks = (train.batch(torch.arange(i, min(i + 512, len(train))))[0]
              for i in range(0, len(train), 512))  # fmt: skip
    rows, _ = nearest(torch.from_numpy(made), blocks)
    words = (
        f"The first samples (above) and the training {run.kind.many} nearest to them in squared "
        "error, copies included (below)."
    )
    return figure(run, "Is it memory?", words, made, seen(train, rows), columns=len(made))


def source(run: Run) -> Shown:
    """What a stationary signal was cut from."""
    signals = own(run)
    if signals is None:
        return []
    x = seen(signals, np.arange(len(signals)))
    return figure(run, "The picture", "All there was to learn from.", x)


def crops(run: Run) -> Shown:
    """Cut examples and what the generator makes of them."""
    if own(run) is None:
        return []
    count, many = min(8, len(run.names)), run.kind.many.capitalize()
    pairs = seen(run.split.train, np.arange(count)), run.scale.to_model(run.decode(run.z[:count]))
    words = f"{many} (above) and f(z) at the z they were learned with (below)."
    return figure(run, many, words, *pairs, columns=count)


def synthesis(run: Run) -> Shown:
    """The picture and a new one twice as large each way, at the same scale."""
    if not run.model.network.stationary:
        return []
    signals = own(run)
    sides = (256, 256) if signals is None else signals.shape[1:]
    size = tuple(2 * min(256, n) for n in sides)
    made = run.scale.to_model(run.sample(1, size=size))
    if signals is None or len(size) != 2:
        return figure(run, "Synthesis", "A new picture; no crop of it was chosen.", made)
    words = "The picture (left) and a new one, twice as large, at the same scale; not chosen."
    old = seen(signals, np.arange(1))[..., : size[0], : size[1]]
    room = [(0, 0), (0, 0), (0, size[0] - old.shape[2]), (0, 8)]
    beside = np.concatenate((np.pad(old, room, constant_values=1), made), axis=3)
    return figure(run, "Synthesis", words, beside)


def likeness(run: Run) -> Shown:
    """Scores of a sample beside the picture, and pieces of it beside the nearest ones there."""
    signals = own(run)
    if signals is None or signals.hidden is not None or not run.kind.cuts:
        return []
    picture = signals.batch([0])[0][0]
    real = textures.material(picture, quiet)
    if real is None:
        return []
    size = tuple(min(textures.LARGEST, n) for n in picture.shape[1:])
    made = run.scale.to_model(run.sample(1, size=size))
    found = real.ratios(textures.as_shown(made[0]))
    table = scored(found, textures.words, "the picture")
    pieces = textures.pieces(torch.from_numpy(made[0]), picture)
    words = "Pieces of a sample (above, evenly taken) and the most similar of the picture (below)."
    shown = figure(
        run, "Is it memory?", words, *(p.numpy() for p in pieces), columns=len(pieces[0])
    )
    return [*shown, table]


def scored(found: Ratios, words: Callable[[str, float], str], real: str) -> Table:
    """Ratios of a sample, and what they say in words."""
    rows = [(name.replace("_", " "), v, words(name, v)) for name, v in found.items()]
    header = ("measure", "ratio", "what it says")
    return Table(f"A sample beside {real}: 1 is another piece of it", header, rows)
