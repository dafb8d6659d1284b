"""The run directory: a recipe and checkpoints that agree, and the fitted run they make."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from abprop import checkpoint, machine
from abprop.errors import UserError
from abprop.files.entries import text_in
from abprop.kinds import KINDS
from abprop.learning import Score, arithmetic, make_model, make_network
from abprop.model import Model
from abprop.networks.stages import parsed
from abprop.rehearsal import PRECISIONS
from abprop.run.fitted import Run
from abprop.run.recipe import (
    KEYS,
    MAY_CHANGE,
    Recipe,
    changes,
    compose,
    flattened,
    loads,
    on_machine,
    only_moved,
    said,
    settings,
)
from abprop.run.split import COPY
from abprop.say import Say


def read_recipe(folder: Path) -> Recipe:
    """The recipe of a run.

    Raises:
        UserError: there is none, or none that can be read.
    """
    path = folder / "recipe.toml"
    if not path.exists():
        raise UserError(f"{path}: No such file or directory; is {folder} a run of abprop?")
    return loads(text_in(path), path)


def recorded(recipe: Recipe, meta: Mapping[str, Any]) -> Recipe:
    """A run's recipe with what older versions left open: precision, one shard, nothing completed.

    Args:
        recipe: as `read_recipe` gives it.
        meta: of one of the run's checkpoints.
    """
    if recipe.data.complete == "auto":
        recipe = compose(recipe, **{"data.complete": "no"})
    if "distributed" not in meta.get("recipe", {}):
        one: dict[str, Any] = {"distributed.shards": 1}
        recipe = compose(recipe, **one)
    dtype = meta.get("dtype")
    if recipe.run.precision == "auto" and dtype in ("float32", "bfloat16"):
        return on_machine(recipe, precision=dtype)
    return recipe


def as_grown(recipe: Recipe, found: checkpoint.Checkpoint) -> Recipe:
    """The recipe with what a checkpoint says of its data: there it is written first what was
    added and forgotten.

    Raises:
        UserError: it says what no recipe can.
    """
    saved = found.meta.get("recipe")
    growth = saved.get("growth") if isinstance(saved, Mapping) else None
    nested = recipe.model_dump()
    if not isinstance(saved, Mapping) or growth in (None, nested["growth"]):
        return recipe
    data = saved.get("data", {})
    nested |= {"growth": growth, "distributed": saved.get("distributed", {})}
    nested["data"] |= {"fingerprint": data.get("fingerprint", "")}
    return compose(nested)


def agreed(recipe: Recipe, found: checkpoint.Checkpoint) -> Recipe:
    """The recipe that a checkpoint was learned by, if the one in recipe.toml says the same.

    What may change on resume may differ: there the checkpoint's holds.

    Raises:
        UserError: the file says something else.
    """
    saved = found.meta.get("recipe")
    return recipe if not isinstance(saved, Mapping) else _edited(saved, as_grown(recipe, found))


def _edited(saved: Mapping[str, Any], recipe: Recipe) -> Recipe:
    """What a checkpoint says the recipe was, the present one where it says nothing.

    Args:
        saved: nested, from the checkpoint; versions may differ in which keys there are.
        recipe: as it is in the run's recipe.toml.

    Raises:
        UserError: the file was edited where a run cannot change.
    """
    told = {key: value for key, value in flattened(saved).items() if key in KEYS}
    nested = recipe.model_dump()
    for key, value in told.items():
        section, _, name = key.rpartition(".")
        (nested[section] if section else nested)[name] = value
    before = compose(nested)
    for key, old, new in changes(before, recipe):
        if key not in MAY_CHANGE and not only_moved(key, before, recipe):
            raise UserError(
                f"{key} = {said(new)} in recipe.toml was edited: this run was learned with "
                f"{said(old)}; put it back, or fit into another --run"
            )
    return before


def check_fits(
    folder: Path, found: checkpoint.Checkpoint, model: torch.nn.Module, part: str = ""
) -> None:
    """Refuse weights that are not those of a recipe's network.

    Args:
        folder: the run directory, for the message.
        found: what was saved.
        model: as the recipe wants it.
        part: of what was saved, "network." for the network alone.

    Raises:
        CheckpointError: a name or a shape is another.
    """
    saved = found.tensors["network"].items()
    have = {name: tuple(t.shape) for name, t in saved if name.startswith(part)}
    need = {part + name: tuple(t.shape) for name, t in model.state_dict().items()}
    for name in sorted(have.keys() | need.keys()):
        if have.get(name) != need.get(name):
            file = folder / "checkpoints" / checkpoint.step_name(found.step) / "network.safetensors"
            got, must = (
                "missing" if shape is None else "x".join(map(str, shape)) or "a number"
                for shape in (have.get(name), need.get(name))
            )
            raise checkpoint.CheckpointError(
                f"bad checkpoint file {file}: it does not fit its recipe "
                f"({name} is {got}, must be {must}); take the recipe back that it was learned by"
            )


def _check_kind(folder: Path, found: checkpoint.Checkpoint) -> None:
    """Refuse signals of a kind that there is not, and places that are not each original's."""
    data, ids = found.meta["data"], found.examples
    places, wrong = data.get("places"), ""
    if data.get("kind") not in KINDS:
        wrong = f"data.kind is none of {', '.join(KINDS)}"
    elif places is not None and len(places) != ids:
        wrong = f"data.places are {len(places)}, but there are {ids} ids"
    if wrong:
        step = folder / "checkpoints" / checkpoint.step_name(found.step)
        raise checkpoint.CheckpointError(
            f"bad checkpoint file {step / 'manifest.json'}: {wrong}; take another checkpoint"
        )


def newest(folder: Path, say: Say) -> checkpoint.Checkpoint | None:
    """The newest good checkpoint of a run, None if nothing was saved yet.

    Raises:
        CheckpointError: there are some, and none is good.
    """
    found = checkpoint.latest(folder / "checkpoints", say)
    return None if found is None else _numbered(found)


def _numbered(found: checkpoint.Checkpoint) -> checkpoint.Checkpoint:
    """With ids as they are now: earlier versions gave id + k N to the k-th copy of N examples."""
    data = found.meta.get("data", {})
    n, kind = data.get("examples"), KINDS.get(data.get("kind"))
    if "read" in data or not isinstance(n, int) or n < 1 or kind is None or kind.cuts:
        return found
    tensors = {
        name: {**group, "ids": group["ids"] % n + group["ids"] // n * COPY}
        if checkpoint.shard(name)
        else group
        for name, group in found.tensors.items()
    }
    return replace(found, tensors=tensors)


def best(folder: Path, newest: checkpoint.Checkpoint, say: Say) -> checkpoint.Checkpoint:
    """The checkpoint whose held-out score was best, if it is still whole; else the newest."""
    step = min(newest.meta["scores"], key=lambda s: s[1], default=(newest.step, 0))[0]
    if step == newest.step or step not in checkpoint.steps(folder / "checkpoints"):
        return newest
    try:
        return _numbered(checkpoint.load(checkpoint.path_of(folder / "checkpoints", step)))
    except checkpoint.CheckpointError as error:
        say(f"skipped the checkpoint at step {step}: {error}")
        return newest


def load(
    folder: str | Path,
    *,
    data: object = None,
    operator: object = None,
    device: str | None = None,
    last: bool = False,
    say: Say = warnings.warn,
) -> Run:
    """A run from its directory, at its best checkpoint.

    Args:
        folder: the run directory.
        data: where its data are now, if not where the recipe says; a tuple: the first source, and
            what was added to it; or what was read of them.
        operator: through which it was learned, if that was given in Python.
        device: auto, cuda, mps or cpu; if not given, what it was learned on, if that is here.
        last: take the newest checkpoint instead of the best.
        say: told one line about each checkpoint that is bad.

    Raises:
        UserError: it is not a run, or none of its checkpoints is whole.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: no such run directory")
    recipe = read_recipe(folder)
    own = recipe.run.device if machine.has(recipe.run.device) else "auto"
    where = machine.device(own if device is None else device)
    found = newest(folder, say)
    if found is None:
        raise UserError(f"{folder} holds no checkpoint yet; run abprop fit first")
    agreed(recipe, found)
    # Threads that wait for a processor crawl; those of a larger machine would.
    machine.set_threads(min(recipe.run.threads, machine.cores()))
    found = found if last else best(folder, found, say)
    run = _fitted(folder, as_grown(recipe, found), found, where, data)
    run.operator = operator
    return run


def _fitted(
    folder: Path,
    recipe: Recipe,
    found: checkpoint.Checkpoint,
    where: torch.device,
    data: object,
) -> Run:
    _check_kind(folder, found)
    name = recorded(recipe, found.meta).run.precision
    dtype = arithmetic(recipe.infer.kernel, PRECISIONS.get(name, torch.float32))
    shape = tuple(found.meta["data"]["shape"])
    asked = settings(recipe).model
    with torch.device("meta"):  # a recipe may ask for a larger network than was saved
        check_fits(folder, found, make_network(asked, shape, dtype), "network.")
    model = make_model(asked, shape, dtype, recipe.seed)
    check_fits(folder, found, model)
    model.load_state_dict(found.tensors["network"])
    if recipe.run.forms != "auto":
        model.network.forms = parsed(recipe.run.forms, len(model.network.layers))
    found.meta["data"]["names"] = checkpoint.names_in(found)
    run = assembled(folder, recipe, model.to(where), found.latents, found.meta, found.step)
    run.source, run.colour = data, checkpoint.colour_in(found)
    run.known = checkpoint.known_in(found)
    return run


def assembled(
    folder: Path,
    recipe: Recipe,
    learned: Model,
    latents: Mapping[str, Tensor],
    meta: dict[str, Any],
    step: int,
) -> Run:
    """A fitted run of what was learned.

    Args:
        folder: where it lies.
        recipe: complete.
        learned: the model, where it shall compute; its weights learn no more.
        latents: "ids" of the examples and "z" of their chains.
        meta: what the run remembers: "data" (see `summary`, with "names"), "scores", "chunk".
        step: iterations done.
    """
    where = learned.likelihood.sigma.device
    ids = latents["ids"].to(where)
    states = latents["z"].to(where)[:: len(latents["z"]) // len(ids)]  # each one's first chain
    if meta["scores"]:  # what is said of examples that were never seen
        score = Score.of(meta["scores"][-1])
        learned = learned.answering(score.spread, score.width)
    for parameter in learned.parameters():
        parameter.requires_grad_(False)
    places, cell = meta["data"].get("places"), 2**learned.network.stages
    along = len(learned.network.latent_shape) - 1
    places = None if places is None else torch.tensor(places)[:, :along] / cell
    learned.prior.remember(states, places, len(meta["data"]["names"]))
    model, z = learned.folded(), learned.fold_latents(states)
    return Run(folder, recipe, model, learned, where, step, meta, ids, z, states)
