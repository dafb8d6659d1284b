"""Recovered signals in the user's hands: files, maps of the uncertainty, a page to look at."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import torch

from abprop.data import MISSING, Sensor, Signals
from abprop.evaluate import Answer
from abprop.files.write import grid, put, save_images
from abprop.operators import for_many
from abprop.report.figures import WIDE, coloured, headings, heat
from abprop.report.page import Figure, Page, Table, write
from abprop.report.words import number
from abprop.run import Run
from abprop.say import counted

SHOWN, DRAWN = 8, 4  # signals on the page, and draws of each that become pictures
FEW_CHANNELS = (1, 3)


def write_answer(
    run: Run, signals: Signals, answer: Answer, path: Path, sensor: Sensor | None = None
) -> str:
    """Write a recovery where the user asked, and say where.

    A path with an extension is one file: .npz holds every map, another a sheet (or table) of the
    answers. Any other path is a folder: answers under the signals' own names, recovered.npz,
    maps as pictures in folders beside them, and recovered.html to look at.

    Args:
        run: whose answer it is.
        signals: what was recovered.
        answer: see `recovery.Answer`.
        path: where to.
        sensor: how the signals are observed, if not as the run's own.

    Raises:
        UserError: the format cannot hold such signals, or the disk refuses.
    """
    if path.suffix == ".npz":
        _write_arrays(path, answer)
        return f"{counted(len(answer.mean), 'signal', 'signals')} with their uncertainty: {path}"
    names, sensor = list(answer.names), sensor or run.sensor(signals)
    if path.suffix or answer.mean.ndim != 4:
        folder = not path.suffix
        said = run.write(answer.mean, path, names)
        if folder:
            _write_arrays(path / "recovered.npz", answer)
        if folder and answer.mean.ndim == 2:
            write(path / "recovered.html", _page(run, signals, answer, sensor))
            said = f"{said}; page: {path / 'recovered.html'}"
        return said
    said = _write_pictures(run, answer, path, names)
    _write_arrays(path / "recovered.npz", answer)
    page = path / "recovered.html"
    write(page, _page(run, signals, answer, sensor))
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
    save_images(heat(answer.std), folder / "std", names=names)
    for k in range(min(DRAWN, answer.draws.shape[1])):
        save_images(answer.draws[:, k], folder / f"draw-{k + 1}", names=names)
    return said


def _rounded(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    if dtype.kind not in "iu":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return np.clip(np.rint(values), info.min, info.max).astype(dtype)


# The page -------------------------------------------------------------------------------------


MEAN = (
    "The recovered signal is the mean of the posterior; a single draw has the sharpness that the "
    "mean lacks, and where draws differ nothing in the data decides."
)


def _page(run: Run, signals: Signals, answer: Answer, sensor: Sensor) -> Page:
    hidden, table = answer.hidden, answer.mean.ndim == 2
    share = float(np.broadcast_to(hidden, answer.mean.shape).mean())
    there = answer.std[np.broadcast_to(hidden, answer.std.shape)]
    spread = float(np.sqrt(np.mean(np.square(there)))) if there.size else 0.0
    count = counted(len(answer.names), "signal", "signals")
    facts = [("hidden", f"{100 * share:.1f} %"), ("residual", run.residual)]
    said = f"{count}, {100 * share:.0f} % of their entries filled in"
    note = "The width of the intervals is calibrated on observed entries that were set aside."
    if sensor.operator is not None:
        numbers, size = prod(sensor.operator.shape), prod(sensor.shape)
        facts, said = [("measured", f"{numbers} of {size} numbers")], f"{count} behind measurements"
        note = "How sure an answer is follows from the spectrum of what the generator leaves over."
    facts.insert(1, ("standard deviation there", f"{spread:.3g} data units"))
    return Page(
        title=f"{run.folder.name}: what was {'hidden' if sensor.operator is None else 'measured'}",
        subtitle=said,
        facts=facts,
        notes=[MEAN, note],
        figures=[] if table else [figure(run, signals, answer, sensor=sensor)],
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


def figure(
    run: Run, signals: Signals, answer: Answer, count: int = SHOWN, sensor: Sensor | None = None
) -> Figure:
    """Rows of observed, recovered, uncertainty, two draws, and the truth where it is known."""
    rows = np.arange(min(count, len(answer.names)))
    scale = run.scale
    mean, *draws = (
        scale.to_model(x[rows]) for x in (answer.mean, answer.draws[:, 0], answer.draws[:, 1])
    )
    titles = ["observed", "recovered", "uncertainty", "a draw", "a draw"]
    if sensor is None or sensor.operator is None:
        hidden, codes = np.broadcast_to(answer.hidden[rows], mean.shape), signals.codes(rows)
        seen, grey = np.where(hidden, np.float32(0), mean), "Grey is hidden; the"
        known = codes is None or not (codes == MISSING).any()
    else:
        seen, grey = _measured(signals.take(rows), sensor), "The"
        known = sensor.units is None
    columns = [seen, mean, *draws]
    if known:
        columns.append(scale.to_model(signals.values[rows]))
        titles.append("truth")
    sheets = [coloured(column) for column in columns]
    sheets.insert(2, _heat_like(answer.std[rows], sheets[1]))
    tiles = np.stack(sheets, 1).reshape(-1, *sheets[1].shape[1:])
    return Figure(
        "Recovered",
        f"Each row is one signal, the first ones and not chosen. {grey} brighter the "
        "uncertainty, the larger the standard deviation.",
        np.moveaxis(grid(tiles, len(sheets)), 0, -1),
        columns=tuple(titles),
    )


def _measured(signals: Signals, sensor: Sensor) -> np.ndarray:
    """Measurements as pictures of the size of signals: coarser ones larger, of others A^T y."""
    y, A = sensor.measured(signals), sensor.operator
    assert A is not None
    if y.ndim == 4 and all(n % m == 0 for n, m in zip(sensor.shape[1:], y.shape[2:], strict=True)):
        for axis in (2, 3):
            y = y.repeat_interleave(sensor.shape[axis - 1] // y.shape[axis], axis)
        return y.expand(-1, sensor.shape[0], -1, -1).numpy()
    back = for_many(A, len(y)).vjp(torch.zeros(len(y), *sensor.shape))[1](y)
    return (back / back.abs().amax(tuple(range(1, back.ndim)), keepdim=True)).numpy()


def _heat_like(sd: np.ndarray, sheet: np.ndarray) -> np.ndarray:
    if sheet.shape[-1] == sd.shape[-1]:
        return heat(sd)
    return np.concatenate([heat(sd[:, c : c + 1]) for c in range(sd.shape[1])], axis=-1)
