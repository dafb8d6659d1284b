"""How good a run's answers are, with baselines beside them.

What is scored depends on what is known:

    hidden         entries hidden on purpose: under posterior draws, their truth is known
    all            everything: of reconstructions
    observed       what was observed, where some is missing: of reconstructions
    signals        whole signals behind simulated measurements: under posterior draws
    measurements   y itself, where it is all there is
    samples        of one clip: how they compare with it
    levels         of several: the power of each band at each time, rmse_data in decibels
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from abprop import baselines
from abprop.data import ASIDE, MISSING, SECRET, Sensor, Signals
from abprop.errors import UserError, unknown
from abprop.evaluate import recovery
from abprop.evaluate.reconstruction import Explained
from abprop.evaluate.recovery import Answering, Posterior
from abprop.evaluate.samples import pictures, sounds, textures, videos
from abprop.evaluate.samples.likeness import Likeness
from abprop.evaluate.scores import Scores, errors
from abprop.kinds import Kind
from abprop.measures import Ratios
from abprop.model import Model
from abprop.operators import Measurement, for_many, written_out
from abprop.say import Say, counted

WHITE = "white"  # the paper's model beside the default: the same f, residuals independent
CEILING = "pca"  # of measured signals: it has seen complete ones
ROWS = 4096  # of an operator written out as a matrix, at most


# By `Kind.judge`: what holds samples against their source, and rivals of it.
JUDGES: dict[str, tuple[Callable[..., tuple[Likeness, dict[str, Ratios]]], Iterable[str]]] = {
    "pictures": (pictures.judged, ()),
    "texture": (textures.judged, baselines.TEXTURES),
    "sound": (sounds.judged, baselines.SOUNDS),
    "video": (videos.judged, baselines.VIDEOS),
}


class Run(pictures.Run, textures.Run, sounds.Run, videos.Run, Protocol):
    """What judging asks of a fitted run; see `run.fitted`."""

    model: Model
    device: torch.device

    @property
    def kind(self) -> Kind: ...
    @property
    def names(self) -> list[str]: ...
    @property
    def measured(self) -> bool: ...
    def sensor(self, signals: Signals) -> Sensor: ...
    @property
    def residual(self) -> str: ...
    def given(self) -> Signals: ...
    def owns(self, signals: Signals) -> bool: ...
    def posterior(
        self,
        signals: Signals,
        draws: int,
        progress: Say,
        residual: str | None = None,
        sensor: Sensor | None = None,
    ) -> Answering: ...
    def explained(self, signals: Signals) -> Iterator[Explained]: ...


def judged(
    run: Run,
    signals: Signals,
    against: Sequence[str],
    draws: int,
    progress: Say,
    sensor: Sensor | None = None,
) -> dict[str, Any]:
    """Errors of a run on some signals, as the run observes its own or by a sensor.

    See `Run.evaluate`.
    """
    began = time.monotonic()
    whole = bool(run.kind.judge) and run.owns(signals)
    own = whole and run.kind.cuts
    judge, known = JUDGES.get(run.kind.judge, (None, ()))
    rivals = [name for name in against if whole and name in known]
    against = [name for name in against if name not in rivals]
    if run.rate and run.kind.cuts:
        _checked(against, known, "a clip")
        found = {"scored": "samples"}
    elif sensor is not None or run.measured:
        found = _measured(run, signals, sensor or run.sensor(signals), against, draws, progress)
    elif signals.veil is not None and (signals.veil == SECRET).any():
        signals = run.signals if own else signals  # the whole of what was cut
        found = _hidden(run, signals, against, draws, progress)
    else:
        found = _whole(run, signals, against, progress)
    result = {"n": len(signals), "latent_dim": _d(run), **found}
    if whole and judge is not None:
        told, beside = judge(run, rivals, progress)
        rows = result.get("baselines", {}) | beside
        result |= told | ({"baselines": rows} if rows else {})
    return {**result, "seconds": round(time.monotonic() - began, 2)}


def _d(run: Run) -> int:
    return math.prod(run.model.network.latent_shape)


def _checked(names: Sequence[str], known: Iterable[str], what: str) -> None:
    known = list(known)
    for name in names:
        elsewhere = {*baselines.FILLERS, *baselines.RECOVERIES, *baselines.BASELINES}
        elsewhere |= {*baselines.TEXTURES, *baselines.SOUNDS, *baselines.VIDEOS}
        if name not in known and name in elsewhere:
            raise UserError(f"--against {name}: not for {what}; there are {', '.join(known)}")
        if name not in known:
            raise unknown("baseline", name, known)


# Hidden parts ---------------------------------------------------------------------------------


def _hidden(
    run: Run, signals: Signals, against: Sequence[str], draws: int, progress: Say
) -> dict[str, Any]:
    _checked(against, (*baselines.FILLERS, WHITE), "hidden parts")
    truth, known, scored = _scored(signals)
    if not scored.any():
        raise UserError("nothing that was hidden can be scored: no example ever observes it")
    # Baselines first: they may refuse, and drawing takes long.
    fillers = [name for name in against if name != WHITE]
    rows, asked = _filled(run, signals, fillers, truth, scored, progress), signals.unveiled(ASIDE)

    def answered(residual: str) -> tuple[Posterior, Scores, Scores]:
        posterior = run.posterior(signals, draws, progress, residual)
        assert isinstance(posterior, Posterior)
        told = recovery.score(posterior, asked, scored, known, draws, run.device, progress)
        return posterior, *told

    posterior, hidden, everything = answered(run.residual)
    if WHITE in against:
        rows[WHITE] = answered(WHITE)[1].result()
    result: dict[str, Any] = {"scored": "hidden", **hidden.result(), "all": everything.result()}
    result |= {"residual": run.residual, "draws": draws, "width": round(posterior.width, 4)}
    return result | ({"baselines": rows} if rows else {})


def _scored(signals: Signals) -> tuple[Tensor, Tensor, Tensor]:
    """The truth in model units, where it is known, and where it is known but was hidden.

    Entries that none of several examples ever observes are not scored.
    """
    truth = torch.from_numpy(signals.scale.to_model(signals.values))
    veil = signals.codes(range(len(signals)))
    codes = torch.from_numpy(np.broadcast_to(np.asarray(veil), truth.shape).copy())
    known = (codes != MISSING) & torch.isfinite(truth)
    ever = ((codes != MISSING) & (codes != SECRET)).any(0) | (len(codes) == 1)
    return torch.nan_to_num(truth), known, known & (codes == SECRET) & ever


def _filled(
    run: Run, signals: Signals, names: Sequence[str], truth: Tensor, scored: Tensor, progress: Say
) -> dict[str, dict[str, float]]:
    """What baselines score, fitted to the same incomplete data."""
    if not names:
        return {}
    own = signals if run.kind.cuts else run.given()  # a picture is filled by itself
    train, test = (s.batch(np.arange(len(s))) for s in (own, signals.unveiled(ASIDE)))
    (x, gone), (y, asked) = ((v.numpy(), h if h is None else h.numpy()) for v, h in (train, test))
    found = {}
    for name in names:
        answer = baselines.fill(name, x, gone, y, asked, _d(run), progress)
        scores, sd = Scores(run.scale.unit), answer.sd
        mean = torch.from_numpy(answer.mean)
        scores.add(mean, truth, scored, sd=None if sd is None else torch.from_numpy(sd))
        found[name] = scores.result()
    return found


# Whole signals --------------------------------------------------------------------------------


def _whole(run: Run, signals: Signals, against: Sequence[str], progress: Say) -> dict[str, Any]:
    _checked(against, baselines.BASELINES, "signals of which nothing was hidden")
    unit = run.scale.unit
    seen = run.sensor(signals).learned_from(signals)
    answers = _baselines(run, against, signals, seen, progress)
    scores = {name: Scores(unit) for name in ("", *against)}
    progress(f"inferring the latents of {counted(len(signals), 'signal', 'signals')}")
    for rows, x, _ in run.explained(signals):
        y, hidden = seen.batch(rows)
        scored = None if hidden is None else ~hidden
        scores[""].add(x, y, scored)
        for name, answer in answers.items():
            scores[name].add(answer[rows], y, scored)
    what = "levels" if run.rate else "all" if signals.hidden is None else "observed"
    result: dict[str, Any] = {"scored": what, **scores[""].result()}
    if answers:
        result["baselines"] = {name: scores[name].result() for name in against}
    return result


def _baselines(
    run: Run, names: Sequence[str], signals: Signals, seen: Signals, progress: Say
) -> dict[str, Tensor]:
    """What baselines answer to what is seen of the signals, fitted to the same of the run's own."""
    if not names:
        return {}
    own = run.given()
    if own.hidden is not None or signals.hidden is not None:
        raise UserError(
            f"--against {names[0]}: some of these data are missing and nothing was hidden on "
            "purpose, so nothing can be scored; hide something with --hide, or leave --against out"
        )
    learned = seen if own is signals else run.sensor(own).learned_from(own)
    train, y = (s.batch(np.arange(len(s)))[0].numpy() for s in (learned, seen))
    found = {}
    for name in names:
        progress(f"fitting {name}")
        found[name] = baselines.baseline(name, train, y, _d(run))
    return found


# Measurements ---------------------------------------------------------------------------------


def _measured(
    run: Run,
    signals: Signals,
    sensor: Sensor,
    against: Sequence[str],
    draws: int,
    progress: Say,
) -> dict[str, Any]:
    simulated = sensor.units is None
    _checked(against, (*baselines.RECOVERIES, *([CEILING] if simulated else [])), "measurements")
    y, A = sensor.measured(signals), sensor.operator
    assert A is not None
    if not simulated:  # all there is to hold answers against
        return _foretold(run, signals, sensor, y, A, against, progress)
    truth = signals.batch(np.arange(len(signals)))[0]
    rows = {
        name: _ceiling(run, truth) if name == CEILING
        else _from_measurements(name, y, A, sensor.shape, progress)
        for name in against
    }  # fmt: skip
    unit = float(np.mean(sensor.scale.unit))
    told = {name: errors(answer, truth, None, unit) for name, answer in rows.items()}
    posterior = run.posterior(signals, draws, progress, sensor=sensor)
    everything = torch.ones_like(truth, dtype=torch.bool)
    found = recovery.score(posterior, signals, everything, everything, draws, run.device, progress)
    result = {"scored": "signals", **found[0].result(), "all": found[1].result(), "draws": draws}
    return result | ({"baselines": told} if told else {})


def _foretold(
    run: Run,
    signals: Signals,
    sensor: Sensor,
    y: Tensor,
    A: Measurement,
    against: Sequence[str],
    progress: Say,
) -> dict[str, Any]:
    """Measurements foretold by f(z), and by what baselines make of them."""
    unit, every = float(np.mean(sensor.scale.unit)), for_many(A, len(y))
    rows = {name: _from_measurements(name, y, A, sensor.shape, progress) for name in against}
    progress(f"inferring the latents of {counted(len(signals), 'signal', 'signals')}")
    x = torch.cat([block.x for block in run.explained(signals)])
    result: dict[str, Any] = {"scored": "measurements", **errors(every(x), y, None, unit)}
    if rows:
        told = {name: errors(every(answer), y, None, unit) for name, answer in rows.items()}
        result["baselines"] = told
    return result


def _ceiling(run: Run, truth: Tensor) -> Tensor:
    """What PCA makes of the complete signals: it was fitted to complete ones too."""
    train = run.given().batch(np.arange(len(run.names)))[0].numpy()
    return baselines.baseline(CEILING, train, truth.numpy(), _d(run))


def _from_measurements(
    name: str, y: Tensor, A: Measurement, shape: tuple[int, ...], progress: Say
) -> Tensor:
    progress(f"fitting {name}")
    flat, matrix = y.flatten(1), _matrix(A, shape)
    answer = baselines.recover(name, flat.numpy(), matrix.numpy(), shape, progress, A.shape)
    return torch.from_numpy(answer.mean)


def _matrix(A: Measurement, shape: tuple[int, ...]) -> Tensor:
    count = math.prod(A.shape)
    if not A.linear or count > ROWS:
        raise UserError(
            f"--against: needs a linear measurement of at most {ROWS} numbers, this one has "
            f"{count}; leave --against out"
        )
    return written_out(A, shape)
