"""A fitted run from its directory, at its best checkpoint."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from abprop import checkpoint
from abprop.app import build, machine
from abprop.app.fit import read_recipe
from abprop.app.learning import Score
from abprop.app.recipe import Recipe
from abprop.app.run import Run
from abprop.errors import UserError


def load(
    folder: str | Path,
    *,
    data: object = None,
    device: str = "auto",
    last: bool = False,
    say: Callable[[str], None] = warnings.warn,
) -> Run:
    """A run from its directory, at its best checkpoint.

    Args:
        folder: the run directory.
        data: where its data are now, if not where the recipe says.
        device: auto, cuda, mps or cpu.
        last: take the newest checkpoint instead of the best.
        say: told one line about each checkpoint that is bad.

    Raises:
        UserError: it is not a run, or none of its checkpoints is whole.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run directory")
    recipe, where = read_recipe(folder), machine.device(device)
    found = checkpoint.latest(folder / "checkpoints", say)
    if found is None:
        raise UserError(f"{folder} holds no checkpoint yet; run abprop fit first")
    machine.set_threads(recipe)
    return _fitted(folder, recipe, found if last else _best(folder, found, say), where, data)


def _best(
    folder: Path, newest: checkpoint.Checkpoint, say: Callable[[str], None]
) -> checkpoint.Checkpoint:
    """The checkpoint whose held-out score was best, if it is still whole; else the newest."""
    step = min(newest.meta["scores"], key=lambda s: s[1], default=(newest.step, 0))[0]
    if step == newest.step or step not in checkpoint.steps(folder / "checkpoints"):
        return newest
    try:
        return checkpoint.load(folder / "checkpoints" / checkpoint.step_name(step))
    except checkpoint.CheckpointError as error:
        say(f"skipped the checkpoint at step {step}: {error}")
        return newest


def _fitted(
    folder: Path,
    recipe: Recipe,
    found: checkpoint.Checkpoint,
    where: torch.device,
    data: object,
) -> Run:
    dtype = build.arithmetic(recipe, machine.precision(recipe.run.precision, where))
    model = build.make_model(recipe, tuple(found.meta["data"]["shape"]), dtype)
    model.load_state_dict(found.tensors["network"])
    learned = model.to(where)
    latents = found.tensors["latents-00000"]
    ids = latents["ids"].to(where)
    states = latents["z"].to(where)[:: len(latents["z"]) // len(ids)]  # each one's first chain
    if found.meta["scores"]:  # the spread about predictions of what was never seen
        learned.likelihood.update(Score.of(found.meta["scores"][-1]).spread)
    for parameter in learned.parameters():
        parameter.requires_grad_(False)
    model, z = learned.folded(), learned.fold_latents(states)
    return Run(folder, recipe, model, learned, where, found.step, found.meta, ids, z, states, data)
