"""The report of a run: what was learned, in curves and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abprop.app import metrics
from abprop.app.loading import load
from abprop.app.recipe import dumps
from abprop.app.run import Run
from abprop.data import Signals, grid
from abprop.diagnostics import advice
from abprop.errors import UserError
from abprop.evaluate import nearest
from abprop.report import Curve, Figure, Page, write


def write_report(folder: Path, data: object = None) -> Path:
    """Write RUN/report.html from the run's best checkpoint and its metrics; returns its path."""
    run = load(folder, data=data)
    path = folder / "report.html"
    write(path, page(run))
    return path


def page(run: Run) -> Page:
    """Everything the report says."""
    rows = metrics.load(run.folder / "metrics.jsonl")
    figures: list[Figure] = []
    if len(run.shape) == 3 and run.shape[0] in (1, 3):
        figures = _texture_figures(run) if _stationary(run) else _object_figures(run)
    return Page(
        title=run.folder.name,
        subtitle=_subtitle(run),
        facts=_facts(run, rows),
        notes=_notes(run, rows),
        curves=_curves(rows),
        figures=figures,
        recipe=dumps(run.recipe),
    )


def _stationary(run: Run) -> bool:
    return run.meta["data"]["kind"] == "texture" and len(run.model.network.latent_shape) > 1


def _subtitle(run: Run) -> str:
    data = run.meta["data"]
    size = "x".join(map(str, run.shape))
    if data["kind"] == "texture":
        return f"A generator of one texture, learned from {len(run.names)} crops of {size}"
    return f"A generator of {data['kind']}, learned from {len(run.names)} examples of {size}"


def _facts(run: Run, rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    facts = run.info()
    last = rows[-1] if rows else {}
    told = [
        ("latent", "x".join(map(str, facts["latent"]))),
        ("parameters", f"{facts['parameters'] / 1e6:.2f} M"),
        ("iteration", f"{run.step} of {run.recipe.train.iterations}"),
        ("residual of unseen" if run.meta["scores"] else "sigma", f"{facts['sigma']:.3f}"),
    ]
    if "psnr" in last:
        told.append(("training PSNR", f"{last['psnr']:.1f} dB"))
    scores = run.meta["scores"]
    if scores:
        told.append(("held-out PSNR", f"{metrics.psnr(min(s[1] for s in scores)):.1f} dB"))
    chains = metrics.sampler(rows)
    if chains is not None:
        told.append(("R-hat of the chains", f"{chains.rhat:.2f}"))
        told.append((f"draws in {chains.visits} visits", f"{chains.ess:.0f}"))
    if "seconds" in last:
        told.append(("time to learn", f"{last['seconds'] / 60:.1f} min"))
    return told


def _notes(run: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    notes, scores = [], run.meta["scores"]
    if scores:
        best = min(scores, key=lambda s: s[1])
        if scores[-1][1] > 1.02 * best[1]:
            notes.append(
                f"The held-out error turned at iteration {best[0]}: after it the generator "
                "memorised. More examples or a larger model.sigma would help."
            )
        else:
            notes.append("The held-out error was still falling or level at the end.")
    put_back, told = sum(row.get("diverged", 0) for row in rows), metrics.sampler(rows)
    if told is not None:
        notes.append(advice(told, put_back))
    elif put_back:
        notes.append(f"{put_back} chains were put back because they left the finite numbers.")
    return notes


def _curves(rows: Sequence[dict[str, Any]]) -> list[Curve]:
    def series(key: str) -> list[tuple[float, float]]:
        return [(row["iteration"], row[key]) for row in rows if key in row]

    curves = [
        Curve("Reconstruction", "PSNR, dB",
              {"training batch": series("psnr"), "held out": series("heldout_psnr")}),
        Curve("Loss", "-log p(y, z) per example", {"loss": series("loss")}),
        Curve("Noise sigma", "model units", {"sigma": _moving(series("sigma"))}),
        Curve("Sampler: step size s", "median", {"s": series("s")}, log=True),
        Curve("Sampler: acceptance and stability", "share",
              {"accepted": _moving(series("accepted")), "stable steps": _moving(series("stable"))}),
    ]  # fmt: skip
    kept = [Curve(c.title, c.unit, {k: v for k, v in c.series.items() if v}, c.log) for c in curves]
    return [curve for curve in kept if curve.series]


def _moving(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points, or none if they all lie at one height: a constant is in the recipe."""
    return points if len({y for _, y in points}) > 1 else []


# Pictures -------------------------------------------------------------------------------------


def picture(run: Run, x: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Signals in data units as one sheet of 8-bit pixels, (H, W, 3) or (H, W)."""
    shown = (run.scale.to_model(x) + 1) * 127.5
    sheet = grid(np.clip(np.rint(shown), 0, 255).astype(np.uint8), columns)
    return sheet[0] if len(sheet) == 1 else np.moveaxis(sheet, 0, -1)


def _object_figures(run: Run) -> list[Figure]:
    figures = [*_reconstructions(run)]
    samples = run.sample(64)
    figures.append(Figure(
        "Samples", "New signals f(z), z drawn from the learned prior; not chosen.",
        picture(run, samples, 16 if run.shape[2] <= 64 else 8)))  # fmt: skip
    if run.model.network.latent_shape == (2,):
        figures.append(Figure(
            "The latent plane", "f(z) for z over [-2, 2] x [-2, 2].",
            picture(run, run.latent_grid(), 9)))  # fmt: skip
    if len(run.names) >= 4 and len(run.model.network.latent_shape) == 1:
        figures.append(Figure(
            "Interpolation", "Along great circles between the latents of the first four training "
            "examples, in the corners.",
            picture(run, run.interpolate(), 8)))  # fmt: skip
    return [*figures, *_nearest(run, samples[:12])]


def _own(run: Run) -> Signals | None:
    """The run's data, if they can still be found."""
    try:
        return run.signals
    except UserError:
        return None


def _reconstructions(run: Run) -> list[Figure]:
    if _own(run) is None:
        return []
    if _measured(run):
        return [_from_measurements(run)]
    parts = run.split()
    held = parts.heldout
    shown, what = (held, "Held-out") if held is not None else (parts.train, "Training")
    shown = shown.take(np.arange(min(12, len(shown))))
    answers = run.decode(run.z[: len(shown)]) if held is None else run.reconstruct(shown)
    pairs = np.concatenate([shown.values, answers])
    words = {
        "Held-out": "Examples the generator never learned from (above) and f(z) at their most "
        "probable z (below).",
        "Training": "Training examples (above) and f(z) at the z they were learned with (below).",
    }
    return [Figure(f"{what} reconstructions", words[what], picture(run, pairs, len(shown)))]


def _measured(run: Run) -> bool:
    return bool(run.recipe.data.measure or run.recipe.data.operator)


def _from_measurements(run: Run) -> Figure:
    """What learning made of its measurements, below the signals where these are known."""
    shown = run.signals.take(np.arange(min(12, len(run.signals))))
    x = run.reconstruct(shown)
    if run.recipe.data.operator:
        words = "f(z) at the z that explains the measurements best."
        return Figure("From the measurements", words, picture(run, x, len(x)))
    words = "Signals of which only measurements were seen (above) and f(z) from these (below)."
    pairs = np.concatenate([shown.values, x])
    return Figure("From the measurements", words, picture(run, pairs, len(x)))


def _nearest(run: Run, samples: np.ndarray) -> list[Figure]:
    if _own(run) is None or _measured(run):
        return []
    train = run.split().train
    blocks = (train.batch(torch.arange(i, min(i + 512, len(train))))[0]
              for i in range(0, len(train), 512))  # fmt: skip
    rows, _ = nearest(torch.from_numpy(run.scale.to_model(samples)), blocks)
    pairs = np.concatenate([samples, train.values[rows.numpy()]])
    return [Figure(
        "Is it memory?", "The first samples (above) and the training pictures nearest to them in "
        "squared error, copies included (below).", picture(run, pairs, len(samples)))]  # fmt: skip


def _texture_figures(run: Run) -> list[Figure]:
    figures, own = [], _own(run)
    side = 256
    if own is not None:
        side = min(256, *own.shape[1:])
        figures.append(Figure(
            "The picture", "All there was to learn from.", picture(run, own.values)))  # fmt: skip
        crops = run.split().train
        crops = crops.take(np.arange(min(8, len(crops))))
        pairs = np.concatenate([crops.values, run.decode(run.z[: len(crops)])])
        figures.append(Figure(
            "Crops", "Crops of the picture (above) and f(z) at the z they were learned with.",
            picture(run, pairs, len(crops))))  # fmt: skip
    figures.append(Figure(
        "Synthesis", "A new picture, twice as large each way; no crop of it was chosen.",
        picture(run, run.sample(1, size=(2 * side, 2 * side)))))  # fmt: skip
    return figures
