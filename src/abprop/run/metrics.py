"""metrics.jsonl: a line for each logged iteration and each event, cut back when a run resumes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
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
    return [line for line in _lines(path) if _is_row(line)]


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    """Rows and whatever else is a table."""
    for line in (path.read_bytes() if path.is_file() else b"").splitlines():
        try:
            told = json.loads(line.decode("utf-8"))
        except (ValueError, RecursionError):
            continue
        if isinstance(told, dict):
            yield told


def _is_row(line: Mapping[str, Any]) -> bool:
    """Whether every number is there that every row has."""
    if not all(_is_number(line.get(key)) for key in _ALWAYS):
        return False
    # What only some rows have may be spoilt by itself; iterations and counts are whole numbers.
    whole = all(isinstance(line.get(key, 0), int) and line.get(key, 0) >= 0 for key in _WHOLE)
    return whole and all(_is_number(value) for key, value in line.items() if key in _NUMBERS)


def _is_number(value: object) -> bool:
    return (
        isinstance(value, int | float) and not isinstance(value, bool) and not abs(value) > _LARGEST
    )


def events(path: Path) -> list[dict[str, Any]]:
    """What happened: lines with a name of an event."""
    return [line for line in _lines(path) if _is_event(line)]


def _is_event(line: Mapping[str, Any]) -> bool:
    t = line.get("iteration")
    return isinstance(line.get("event"), str) and isinstance(t, int) and t >= 0


def cut(path: Path, t: int) -> None:
    """Forget what came after iteration t."""
    kept = [line for line in _lines(path) if _is_row(line) or _is_event(line)]
    kept = [line for line in kept if line["iteration"] <= t]
    if path.exists():
        checkpoint.write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
