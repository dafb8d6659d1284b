"""The report of a run: what was learned, in curves and pictures."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from abprop.diagnostics import advice
from abprop.evaluate import psnr
from abprop.learning.events import TURN
from abprop.report.curves import Curve
from abprop.report.figures import FIGURES
from abprop.report.page import Figure, Page, Table, write
from abprop.run import Run, load, metrics
from abprop.run.recipe import dumps
from abprop.say import Say


def write_report(
    folder: Path, data: object = None, operator: object = None, say: Say = warnings.warn
) -> Path:
    """Write RUN/report.html from the run's best checkpoint and its metrics; returns its path.

    Args:
        folder, data, operator, say: see `run.load`.
    """
    run = load(folder, data=data, operator=operator, say=say)
    path = folder / "report.html"
    write(path, page(run))
    return path


def page(run: Run) -> Page:
    """Everything the report says."""
    rows = metrics.load(run.folder / "metrics.jsonl")
    shown = [part for name in run.kind.figures for part in FIGURES[name](run)]
    return Page(
        title=run.folder.name,
        subtitle=_subtitle(run),
        facts=_facts(run, rows),
        notes=_notes(run, rows),
        curves=_curves(rows),
        figures=[part for part in shown if isinstance(part, Figure)],
        tables=[part for part in shown if isinstance(part, Table)],
        recipe=dumps(run.recipe),
    )


def _subtitle(run: Run) -> str:
    size, kind, count = "x".join(map(str, run.shape)), run.kind, len(run.names)
    if kind.cuts:
        return f"A generator of one {kind.name}, learned from {kind.counted(count)} of {size}"
    return f"A generator of {kind.many}, learned from {kind.counted(count)} of {size}"


def _facts(run: Run, rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    facts = run.info()
    last = rows[-1] if rows else {}
    told = [
        ("latent", "x".join(map(str, facts["latent"]))),
        ("parameters", f"{facts['parameters'] / 1e6:.2f} M"),
        ("iteration", f"{run.step} of {run.recipe.train.iterations}"),
        ("residual of unseen" if run.meta["scores"] else "sigma", f"{facts['sigma']:.3f}"),
    ]
    if facts["prior_width"] != 1:
        told.append(("width of the prior", f"{facts['prior_width']:.2f}"))
    if "psnr" in last:
        told.append(("training PSNR", f"{last['psnr']:.1f} dB"))
    scores = run.meta["scores"]
    if scores:
        told.append(("held-out PSNR", f"{psnr(min(s[1] for s in scores)):.1f} dB"))
    chains = metrics.sampler(rows)
    if chains is not None:
        told.append(("R-hat of the chains", f"{chains.rhat:.2f}"))
        told.append((f"draws in {chains.visits} visits", f"{chains.ess:.0f}"))
    if "seconds" in last:
        told.append(("time to learn", f"{last['seconds'] / 60:.1f} min"))
    return told


def _notes(run: Run, rows: Sequence[dict[str, Any]]) -> list[str]:
    # The best checkpoint's own scores end at the best: what came after stands in the metrics.
    notes: list[str] = []
    scores = [(row["iteration"], row["heldout_mse"]) for row in rows if "heldout_mse" in row]
    if scores:
        best = min(scores, key=lambda s: s[1])
        if scores[-1][1] > TURN * best[1]:
            notes.append(
                f"Held-out examples are told best by iteration {best[0]:,}, which answers, and "
                "worse by later ones. More examples or a larger model.sigma may help."
            )
        else:
            notes.append("The held-out error was still falling or level at the end.")
        if rows[-1].get("mse", 0.0) > scores[-1][1]:
            notes.append(
                "Training batches are told by draws of their chains, held-out examples by the "
                "most probable latents: that is why the training line may lie below the other."
            )
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
