"""Learning in progress: the parts of Algorithm 1 and how far they have come."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from abprop import checkpoint, machine, starts, tasks
from abprop.alternate import Step, alternate
from abprop.data import Examples
from abprop.diagnostics import Health, health, leading, watch
from abprop.distributed import Shards
from abprop.errors import UserError
from abprop.evenly import evenly
from abprop.latents import chosen
from abprop.learning import parts
from abprop.learning.batches import batches, largest_batch
from abprop.learning.events import Event, Events, Score, best, turned
from abprop.learning.settings import Settings
from abprop.model import Model
from abprop.noise import Noise

SCORED = 200  # held-out examples that are scored, at most
ABSURD = 1e8  # mean squared residual, where a signal spans about [-1, 1]
HELDOUT_STEPS = 60  # of the solver, for each held-out score
WALKING = "walking"  # in a checkpoint: weights as learning left them, where an average answers
BURNED = 512  # examples that burn in together
WATCHED = 16  # examples whose chains are diagnosed
WATCHED_STEPS = 5  # of a diagnosed visit, where those of learning are shorter


@dataclass
class Learning:
    """Model, chains and optimizer at iteration t.

    Attributes:
        settings: with train.iterations known before `steps`.
        train: the examples; the first `originals` of them are no copies.
        heldout: examples only scored, or None.
        device, dtype: where and in what precision to compute.
        shards: which examples' chains are kept here; all if None.
        t: iterations done.
        scores: of the held-out examples so far.
        events: that no one was told of yet.
    """

    settings: Settings
    train: Examples
    heldout: Examples | None = None
    originals: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    dtype: torch.dtype = torch.float32
    shards: Shards = field(default_factory=lambda: Shards(0))
    t: int = 0
    scores: list[Score] = field(default_factory=list)
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        settings, self.originals = self.settings, self.originals or len(self.train)
        if not self.shards.n:
            self.shards = Shards(len(self.train))
        shape = self.train.signal_shape
        model = parts.make_model(settings.model, shape, self.dtype, settings.seed)
        if model.likelihood.central and (means := starts.means(self.train)) is not None:
            model.network.centre(means)
        latents = parts.make_latents(settings, self.train, self.originals, model, self.shards)
        self.latents, self.model = latents.to(self.device), model.to(self.device)
        self.averaged = parts.make_average(settings, self.model)
        self.kernel = parts.make_kernel(settings)
        self.optimizer = parts.make_optimizer(settings, model)
        self.drawn = parts.make_drawn(settings, self.train, self.model, self.latents)
        if self.drawn is not None and self.shards.group.size > 1:
            raise UserError(
                f"train.draws={settings.train.draws:g} looks at all chains together, which only "
                "one process can; use --processes 1, or train.draws=0"
            )
        rows = largest_batch(len(self.train), settings.train.batch) * settings.infer.chains
        self.chunk = parts.fitting_chunk(settings.infer.chunk, -(-rows // self.shards.parts))

    @property
    def answering(self) -> Model:
        """The model that answers: what learns, or its average."""
        return self.model if self.averaged is None else self.averaged.model

    def formed(self, forms: Sequence[str]) -> None:
        """Compute each layer in a form of its own; see `networks.stages`."""
        for model in (self.model, self.answering):
            model.network.forms = tuple(forms)

    @property
    def total(self) -> int:
        """Iterations planned."""
        return self.settings.train.iterations or 1

    def scored_by(self, t: int) -> int:
        """Held-out scores due within t iterations: as sqrt(t), for what turns may turn early."""
        return math.isqrt(self.settings.train.scores**2 * t // self.total)

    def steps(self, stop: int) -> Generator[Step, None, None]:
        """Iterations t..stop-1 of Algorithm 1, one yield each, after the yield's own updates.

        At first, for `infer.wait` iterations, chains stay where they start and W learns alone: an
        untrained f says nothing of z, and its chains would only forget what PCA knows.
        """
        infer = self.settings.infer
        wait = infer.wait or 0
        if self.t < wait:
            yield from self._alternate(min(wait, stop), steps=0)
        if self.t == wait < stop and infer.step_size == "adapt":
            parts.calibrate_metric(self.settings, self.train, self.model, self.latents, self.shards)
        if self.t < stop:
            yield from self._alternate(stop, infer.steps)

    def _alternate(self, stop: int, steps: int) -> Generator[Step, None, None]:
        """Iterations; where memory runs out, again with fewer examples in a pass."""
        try:
            yield from self._iterations(stop, steps)
        except (MemoryError, RuntimeError) as error:
            self._halve_chunk(error)
            yield from self._alternate(stop, steps)

    def _iterations(self, stop: int, steps: int) -> Generator[Step, None, None]:
        stream = alternate(
            self.model,
            self.latents,
            self._scheduled(stop),
            self.kernel,
            self.optimizer,
            steps=steps,
            noise=Noise(self.settings.seed, "langevin"),
            start=self.t,
            chunk=self.chunk,
            also=self.drawn,
        )
        for step in self._guarded(stream):
            self.t = step.t + 1
            if self.averaged is not None:
                self.averaged.update(self.t)
            self._learn_sigma(step)
            self.events.look(step)
            yield step

    def _scheduled(self, stop: int) -> Iterator[Any]:
        read = batches(self.settings, self.train, self.t, stop, self.device, self.shards)
        for t, batch in enumerate(read, self.t):
            parts.set_rate(self.optimizer, parts.rate(self.settings, t, self.total))
            yield batch

    def _learn_sigma(self, step: Step) -> None:
        """sigma^2 = mean squared residual: held-out where there is any, else the batch's."""
        learned = self.settings.model.sigma == "learned" and self.kernel.samples
        if self.heldout is None:
            residual, weight = step.residual.item(), step.rate
        elif self.scored_by(self.t) > self.scored_by(self.t - 1) or self.t == self.total:
            self.scores.append(self.score_heldout())
            residual, weight = self.scores[-1].spread, 0.5
        else:
            return
        if learned and math.isfinite(residual):
            self.model.likelihood.update(residual, weight)

    def score_heldout(self, steps: int = HELDOUT_STEPS) -> Score:
        """How well held-out examples are explained now, with sigma as it answers.

        Raises:
            ValueError: nothing was held out.
        """
        if self.heldout is None:
            raise ValueError("nothing was held out")
        rows = torch.arange(len(self.heldout))[evenly(len(self.heldout), SCORED)]
        shards, model = self.shards.of(len(rows)), self.answering
        chunk = parts.fitting_chunk(self.settings.infer.chunk, -(-len(rows) // shards.parts))
        ids, y, A, _ = self.heldout.batch(rows[shards.rows], self.device)
        known, noise = self._some_draws(), Noise(self.settings.seed, "heldout").at(ids, self.t)
        answers = model.answering(self.scores[-1].spread) if self.scores else model
        x, z = tasks.reconstruct(answers, y, A, known=known, steps=steps, chunk=chunk)
        modes = tasks.Modes(y, A, z, self.latents.metric, noise, chunk, shards.every())
        error = tasks.mean_square(A(x) - y, A, modes.whole)
        width = modes.width(answers, exact=self.t == self.total)
        return Score(self.t, error, modes.spread(model), width)

    def diagnose(self) -> Health:
        """Whether the chains of some examples mix, with W as it is now; they themselves stay."""
        table, settings = self.latents, self.settings
        some, sizes = self.shards.some(WATCHED)
        batch = self.train.batch(some, self.device)
        ids, y, A, chain = batch.spread(table.chains)
        watched = sum(sizes) * table.chains
        trace = watch(
            self.model,
            y,
            A,
            table[batch.ids],
            self.kernel,
            table.metric,
            leading(table.z, self.shards.every()),
            Noise(settings.seed, "diagnose").at(ids, self.t, chain),
            chains=table.chains,
            steps=max(WATCHED_STEPS, settings.infer.steps),
            chunk=parts.fitting_chunk(self.chunk, -(-watched // self.shards.parts)),
            whole=self.shards.whole(sizes),
        )
        return health(trace)

    @property
    def best(self) -> int:
        """The iteration whose held-out score was best, or the last one."""
        return best(self.scores).t if self.scores else self.t

    @property
    def turned(self) -> bool:
        """Held-out examples are told worse, and for long: what comes later would not answer."""
        return turned(self.scores, self.settings.infer.wait or 0)

    # When it goes wrong -----------------------------------------------------------------------

    def _halve_chunk(self, error: Exception) -> None:
        """Shorter passes where memory ran out.

        Raises:
            UserError: they are as short as can be, or others wait for this process.
            Exception: it was no lack of memory.
        """
        if not machine.out_of_memory(error):
            raise error
        shorter = self.chunk // 2 // 16 * 16
        if not shorter or self.shards.group.size > 1:
            raise UserError(
                f"out of memory at iteration {self.t} in passes of {self.chunk} examples; fit "
                f"again with --set infer.chunk={shorter or 16} in another --run, or with smaller "
                "data.size or model.channels"
            ) from error
        self.chunk = shorter
        machine.release()
        said = f"memory ran out: passes of {shorter} examples from here on, which round otherwise"
        self.events.add(Event("memory", said, facts={"chunk": shorter}))

    def check_finite(self, step: Step) -> None:
        """Stop before a diverged model is saved.

        Raises:
            UserError: an error or a weight is not finite or absurd, or every output is saturated:
                no gradient is left to learn from.
        """
        weights = list(self.model.network.parameters())
        finite = all(torch.isfinite(p).all() for p in weights)
        alive = any(p.grad is None or p.grad.any() for p in weights)
        errors = [step.residual.item(), *(score.mse for score in self.scores[-1:])]
        if not (finite and alive and all(error < ABSURD for error in errors)):
            raise self._diverged(f"at iteration {self.t}")

    def _diverged(self, when: str) -> UserError:
        now = self.settings.train.learning_rate
        return UserError(
            f"learning diverged {when} with train.learning_rate={now:g}; "
            f"start a new run with --set train.learning_rate={now / 4:g}"
        )

    def _guarded(self, stream: Iterator[Step]) -> Iterator[Step]:
        try:
            yield from stream
        except torch.linalg.LinAlgError as error:  # of the prior's covariance
            size = self.settings.infer.step_size
            if size == "adapt":
                raise self._diverged("at once") from error
            raise UserError(
                f"the latents diverged with infer.step_size={size}; "
                "start a new run with --set infer.step_size=adapt"
            ) from error

    # What a checkpoint holds ------------------------------------------------------------------

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything that changes while learning."""
        shards, begin, latents = self.shards, self.shards.bounds[self.shards.mine.start], {}
        for v in shards.mine:
            rows = self.latents.part(shards.bounds[v] - begin, shards.bounds[v + 1] - begin)
            latents[f"latents-{v:05d}"] = rows
        if shards.group.first:
            latents["latents-00000"] |= self.latents.shared()
        return {
            "network": dict(self.answering.state_dict()),
            **({} if self.averaged is None else {WALKING: dict(self.model.network.state_dict())}),
            "optimizer": parts.optimizer_tensors(self.optimizer),
            **latents,
        }

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]], t: int) -> None:
        """Back to what `tensors` gave at iteration t.

        Raises:
            UserError: the tensors are those of another model or other data.
        """
        table = checkpoint.latents_in(tensors)
        if not torch.equal(table["ids"], self.train.ids):
            raise UserError("the checkpoint's examples are not this run's; is the data changed?")
        self._take_on(table)
        self.restore_weights(tensors, t)

    def adopt(self, tensors: Mapping[str, Mapping[str, Tensor]], t: int) -> Tensor:
        """Back to what was there at iteration t, of examples that may have come and gone since.

        Returns:
            Ids of those here that came: nothing is known of them.
        """
        came = self._take_on(checkpoint.latents_in(tensors))
        self.restore_weights(tensors, t)
        return came

    def _take_on(self, table: Mapping[str, Tensor]) -> Tensor:
        """The chains that a table knows; returns ids of those here that it does not."""
        here = self.latents.ids.cpu()
        known = torch.isin(here, table["ids"])
        rows = chosen(table, here[known])
        self.latents.adopt({k: v.to(self.device) for k, v in rows.items()}, here[known])
        return here[~known]

    def burn_in(self, ids: Tensor) -> None:
        """Bring the chains of examples that came to where their posteriors are, W held still."""
        table, settings = self.latents, self.settings
        if not len(ids) or settings.infer.visits == "restarted":  # whose every visit burns in
            return
        for rows in torch.searchsorted(self.train.ids, ids).split(BURNED):
            batch = self.train.batch(rows, self.device)
            ids_, y, A, chain = batch.spread(table.chains)
            noise = Noise(settings.seed, "langevin").at(ids_, chain=chain)
            table[batch.ids] = tasks.settled(
                self.model, y, A, table[batch.ids], self.kernel, table.metric, noise,
                known=self._some_draws(), chunk=self.chunk,
            )  # fmt: skip

    def _some_draws(self) -> Tensor:
        """Starts: what the prior draws, for no process knows all chains."""
        some = Noise(self.settings.seed, "starts").at(torch.arange(tasks.CANDIDATES))
        return self.model.prior.draw_each(some).to(self.latents.z)

    def restore_weights(self, tensors: Mapping[str, Mapping[str, Tensor]], t: int) -> None:
        """The same of all but the chains."""
        self.answering.load_state_dict(dict(tensors["network"]))
        if self.averaged is not None:  # earlier weights were what learned
            now = tensors.get(WALKING) or self.averaged.model.network.state_dict()
            self.model.network.load_state_dict(dict(now))
        self.optimizer = parts.make_optimizer(self.settings, self.model)
        parts.load_optimizer(self.optimizer, tensors["optimizer"])
        self.t = t
