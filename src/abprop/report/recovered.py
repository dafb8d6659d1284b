"""Recovered signals in the user's hands: files, maps of the uncertainty, a page to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abprop.data import MISSING, Signals
from abprop.evaluate import Answer
from abprop.files.write import grid, put, save_images
from abprop.report.figures import WIDE, headings
from abprop.report.page import Figure, Page, Table, write
from abprop.report.words import number
from abprop.run import Run
from abprop.say import counted

SHOWN, DRAWN = 8, 4  # signals on the page, and draws of each that become pictures
FEW_CHANNELS = (1, 3)


def write_answer(run: Run, signals: Signals, answer: Answer, path: Path) -> str:
    """Write a recovery where the user asked, and say where.

    A path with an extension is one file: .npz holds every map, another a sheet (or table) of the
    answers. Any other path is a folder: answers under the signals' own names, recovered.npz,
    maps as pictures in folders beside them, and recovered.html to look at.

    Args:
        run: whose answer it is.
        signals: what was recovered.
        answer: see `recovery.Answer`.
        path: where to.

    Raises:
        UserError: the format cannot hold such signals, or the disk refuses.
    """
    if path.suffix == ".npz":
        _write_arrays(path, answer)
        return f"{counted(len(answer.mean), 'signal', 'signals')} with their uncertainty: {path}"
    names = list(answer.names)
    if path.suffix or answer.mean.ndim != 4:
        folder = not path.suffix
        said = run.write(answer.mean, path, names)
        if folder:
            _write_arrays(path / "recovered.npz", answer)
        if folder and answer.mean.ndim == 2:
            write(path / "recovered.html", _page(run, signals, answer))
            said = f"{said}; page: {path / 'recovered.html'}"
        return said
    said = _write_pictures(run, answer, path, names)
    _write_arrays(path / "recovered.npz", answer)
    page = path / "recovered.html"
    write(page, _page(run, signals, answer))
    return f"{said}; maps: {path / 'recovered.npz'}; page: {page}"


def _write_arrays(path: Path, answer: Answer) -> None:
    arrays = {
        "mean": answer.mean,
        "std": answer.std,
        "q05": answer.q05,
        "q50": answer.q50,
        "q95": answer.q95,
        "draws": answer.draws,
        "hidden": answer.hidden,
        "names": np.asarray(answer.names),
    }
    put(path, lambda file: np.savez_compressed(file, **arrays))  # type: ignore[arg-type]


def _write_pictures(run: Run, answer: Answer, folder: Path, names: list[str]) -> str:
    said = run.write(answer.mean, folder, names)
    if answer.mean.shape[1] not in FEW_CHANNELS:
        return said
    dtype = answer.mean.dtype
    for name, quantile in (("q05", answer.q05), ("q50", answer.q50), ("q95", answer.q95)):
        save_images(_rounded(quantile, dtype), folder / name, names=names)
    save_images(_heat(answer.std), folder / "std", names=names)
    for k in range(min(DRAWN, answer.draws.shape[1])):
        save_images(answer.draws[:, k], folder / f"draw-{k + 1}", names=names)
    return said


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "iu":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(dtype)


def _heat(sd: np.ndarray) -> np.ndarray:
    """Mean standard deviation over the channels as colours, black 0, white the largest of all."""
    from matplotlib import colormaps

    mean = sd.mean(1)
    top = float(np.quantile(mean, 0.999)) or 1.0
    colours = colormaps["magma"](np.clip(mean / top, 0, 1))[..., :3]
    return np.moveaxis(np.rint(255 * colours).astype(np.uint8), -1, 1)


# The page -------------------------------------------------------------------------------------


def _page(run: Run, signals: Signals, answer: Answer) -> Page:
    hidden = answer.hidden
    share = float(np.broadcast_to(hidden, answer.mean.shape).mean())
    there = answer.std[np.broadcast_to(hidden, answer.std.shape)]
    spread = float(np.sqrt(np.mean(np.square(there)))) if there.size else 0.0
    table = answer.mean.ndim == 2
    return Page(
        title=f"{run.folder.name}: what was hidden",
        subtitle=f"{counted(len(answer.names), 'signal', 'signals')}, "
        f"{100 * share:.0f} % of their entries filled in",
        facts=[
            ("hidden", f"{100 * share:.1f} %"),
            ("standard deviation there", f"{spread:.3g} data units"),
            ("residual", run.residual),
        ],
        notes=[
            "The recovered signal is the mean of the posterior; a single draw has the sharpness "
            "that the mean lacks, and where draws differ nothing in the data decides.",
            "The width of the intervals is calibrated on observed entries that were set aside.",
        ],
        figures=[] if table else [figure(run, signals, answer)],
        tables=[rows(run, answer)] if table else [],
    )


def rows(run: Run, answer: Answer) -> Table:
    """The first rows of a table, what was filled in with its standard deviation."""
    told = []
    for i, name in enumerate(answer.names[:SHOWN]):
        cells = zip(answer.mean[i].tolist(), answer.std[i].tolist(), answer.hidden[i], strict=True)
        told.append([
            name,
            *(f"{number(v)} ± {number(sd)} *" if gone else number(v) for v, sd, gone in cells),
        ][: WIDE + 1])  # fmt: skip
    title = "The first rows (* was missing or hidden: mean ± standard deviation)"
    return Table(title, ["row", *headings(run)[:WIDE]], told)


def figure(run: Run, signals: Signals, answer: Answer, count: int = SHOWN) -> Figure:
    """Rows of observed, recovered, uncertainty, two draws, and the truth where it is known."""
    rows = np.arange(min(count, len(answer.names)))
    hidden = np.broadcast_to(answer.hidden[rows], answer.mean[rows].shape)
    codes = signals.codes(rows)
    known = codes is None or not (codes == MISSING).any()
    model = [run.scale.to_model(answer.mean[rows])]
    model += [run.scale.to_model(answer.draws[rows, k]) for k in range(2)]
    seen = np.where(hidden, np.float32(0), model[0])
    columns = [seen, *model[:1], *model[1:]]
    titles = ["observed", "recovered", *["a draw"] * (len(model) - 1)]
    if known:
        columns.append(run.scale.to_model(signals.values[rows]))
        titles.append("truth")
    sheets = [_coloured(column) for column in columns]
    sheets.insert(2, _heat_like(answer.std[rows], sheets[0]))
    titles.insert(2, "uncertainty")
    tiles = np.stack(sheets, 1).reshape(-1, *sheets[0].shape[1:])
    return Figure(
        "Recovered",
        "Each row is one signal, the first ones and not chosen. Grey is hidden; the brighter the "
        "uncertainty, the larger the standard deviation.",
        np.moveaxis(grid(tiles, len(sheets)), 0, -1),
        columns=tuple(titles),
    )


def _coloured(x: np.ndarray) -> np.ndarray:
    """Signals in model units as RGB, (n, 3, H, W'); channels that are no colours side by side."""
    pixels = np.clip(np.rint((x + 1) * 127.5), 0, 255).astype(np.uint8)
    if pixels.shape[1] == 1:
        return np.repeat(pixels, 3, axis=1)
    if pixels.shape[1] == 3:
        return pixels
    beside = np.concatenate(np.moveaxis(pixels, 1, 0), axis=-1)
    return np.repeat(beside[:, None], 3, axis=1)


def _heat_like(sd: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    if sheet.shape[-1] == sd.shape[-1]:
        return _heat(sd)
    return np.concatenate([_heat(sd[:, c : c + 1]) for c in range(sd.shape[1])], axis=-1)
