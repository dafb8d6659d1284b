"""metrics.jsonl: one line for each logged iteration, appended, cut back when a run resumes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from abprop import checkpoint
from abprop.alternate import Step
from abprop.checkpoint.files import cannot_write
from abprop.diagnostics import Health
from abprop.evaluate import psnr
from abprop.learning import Learning

_ALWAYS = ("iteration", "loss", "mse", "psnr", "sigma", "s", "accepted", "stable", "seconds")
_WHOLE = ("iteration", "diverged", "visits")
_NUMBERS = (*_ALWAYS, *_WHOLE, "heldout_mse", "heldout_psnr", "rhat", "ess")
_LARGEST = 1e300  # no picture can be drawn of more


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
    keys = Health._fields
    told = next((row for row in reversed(rows) if all(key in row for key in keys)), None)
    return None if told is None else Health(*(told[key] for key in keys))


def append(path: Path, line: dict[str, Any]) -> None:
    """Add a line.

    Raises:
        UserError: the disk refused; what is left of a line is passed over when it is read.
    """
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
    except OSError as error:
        raise cannot_write(path, error) from error


def load(path: Path) -> list[dict[str, Any]]:
    """All whole rows: lines that a crash cut short or a disk spoilt are passed over."""
    data = path.read_bytes() if path.is_file() else b""
    return [row for line in data.splitlines() if (row := _row(line)) is not None]


def _row(line: bytes) -> dict[str, Any] | None:
    """The row of a line; None where a number that every row has is missing or is none."""
    try:
        row = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not all(_is_number(row.get(key)) for key in _ALWAYS):
        return None
    # What only some rows have may be spoilt by itself; iterations and counts are whole numbers.
    whole = all(isinstance(row.get(key, 0), int) and row.get(key, 0) >= 0 for key in _WHOLE)
    known = all(_is_number(value) for key, value in row.items() if key in _NUMBERS)
    return row if whole and known else None


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LARGEST
    )


def cut(path: Path, t: int) -> None:
    """Forget what came after iteration t."""
    kept = [line for line in load(path) if line.get("iteration", 0) <= t]
    if path.exists():
        checkpoint.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
