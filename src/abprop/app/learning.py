"""A run in progress: the parts of Algorithm 1 and how far they have come. Knows no directory."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from abprop.alternate import Batch, Step, alternate
from abprop.app import build
from abprop.app.recipe import Recipe
from abprop.data import Signals
from abprop.diagnostics import Health, health, leading, watch
from abprop.errors import UserError
from abprop.noise import Noise
from abprop.tasks import reconstruct, spread

HELDOUT_STEPS = 60  # of the solver, for each held-out score
SCORES = 10  # held-out scores in a run
WATCHED = 16  # examples whose chains are diagnosed
WATCHED_STEPS = 5  # of a diagnosed visit, where those of learning are shorter
ABSURD = 1e8  # mean squared residual, where a signal spans about [-1, 1]


class Score(NamedTuple):
    """What held-out examples say at iteration t.

    Attributes:
        t: iterations done.
        mse: mean squared error of their most probable reconstructions, over observed entries.
        spread: mean squared residual over draws from their posteriors: sigma^2.
    """

    t: int
    mse: float
    spread: float

    @classmethod
    def of(cls, told: Sequence[float]) -> Score:
        """A score as a manifest holds it; earlier versions knew t and mse alone."""
        t, mse, *spread = told
        return cls(int(t), float(mse), float(spread[0] if spread else mse))


@dataclass
class Learning:
    """Model, chains and optimizer at iteration t.

    Attributes:
        recipe: complete (see `build.resolve`), with train.iterations known before `steps`.
        parts: training and held-out examples.
        t: iterations done.
        scores: of the held-out examples so far.
    """

    recipe: Recipe
    parts: build.Split
    device: torch.device
    dtype: torch.dtype
    t: int = 0
    scores: list[Score] = field(default_factory=list)

    def __post_init__(self) -> None:
        model = build.make_model(self.recipe, self.parts.sensor.shape, self.dtype)
        self.latents = build.make_latents(self.recipe, self.parts, model).to(self.device)
        self.model = model.to(self.device)
        self.kernel = build.make_kernel(self.recipe)
        self.optimizer = build.make_optimizer(self.recipe, model)
        # A static chunk need not be larger than all there is.
        self.chunk = min(self.recipe.infer.chunk, len(self.parts.train))

    @property
    def total(self) -> int:
        """Iterations planned."""
        return self.recipe.train.iterations or 1

    @property
    def score_every(self) -> int:
        """Iterations between held-out scores."""
        return max(1, self.total // SCORES)

    def steps(self, stop: int) -> Generator[Step, None, None]:
        """Iterations t..stop-1 of Algorithm 1, one yield each, after the yield's own updates.

        At first, for `infer.wait` iterations, chains stay where they start and W learns alone: an
        untrained f says nothing of z, and its chains would only forget what PCA knows.
        """
        wait = self.recipe.infer.wait or 0
        if self.t < wait:
            yield from self._alternate(min(wait, stop), steps=0)
        if self.t == wait < stop and self.recipe.infer.step_size == "adapt":
            build.calibrate_metric(self.recipe, self.parts, self.model, self.latents)
        if self.t < stop:
            yield from self._alternate(stop, self.recipe.infer.steps)

    def _alternate(self, stop: int, steps: int) -> Generator[Step, None, None]:
        stream = alternate(
            self.model,
            self.latents,
            self._scheduled(stop),
            self.kernel,
            self.optimizer,
            steps=steps,
            noise=Noise(self.recipe.seed, "langevin"),
            start=self.t,
            chunk=self.chunk,
        )
        for step in _guarded(stream, self.recipe):
            self.t = step.t + 1
            self._learn_sigma(step)
            yield step

    def _scheduled(self, stop: int) -> Iterator[Any]:
        for t, batch in enumerate(
            build.batches(self.recipe, self.parts, self.t, stop, self.device), self.t
        ):
            for group in self.optimizer.param_groups:
                group["lr"] = build.rate(self.recipe, t, self.total)
            yield batch

    def _learn_sigma(self, step: Step) -> None:
        """sigma^2 = mean squared residual: held-out where there is any, else the batch's."""
        learned = self.recipe.model.sigma == "learned" and self.kernel.samples
        if self.parts.heldout is None:
            residual, weight = step.residual.item(), len(step.ids) / len(self.latents.z)
        elif self.t % self.score_every == 0 or self.t == self.total:
            self.scores.append(self.score_heldout())
            residual, weight = self.scores[-1].spread, 0.5
        else:
            return
        if learned and math.isfinite(residual):
            self.model.likelihood.update(residual, weight)

    def score_heldout(self, steps: int = HELDOUT_STEPS) -> Score:
        """How well held-out examples are explained now."""
        held = self.parts.heldout
        if held is None:
            raise ValueError("nothing was held out")
        y, A = self.parts.sensor.observed(held, device=self.device)
        known = self.latents.z[:: self.latents.chains][: self.parts.originals]
        x, z = reconstruct(self.model, y, A, known=known, steps=steps, chunk=self.chunk)
        mse = ((A(x) - y).double().square().sum() / A.count.double().sum()).item()
        noise = Noise(self.recipe.seed, "heldout").at(torch.arange(len(z), device=z.device), self.t)
        sigma2 = spread(self.model, y, A, z, self.latents.metric, noise, chunk=self.chunk)
        return Score(self.t, mse, sigma2)

    def diagnose(self) -> Health:
        """Whether the chains of some examples mix, with W as it is now; they themselves stay."""
        table, parts = self.latents, self.parts
        every = -(-len(table) // WATCHED)
        rows = torch.arange(0, len(table), every)
        ids = table.ids[rows.to(table.ids.device)]
        batch = Batch(ids, *parts.sensor.observed(parts.train, rows, self.device))
        ids, y, A, chain = batch.spread(table.chains)
        trace = watch(
            self.model,
            y,
            A,
            table[batch.ids],
            self.kernel,
            table.metric,
            leading(table.z),
            Noise(self.recipe.seed, "diagnose").at(ids, self.t, chain),
            chains=table.chains,
            steps=max(WATCHED_STEPS, self.recipe.infer.steps),
            chunk=min(self.chunk, len(y)),
        )
        return health(trace)

    @property
    def best(self) -> int:
        """The iteration whose held-out score was best, or the last one."""
        return min(self.scores, key=lambda score: score.mse).t if self.scores else self.t

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
            raise _diverged(self.recipe, f"at iteration {self.t}")

    # What a checkpoint holds ------------------------------------------------------------------

    def tensors(self) -> dict[str, dict[str, Tensor]]:
        """Everything that changes while learning."""
        return {
            "network": dict(self.model.state_dict()),
            "optimizer": _flatten(self.optimizer),
            "latents-00000": self.latents.tensors(),
        }

    def restore(self, tensors: Mapping[str, Mapping[str, Tensor]], t: int) -> None:
        """Back to what `tensors` gave at iteration t.

        Raises:
            UserError: the tensors are those of another model or other data.
        """
        rows = {k: v.to(self.device) for k, v in tensors["latents-00000"].items()}
        if not torch.equal(rows["ids"], self.latents.ids):
            raise UserError("the checkpoint's examples are not this run's; is the data changed?")
        self.model.load_state_dict(dict(tensors["network"]))
        self.latents.load(rows)
        _unflatten(self.optimizer, tensors["optimizer"])
        self.t = t


def _diverged(recipe: Recipe, when: str) -> UserError:
    now = recipe.train.learning_rate
    return UserError(
        f"learning diverged {when} with train.learning_rate={now:g}; "
        f"start a new run with --set train.learning_rate={now / 4:g}"
    )


def _guarded(stream: Iterator[Step], recipe: Recipe) -> Iterator[Step]:
    try:
        yield from stream
    except torch.linalg.LinAlgError as error:  # of the prior's covariance
        if recipe.infer.step_size != "adapt":
            raise UserError(
                f"the latents diverged with infer.step_size={recipe.infer.step_size}; "
                "start a new run with --set infer.step_size=adapt"
            ) from error
        raise _diverged(recipe, "at once") from error


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    states = optimizer.state_dict()["state"]
    return {f"{i}.{name}": v for i, state in states.items() for name, v in state.items()}


def _unflatten(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def summary(parts: build.Split, signals: Signals) -> dict[str, Any]:
    """What a fitted model must remember of its data."""
    return {
        "kind": signals.kind,
        "shape": list(parts.sensor.shape),
        "examples": len(signals),
        "scale": _listed(parts.sensor.scale),
        "names": list(parts.train.names[: parts.originals]),
        "columns": list(signals.columns),
    }


def _listed(scale: Any) -> dict[str, Any]:
    import numpy as np

    return {
        "low": np.asarray(scale.low, dtype=float).tolist(),
        "high": np.asarray(scale.high, dtype=float).tolist(),
        "dtype": str(scale.dtype),
    }
