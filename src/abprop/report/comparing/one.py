"""What is told of one run: its recipe, its numbers, its curves. The model is not kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abprop import hub
from abprop.data import Scale
from abprop.errors import UserError
from abprop.evaluate import psnr
from abprop.run import Run, load, metrics
from abprop.run.directory import recorded
from abprop.run.recipe import Recipe
from abprop.say import Say


@dataclass(frozen=True, eq=False)
class One:
    """A run among others.

    Attributes:
        folder: where it lies.
        recipe: with what older versions left open.
        rows: of its metrics.
        numbers: by the names of `columns.COLUMNS`; what it has not is not there.
        units: kind, shape and scale of its signals: in what its errors are.
        opened: the run itself, read again; its argument is told of bad checkpoints.
        scores: what `evaluate` says of it on signals that were named; {} if none were.
    """

    folder: Path
    recipe: Recipe
    rows: Sequence[Mapping[str, Any]]
    numbers: Mapping[str, float]
    units: tuple[str, tuple[int, ...], Scale]
    opened: Callable[[Say], Run]
    scores: Mapping[str, Any] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """Iterations learned."""
        return int(self.numbers["iterations"])

    @property
    def complete(self) -> bool:
        """Whether it has learned for as long as its recipe says."""
        return self.done >= (self.recipe.train.iterations or 0)


def read(runs: Iterable[str | Path | Run], data: object, device: str | None, say: Say) -> list[One]:
    """What is told of each run.

    Args:
        runs: directories, addresses on the Hub or fitted runs; two or more, each once.
        data: where their data are now, if not where the recipes say.
        device: see `run.load`.
        say: told one line about each checkpoint that is bad.

    Raises:
        UserError: too few, one named twice, or one that is no run with a whole checkpoint.
    """
    asked = [runs] if isinstance(runs, str | Path | Run) else list(runs)
    if len(asked) < 2:
        raise UserError(f"compare needs two runs or more, not {len(asked)}")
    seen, found = set[Path](), list[One]()
    for run in asked:
        opened = _opener(run, data, device)
        one = told(opened(say), opened)
        if one.folder.resolve() in seen:
            raise UserError(f"{one.folder} is named twice; name each run once")
        seen.add(one.folder.resolve())
        found.append(one)
    return found


def _opener(run: str | Path | Run, data: object, device: str | None) -> Callable[[Say], Run]:
    if isinstance(run, Run):
        return lambda say: run
    folder = hub.local(run)
    return lambda say: load(folder, data=data, device=device, say=say)


def told(run: Run, opened: Callable[[Say], Run]) -> One:
    """What is told of a run.

    Args:
        run: at its best checkpoint.
        opened: gives it again.
    """
    rows = metrics.load(run.folder / "metrics.jsonl")
    last, chains = rows[-1] if rows else {}, metrics.sampler(rows)
    numbers: dict[str, float] = {
        "iterations": max(run.step, last.get("iteration", 0)),
        "sigma": run.model.likelihood.sigma.item(),
        "parameters": sum(p.numel() for p in run.model.network.parameters()),
    }
    scores = run.meta["scores"]
    if scores:
        best = min(score[1] for score in scores)
        numbers |= {"heldout_mse": best, "heldout_psnr": psnr(best)}
    if last:
        numbers |= {"minutes": last["seconds"] / 60, "training_mse": last["mse"]}
    if chains is not None:
        numbers["rhat"] = chains.rhat
    recipe, units = recorded(run.recipe, run.meta), (run.kind.name, run.shape, run.scale)
    return One(run.folder, recipe, rows, numbers, units, opened)
