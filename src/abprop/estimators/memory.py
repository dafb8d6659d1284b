"""Learning without a run directory: the same recipe and the same learning, and a run in memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torch import Tensor

from abprop.kinds import KINDS
from abprop.learning import Learning, waiting
from abprop.run.directory import assembled
from abprop.run.fitted import Run
from abprop.run.fitting import Layers, begun
from abprop.run.reading import load_data
from abprop.run.split import resolve, summary
from abprop.say import Say, quiet

NOWHERE = Path("<memory>")  # where such a run lies: there is no such folder


def learned(source: object, asked: Layers, say: Say = quiet) -> Run:
    """Learn as `fit` does, and keep nothing but the run at its best iteration.

    Args:
        source: see `sources.read`.
        asked: what the caller wants of the recipe, `train.iterations` among it. The machine is
            left as it is: threads are those that torch has.
        say: told every few iterations how far it is.

    Raises:
        UserError: whatever the user can mend, in one line.
    """
    signals = load_data(asked.over(None), source, say)
    recipe = asked.over(KINDS[signals.kind].preset)
    recipe, observed = resolve(recipe, signals, say, operator=asked.operator)
    session = begun(NOWHERE, recipe, signals, observed)
    learning = session.learning
    infer = learning.settings.infer
    wait = waiting(learning, learning.total) if infer.wait is None else infer.wait
    learning.settings = replace(learning.settings, infer=replace(infer, wait=wait))
    network, latents, step = _best(learning, say)
    learning.model.load_state_dict(network)
    data = {**summary(session.split, signals), "names": session.split.names}
    meta = {"data": data, "scores": learning.scores, "chunk": learning.chunk}
    run = assembled(NOWHERE, session.recipe, learning.model, latents, meta, step)
    run.known = None if observed.completion is None else observed.completion.known
    run.colour, run.operator, run._signals = observed.colour, asked.operator, signals
    return run


def _best(learning: Learning, say: Say) -> tuple[dict[str, Tensor], dict[str, Tensor], int]:
    """Weights and latents of the iteration whose held-out score was best, else of the last."""
    kept: tuple[dict[str, Tensor], dict[str, Tensor], int] | None = None
    for step in learning.steps(learning.total):
        last = learning.t == learning.total
        if last or (learning.scores and learning.scores[-1].t == learning.t):
            learning.check_finite(step)
            say(f"iteration {learning.t} of {learning.total}")
            if learning.best == learning.t or (last and kept is None):
                network, table = learning.answering.state_dict(), learning.latents.tensors()
                kept = (_copied(network), _copied(table), learning.t)
    assert kept is not None
    return kept


def _copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}
