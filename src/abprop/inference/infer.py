"""A visit: some transitions of every example's chain, in static chunks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from abprop import replay
from abprop.inference.adapt import curved, look, steered
from abprop.inference.base import Chain, Info, Kernel, Moved, State, expand, normal
from abprop.inference.chunks import chunks
from abprop.inference.metric import Metric
from abprop.model import Model, Score
from abprop.noise import Keyed
from abprop.operators import Operator
from abprop.whole import HERE, Whole

ABSURD = 1e4  # no posterior of a learned generator reaches so far from its prior


class Visit(NamedTuple):
    """What becomes of some chains in a visit depends on this; see `infer`."""

    kernel: Kernel
    model: Model
    y: Tensor
    A: Operator
    state: State
    metric: Metric
    steps: int
    noise: Keyed


def infer(
    model: Model,
    y: Tensor,
    A: Operator,
    state: State,
    kernel: Kernel,
    *,
    steps: int,
    noise: Keyed,
    metric: Metric | None = None,
    look: bool = False,
    chunk: int = 64,
) -> tuple[State, Info]:
    """`steps` transitions of every chain, from where it was left.

    Runs in static chunks, the last one padded, so that an example's answer has the same bits
    whatever its batch, order and company.

    Args:
        model: gives the score.
        y, A: observations (B, ...) and their operator, one row for each chain.
        state: where the chains stand.
        kernel: see KERNELS.
        steps: number of transitions, each `kernel.passes` passes forward and back; 0: none.
        noise: keyed by example and chain; each chain's age is its time.
        metric: the chains' coordinates; z's own if None. A fixed step size is one of z's own.
        look: look at the curvature first, at two more passes; chains that were never looked at
            always are.
        chunk: chains in one pass.
    """
    if not steps:
        return state, Info.idle(state)
    if metric is None or kernel.step_size is not None:
        metric = Metric.plain(state.z[:1])
    looked = _looked(kernel, state, look)
    parts = []
    for rows, n in chunks(len(y), chunk, state.z.device):
        some = State(*(v[rows] for v in state))
        now = noise[rows].later(some.age).ahead(steps + 1)
        visit = Visit(kernel, model, y[rows], A[rows], some, metric, steps, now)
        told = _replayed(visit) if looked is None else _visited(visit, looked[rows])
        parts.append([v[:n] for v in told])
    whole = [torch.cat(values) for values in zip(*parts, strict=True)]
    return State(*whole[: len(State._fields)]), Info(*whole[len(State._fields) :])


def _looked(kernel: Kernel, state: State, asked: bool) -> Tensor | None:
    """Which chains' curvature is looked at, bool (B,); None: no one's."""
    if kernel.step_size is not None:
        return None
    new = (state.axis == 0).flatten(1).all(1)  # the one place where the host waits for a GPU
    return new | asked if asked or bool(new.any()) else None


def _replayed(visit: Visit) -> Sequence[Tensor]:
    """A visit without looks: the same each time, so that a GPU may replay a recording of it."""
    held = replay.parts_of(visit.A) if replay.possible(visit.y) else None
    if held is None:
        return _visited(visit)
    (rest, tensors), (key, keyed) = held, replay.noise_of(visit.noise)
    names, n = list(tensors), len(State._fields)

    def work(y: Tensor, root: Tensor, *more: Tensor) -> Sequence[Tensor]:
        there = replay.with_parts(visit.A, dict(zip(names, more[n + 3 :], strict=True)))
        noise = replay.with_noise(key, more[n : n + 3])
        now = State(*more[:n])
        return _visited(visit._replace(y=y, A=there, state=now, metric=Metric(root), noise=noise))

    inputs = [visit.y, visit.metric.root, *visit.state, *keyed, *tensors.values()]
    return replay.replayed(visit.model, (visit.kernel, visit.steps, rest, key), work, inputs)


def _visited(visit: Visit, looked: Tensor | None = None) -> Sequence[Tensor]:
    """Fields of the state and the info after a visit; `looked` as `_looked` gives it."""
    kernel, model, y, A, state, metric, steps, noise = visit
    score = model.score(y, A)
    chain, axis, bent = _prepared(kernel, score, state, metric, noise, looked)
    told: list[Moved] = []
    for k in range(steps):
        chain, moved = kernel.step(score, chain, noise.later(k))
        told.append(moved)
    accepted = torch.stack([moved.accepted for moved in told]).mean(0)
    stable = torch.stack([moved.stable for moved in told]).to(accepted.dtype).mean(0)
    s, log_p = steered(kernel, chain.s, accepted), told[-1].log_p
    # The guard: a chain that is lost goes back to where it came from, slower, and is looked at.
    lost = ~((chain.z.abs() < ABSURD).flatten(1).all(1) & torch.isfinite(log_p))
    slower = torch.where(state.s > 0, state.s, s) / 4
    after = State(
        torch.where(expand(lost, state.z), state.z, chain.z),
        torch.where(lost, torch.nan_to_num(slower), s),
        torch.where(expand(lost, axis), torch.zeros_like(axis), axis),
        state.age + steps,
    )
    return (*after, *Info(log_p, after.s, accepted, stable, lost, bent))


def _prepared(
    kernel: Kernel,
    score: Score,
    state: State,
    metric: Metric,
    noise: Keyed,
    looked: Tensor | None,
) -> tuple[Chain, Tensor, Tensor]:
    """The chains with their step sizes; stiffest directions; random looks, NaN without any."""
    nothing = torch.full_like(state.z, torch.nan)
    if looked is None:
        size = kernel.step_size
        s = state.s if size is None else torch.full_like(state.s, size)
        return Chain(state.z, s, metric), state.axis, nothing
    chain = Chain(state.z, state.s, metric, *score(state.z))
    found = look(kernel, score, state, chain, noise)
    # Who was not asked for stays as it is, whatever company it is in.
    wide = expand(looked, state.z)
    chain = chain._replace(s=torch.where(looked, found.s, state.s))
    axis = torch.where(wide, found.axis, state.axis)
    return chain, axis, torch.where(wide, found.bent, nothing)


def calibrate(
    model: Model,
    y: Tensor,
    A: Operator,
    z: Tensor,
    metric: Metric,
    noise: Keyed,
    *,
    rounds: int = 6,
    chunk: int = 64,
    whole: Whole = HERE,
) -> None:
    """Learn the metric at z before any chain has moved: `rounds` passes, two scores each.

    Args:
        model, y, A, chunk: as for `infer`.
        z: latents (B, *latent_shape); a few hundred are enough.
        metric: learns in place. Its scale at first should be a small step in z.
        noise: keyed by example.
        rounds: the first of them finds the scale.
        whole: the batch of which these are here.
    """
    for k in range(rounds):
        bent, metric.looks = [], torch.zeros(())  # the round before only helped to see better
        for rows, n in chunks(len(y), chunk, z.device):
            score = model.score(y[rows], A[rows])
            chain = Chain(z[rows], z.new_ones(len(rows)), metric, *score(z[rows]))
            u = normal(noise[rows].later(k).of("calibrate"), z)
            bent.append(curved(score, chain, u, chain.s)[:n])
        metric.update(whole.gather(torch.cat(bent)))
