"""What all learners share: the same examples and network, a limit of time, and a run directory.

A learner begins with an ordinary session (data, copies, batches, freshly drawn network), learns the
network's weights in its own way and hands back latents. What it learned is then saved as an
ordinary run, so that `abprop evaluate` judges all of them alike.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from abprop import checkpoint, machine
from abprop.alternate import Batch
from abprop.averaging import follow
from abprop.inference import Metric, State
from abprop.kinds import KINDS
from abprop.learning.batches import batches
from abprop.learning.parts import WARM, calibrate_metric, set_rate
from abprop.run.fitting import Layers, Session, begun
from abprop.run.fitting.saving import Saver
from abprop.run.reading import load_data
from abprop.run.recipe import dumps
from abprop.run.split import resolve

FOREVER = 10**9  # iterations, where time alone ends learning
BLOCK = 64  # examples computed together


@dataclass
class Limit:
    """How long a learner may learn: seconds counted from here on, or iterations.

    Attributes:
        seconds: above 0.
        iterations: at most so many, for tests; None: as many as there is time for.
        busy: count what this process computes, on one thread, instead of wall time: beside other
            work that is the fairer one.
    """

    seconds: float
    iterations: int | None = None
    busy: bool = False
    began: float = field(default_factory=time.monotonic)
    computed: float = field(default_factory=time.process_time)

    def elapsed(self) -> float:
        """Seconds of wall time since the start."""
        return time.monotonic() - self.began

    def processor(self) -> float:
        """Seconds that this process has computed since the start, summed over threads."""
        return time.process_time() - self.computed

    def gone(self, t: int) -> float:
        """What part of the limit has gone by before iteration t; 1 or more: it is over."""
        if self.iterations is not None:
            return t / self.iterations
        return (self.processor() if self.busy else self.elapsed()) / self.seconds


@dataclass(frozen=True)
class Found:
    """What a learner hands back, beside the weights of the session's network.

    Attributes:
        z: a latent of each training example, copies included, (M, d): a draw from the learner's own
            posterior where it has one; None: those of the session's chains.
        iterations: that were done.
        own: the learner's own inference, from pictures (B, C, H, W) to their reconstructions; None:
            it has none but ours.
        seconds: of wall time, and
        processor: of computing, from reading's end to learning's.
    """

    z: Tensor | None
    iterations: int
    own: Callable[[Tensor], Tensor] | None = None
    seconds: float = 0.0
    processor: float = 0.0


Learn = Callable[[Session, Limit], Found]


def ready(
    folder: Path,
    source: Path,
    sets: Sequence[str],
    seed: int,
    limit: Callable[[], Limit],
) -> tuple[Session, Limit]:
    """A session before its first iteration, and the limit, which begins when data were read.

    Args:
        folder: where the run shall lie.
        source: the pictures.
        sets: recipe keys, "key=value"; what suits pictures lies below them.
        seed: of weights, batches and all noise.
        limit: makes it.
    """
    asked = Layers(None, sets, {"data.source": str(source), "seed": seed})
    recipe = asked.over(None)
    machine.set_threads(recipe.run.threads)
    signals = load_data(recipe, None, print)
    recipe, observed = resolve(asked.over(KINDS[signals.kind].preset), signals)
    started = limit()
    return begun(folder, recipe, signals, observed), started


def timed(
    session: Session,
    limit: Limit,
    rates: Mapping[torch.optim.Optimizer, float],
    others: Iterable[nn.Parameter] = (),
) -> Iterator[Batch]:
    """The session's batches until the limit is over; those that `fit` would see.

    At the end all weights are what `fit` would answer with: their averages over the path.

    Args:
        session: whose batches, and whose network learns.
        limit: of time.
        rates: optimizers with the learning rates that are `annealed`.
        others: parameters that are learned beside the network's.
    """
    learning = session.learning
    average, weights = learning.averaged, [*learning.model.network.parameters(), *others]
    means = [w.detach().clone() for w in weights]
    order = batches(learning.settings, learning.train, 0, FOREVER, learning.device)
    for t, batch in enumerate(order):
        gone = limit.gone(t)
        if gone >= 1:
            break
        for optimizer, rate in rates.items():
            set_rate(optimizer, rate * annealed(t, gone))
        yield batch
        if average is not None:
            follow(means, weights, t + 1, average.exponent)
    if average is not None:
        with torch.no_grad():
            for weight, mean in zip(weights, means, strict=True):
                weight.copy_(mean)
        average.model.network.load_state_dict(average.walking.state_dict())


def annealed(t: int, gone: float) -> float:
    """Factor on a learning rate, as `fit` has it: a short warm-up and half a cosine.

    Args:
        t: iteration.
        gone: what part of learning is over, 0 to 1.
    """
    return min(1.0, (t + 1) / WARM) * (0.505 + 0.495 * math.cos(math.pi * gone))


def in_blocks(session: Session, told: Callable[[Batch], Tensor]) -> Tensor:
    """What a function tells of every training example, block by block, without gradients."""
    learning = session.learning
    rows = torch.arange(len(learning.train)).split(BLOCK)
    with torch.no_grad():
        return torch.cat([told(learning.train.batch(some, learning.device)) for some in rows])


def saved(session: Session, found: Found, limit: Limit) -> None:
    """Write what was learned as a run directory.

    The prior, where it is fitted, is that of the latents; sigma and its width are what held-out
    pictures say, by the same measure for every learner. None counts as learning time. There is one
    checkpoint: no learner is stopped early by held-out pictures.
    """
    learning, folder = session.learning, session.folder
    learning.t = found.iterations
    if found.z is not None:
        z = found.z.to(learning.latents.z)
        learning.latents.state = State.begin(z)
        learning.latents.metric = Metric.plain(z, 0.1 * learning.model.likelihood.sigma.item())
        learning.model.prior.update(z, 1.0)
        calibrate_metric(
            learning.settings, learning.train, learning.model, learning.latents, learning.shards
        )
    if learning.heldout is not None:  # for sigma alone: by it the last one tells the width
        learning.scores = [learning.score_heldout()]
    budget = None if limit.iterations else f"{limit.seconds:g}s"  # `compare` sees seeds by it
    session.replan(max(1, learning.t), budget)
    if learning.heldout is not None:
        learning.scores = [learning.score_heldout()]
        _say_if_diverged(session)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint.write_text(folder / "recipe.toml", dumps(session.recipe))
    Saver(session).save()


def _say_if_diverged(session: Session) -> None:
    """A note where held-out pictures are told worse than one grey would tell them."""
    heldout, (score,) = session.learning.heldout, session.learning.scores
    assert heldout is not None
    variance = heldout.batch(torch.arange(len(heldout)), torch.device("cpu")).y.var().item()
    if not score.mse < variance:
        print(
            f"note: {session.folder.name}: held-out pictures are told with an error of "
            f"{score.mse:.3g}, and vary by {variance:.3g}: this learner diverged",
            flush=True,
        )


def learned(
    learn: Learn,
    folder: Path,
    source: Path,
    sets: Sequence[str],
    seed: int,
    limit: Callable[[], Limit],
) -> tuple[Session, Found]:
    """Learn and save; see `ready` for the arguments."""
    session, started = ready(folder, source, sets, seed, limit)
    found = learn(session, started)
    found = replace(found, seconds=started.elapsed(), processor=started.processor())
    saved(session, found, started)
    return session, found
