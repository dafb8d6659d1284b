"""A row: one learner, one seed, complete or incomplete pictures, judged by `abprop evaluate`."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from abprop.run import Run, load
from abprop.run.fitting import Session
from learners import Learner
from learners.harness import Limit, learned

HIDE = "P.7"  # what is hidden, of unseen pictures or in learning
LIKELY = 32  # unseen pictures whose likelihood is told, at most; the same ones for all
Evaluate = Callable[..., dict[str, Any]]


@dataclass(frozen=True)
class Pictures:
    """What is learned and asked.

    Attributes:
        train: source of the pictures to learn from.
        test: source of unseen ones.
        chosen: data.* keys that choose them, such as "data.select=3000:3300".
        sets: recipe keys for every learner.
    """

    train: Path
    test: Path
    chosen: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()


def evaluated(*words: object) -> dict[str, Any]:
    """`abprop evaluate ... --json`, printed as it runs.

    Raises:
        CalledProcessError: it did not end with 0.
    """
    told = ["evaluate", *map(str, words), "--json"]
    print(f"$ {shlex.join(['abprop', *told])}", flush=True)
    command = [sys.executable, "-m", "abprop", *told]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def row(
    name: str,
    learner: Learner,
    pictures: Pictures,
    folder: Path,
    seed: int,
    limit: Callable[[], Limit],
    *,
    hidden: bool,
    evaluate: Evaluate = evaluated,
) -> dict[str, Any]:
    """Learn into a run directory and judge it; every number under a name of its own.

    Args:
        name: the learner's.
        learner, pictures, seed: what is learned, by what, from what.
        folder: of the run.
        limit: makes the limit of time.
        hidden: learn from pictures HIDE of which is hidden.
        evaluate: the command, from its words to its JSON.

    Returns:
        JSON: learner, seed, hidden, rate, d, iterations, seconds, processor, threads, own_mse, and
        of each command what it told: `unseen`, `own_data`, `recovery`.
    """
    sets = (*pictures.sets, *learner.keys(), *([f"data.hide={HIDE}"] if hidden else []))
    session, found = learned(learner.learn, folder, pictures.train, sets, seed, limit)
    told: dict[str, Any] = {
        "learner": name, "seed": seed, "hidden": HIDE if hidden else "",
        "rate": learner.rate, "sets": list(sets), **_facts(session),
        "iterations": found.iterations, "seconds": round(found.seconds, 1),
        "processor": round(found.processor, 1), "own_mse": None,
    }  # fmt: skip
    if hidden:
        return {**told, "own_data": evaluate(folder)}
    if found.own is not None:
        told["own_mse"] = _own_mse(load(folder, last=True), pictures, found.own)
    words = _set(pictures.chosen)
    asked = ("--against", "pca", "--likelihood", "--examples", LIKELY)
    told["unseen"] = evaluate(folder, pictures.test, *words, *asked)
    told["own_data"] = evaluate(folder)
    told["recovery"] = evaluate(folder, pictures.test, *words, "--hide", HIDE)
    return told


def _facts(session: Session) -> dict[str, Any]:
    learning = session.learning
    return {
        "d": learning.model.network.latent_shape[0], "examples": len(learning.train),
        "originals": learning.originals, "shape": list(learning.train.signal_shape),
        "threads": torch.get_num_threads(), "precision": session.recipe.run.precision,
        "weights": sum(p.numel() for p in learning.model.network.parameters()),
    }  # fmt: skip


def _own_mse(run: Run, pictures: Pictures, own: Callable[[torch.Tensor], torch.Tensor]) -> float:
    """Mean squared error of the learner's own reconstructions of unseen pictures, model units."""
    signals = run.given(pictures.test, pictures.chosen)
    y, _ = signals.batch(range(len(signals)))
    return (own(y) - y).square().mean().item()


def tried(
    learner: Learner,
    rate: float,
    pictures: Pictures,
    folder: Path,
    seed: int,
    limit: Callable[[], Limit],
) -> dict[str, Any]:
    """A learning rate tried: mean squared error of held-out pictures by our solver."""
    sets = (*pictures.sets, *learner.keys(rate))
    session, found = learned(learner.learn, folder, pictures.train, sets, seed, limit)
    score = session.learning.scores[-1]
    return {"rate": rate, "seed": seed, "heldout_mse": score.mse, "iterations": found.iterations,
            "seconds": round(found.seconds, 1), "processor": round(found.processor, 1),
            "sets": list(sets)}  # fmt: skip


def _set(keys: Sequence[str]) -> list[str]:
    """--set for each key."""
    return [word for key in keys for word in ("--set", key)]
