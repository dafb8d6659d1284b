"""metrics.jsonl: one line for each logged iteration, appended, cut back when a run resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abprop import checkpoint
from abprop.alternate import Step
from abprop.diagnostics import Health
from abprop.evaluate import psnr
from abprop.learning import Learning


def row(learning: Learning, step: Step, seconds: float) -> dict[str, Any]:
    """The line of an iteration.

    Keys: iteration, loss (-log p(y, z), mean), mse (training batch, model units), psnr (dB), sigma,
    s (median step size), accepted (mean probability of acceptance), stable (share of steps short
    enough for the curvature they met), diverged (chains put back), seconds (of learning so far);
    after a held-out score also heldout_mse and heldout_psnr; at the end also rhat, ess and visits
    (see `diagnostics`).
    """
    mse = max(step.residual.item(), 1e-20)
    line = {
        "iteration": learning.t,
        "loss": step.loss.item(),
        "mse": mse,
        "psnr": psnr(mse),
        "sigma": learning.model.likelihood.sigma.item(),
        "s": step.info.s.median().item(),
        "accepted": round(step.info.accepted.mean().item(), 4),
        "stable": round(step.info.stable.mean().item(), 4),
        "diverged": int(step.info.diverged.sum()),
        "seconds": round(seconds, 2),
    }
    if learning.scores and learning.scores[-1][0] == learning.t:
        heldout = learning.scores[-1].mse
        line |= {"heldout_mse": heldout, "heldout_psnr": psnr(heldout)}
    return line


def sampler(rows: Sequence[Mapping[str, Any]]) -> Health | None:
    """What the chains were found to be at the end of learning, None where no one looked."""
    told = next((row for row in reversed(rows) if "rhat" in row), None)
    if told is None:
        return None
    return Health(told["rhat"], told["ess"], told["visits"], told["accepted"], told["stable"])


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def load(path: Path) -> list[dict[str, Any]]:
    """All whole lines; a last one that a crash cut short is dropped."""
    rows = []
    for text in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(text))
        except json.JSONDecodeError:
            continue
    return rows


def cut(path: Path, t: int) -> None:
    """Forget what came after iteration t."""
    kept = [line for line in load(path) if line.get("iteration", 0) <= t]
    if path.exists():
        checkpoint.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
