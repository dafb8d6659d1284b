"""What a fitted run says of signals: of what is hidden, and how probable they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import torch

from abprop.data import Examples, Sensor, Signals
from abprop.errors import UserError, unknown
from abprop.evaluate import Answering, Likelihood, Scored, calibration, measured, scored_likelihood
from abprop.grammar import whole
from abprop.likelihoods import Gaussian
from abprop.residuals import MOST
from abprop.run.fitted.learned import Learned
from abprop.say import Say, quiet
from abprop.tasks import TEMPERATURES, Annealing

LIKELIHOOD = "likelihood (--likelihood):"
CHUNK = 64  # chains in one pass, at most

Asked = tuple[Scored, Annealing, int | None, int]


@dataclass
class Answers(Learned):
    """A run that can be asked about signals."""

    def posterior(
        self,
        signals: Signals,
        draws: int,
        progress: Say = quiet,
        residual: str | None = None,
        sensor: Sensor | None = None,
    ) -> Answering:
        """How this run answers for such signals; for parts of them with its width calibrated.

        Args:
            signals, draws, progress: see `evaluate`.
            residual: "correlated" or "white"; the run's own if None.
            sensor: how they are observed, if not as the run's own.
        """
        if self.rate:
            raise UserError("a sound is complete: there is nothing to recover; use sample")
        sensor = sensor or self.sensor(signals)
        if sensor.operator is not None:
            return self._from_measurements(signals, sensor, progress)
        residual = residual or self.residual
        if residual not in self._posteriors:
            progress("fitting the law of the residuals")
            train = self.split.train.take(range(min(calibration.FITTED, len(self.names)))).stored()
            how = (residual == "correlated", self._chains, self.recipe.seed)
            self._posteriors[residual] = calibration.answering(
                self.learned, self.states, train, *how
            )
        progress("calibrating the uncertainty on entries set aside")
        data, candidates = self.recipe.data, self._posteriors[residual]
        candidates = [replace(p, group=self.group) for p in candidates]
        own = self.owns(signals) or signals.fingerprint == data.fingerprint
        share = (data.aside if own else 0.0) or calibration.SHARE
        return calibration.calibrated(candidates, signals, draws, self.device, share)

    def _from_measurements(self, signals: Signals, sensor: Sensor, progress: Say) -> Answering:
        progress("fitting the laws of the residuals")
        train = self.signals.take(self.ids[: len(self.names)][: calibration.FITTED].cpu())
        own = self.sensor(self.signals)
        candidates = measured.answering(
            self.learned, self.states, train, own, sensor, self._chains, self.recipe.seed
        )
        candidates = [replace(one, group=self.group) for one in candidates]
        if len(candidates) > 1:
            progress("comparing them on measurements set aside")
        return measured.chosen(candidates, signals, self.device)

    @property
    def residual(self) -> str:
        """ "correlated" or "white": the law of what f leaves over."""
        asked, axes = self.recipe.model.residual, len(self.shape) - 1
        told = axes > 0 or 1 < prod(self.shape) <= MOST
        return asked if asked != "auto" else "correlated" if told else "white"

    def log_likelihood(
        self,
        source: object = None,
        *,
        sets: Sequence[str] = (),
        examples: int | None = None,
        temperatures: int | None = None,
        chains: int = 8,
        course: str = "near",
        simulated: int = 0,
        progress: Say = quiet,
    ) -> Likelihood:
        """log p(y) of each example by annealed importance sampling, with its error, in nats.

        Of what was observed of each, under the noise that the run ended with, in model units. Of
        the run's own data the held-out examples, or else the training ones, and it says which.

        Args:
            source: signals; this run's own data if None.
            sets: data.* keys for `source`.
            examples: at most so many, evenly chosen; 128 if None, fewer of large signals.
            temperatures: between start and posterior; 50 from "near", 1000 from "prior" if None.
            chains: of each example, at least 2.
            course: "near" starts from a normal law about each example's mode, "prior" from the
                prior: slower by far, but it finds modes that lie apart.
            simulated: also of so many simulated signals, from below and from above.
            progress: told what is being done.

        Raises:
            UserError: a likelihood that is no density of the signals, or a bad number.
        """
        asked = {"examples": examples, "temperatures": temperatures, "chains": chains}
        asked |= {"course": course, "simulated": simulated}
        return scored_likelihood(*self._to_score(self.given(source, sets), **asked), progress)

    def _to_score(self, signals: Signals, **asked: Any) -> Asked:
        how, count, simulated = _annealing(self.recipe.seed, self._chunk, **asked)
        sensor = self.sensor(signals)
        if not isinstance(self.model.likelihood, Gaussian):
            raise UserError(
                f"{LIKELIHOOD} not of a run with model.likelihood=spectral: frames that overlap "
                "have no density of their own; leave it out"
            )
        if sensor.completion is not None:
            raise UserError(
                f"{LIKELIHOOD} not of a run that learned from completed signals; fit another one "
                "with --set data.complete=no, or leave it out"
            )
        examples, which = self._scored_of(signals, sensor)
        known = self.z[: len(self.names)]
        scored = Scored(self.model, examples, which, known, self.device, self.group)
        return scored, how, count, simulated

    def _scored_of(self, signals: Signals, sensor: Sensor) -> tuple[Examples, str]:
        """Examples as learning saw them, and what they are called."""
        if not self._rows_of(signals):
            seen = sensor.learned_from(signals)
            return sensor.examples(seen, torch.arange(len(seen))), "given"
        if self.split.unseen is not None:
            return self.split.unseen, "held-out"
        return self.split.examples.first(self.split.originals), "training"


def _annealing(
    seed: int, chunk: int, *, examples: int | None = None, temperatures: int | None = None,
    chains: int = 8, course: str = "near", simulated: int = 0,
) -> tuple[Annealing, int | None, int]:  # fmt: skip
    """How to anneal, how many examples and how many simulated signals, checked."""
    if course not in TEMPERATURES:
        raise unknown("course (--course)", course, TEMPERATURES)
    count = None if examples is None else whole("examples (--examples)", examples, 1)
    steps = (
        None if temperatures is None else whole("temperatures (--temperatures)", temperatures, 1)
    )
    chains = whole("chains (--chains)", chains, 2)
    simulated = whole("simulated (--simulated)", simulated, 0)
    return Annealing(course, steps, chains, seed, min(CHUNK, chunk)), count, simulated
