"""Signals explained, and what lies between them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.errors import UserError
from abprop.evenly import evenly
from abprop.inference import (
    LeimkuhlerMatthews,
    Metric,
    State,
    calibrate,
    infer,
    nearest,
    solve,
)
from abprop.model import Model
from abprop.noise import Keyed, Noise
from abprop.operators import Operator
from abprop.residuals import Indirect, Law, Loose, Residual
from abprop.tasks.drawing import generate, grid_over
from abprop.whole import HERE, Whole

CANDIDATES = 512  # latents that are tried as starts
MEASURED = 16  # signals behind measurements whose draws are held at once
TO_START = 60  # of the solver's steps bring a chain near enough to the mode to walk on from there


def reconstruct(
    model: Model,
    y: Tensor,
    A: Operator,
    *,
    known: Tensor | None = None,
    steps: int = 300,
    chunk: int = 64,
) -> tuple[Tensor, Tensor]:
    """The most probable signals and latents given observations.

    Args:
        model, y, A: the fitted model and what was observed, (B, ...).
        known: latents of other signals, (M, *latent_shape), of which the nearest may be a better
            start than the prior's mean; at most CANDIDATES of them are tried.
        steps: of the solver.
        chunk: examples in one pass.

    Returns:
        x (B, C, *size) and z (B, *latent_shape).
    """
    start = None
    if known is not None and len(known):
        some = known[evenly(len(known), CANDIDATES)]
        start = nearest(model, y, A, some, chunk=chunk)
    z, _ = solve(model, y, A, start=start, steps=steps, chunk=chunk)
    return generate(model, z, chunk=chunk), z


def slerp(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Spherical interpolation from a to b, (d,): stays where N(0, I) has its mass."""
    cosine = torch.dot(a, b) / (a.norm() * b.norm()).clamp_min(1e-12)
    angle = torch.arccos(cosine.clamp(-1, 1))
    if angle < 1e-4 or math.pi - angle < 1e-4:
        return torch.lerp(a, b, t)
    return (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / torch.sin(angle)


def sheet(corners: Tensor, side: int = 8) -> Tensor:
    """Latents of a side x side sheet between four, (side^2, *latent_shape), row by row.

    Args:
        corners: latents (4, *latent_shape): top left, top right, bottom left, bottom right.
        side: latents along an edge.
    """
    steps = torch.linspace(0, 1, side).tolist()
    flat = corners.flatten(1)
    left = [slerp(flat[0], flat[2], t) for t in steps]
    right = [slerp(flat[1], flat[3], t) for t in steps]
    z = torch.stack([slerp(a, b, t) for a, b in zip(left, right, strict=True) for t in steps])
    return z.reshape(-1, *corners.shape[1:])


def interpolate(model: Model, corners: Tensor, side: int = 8, *, chunk: int = 64) -> Tensor:
    """A sheet of signals f(z) between four corners, (side^2, C, *size); see `sheet`.

    Args:
        model: a folded model, so that latents are N(0, I).
        corners: latents (4, d).
        side: signals along an edge.
        chunk: examples in one pass.
    """
    return generate(model, sheet(corners, side), chunk=chunk)


def corners(ids: Sequence[int] | None, known: Sequence[int]) -> list[int]:
    """The rows of four examples by their ids; those of the first four if None.

    Args:
        ids: four of `known`.
        known: the id of each row.

    Raises:
        UserError: there are not four, or one is not known.
    """
    if ids is None:
        return [i % len(known) for i in range(4)]
    if len(ids) != 4:
        raise UserError(f"ids (--ids): four corners are needed, got {len(ids)}")
    row = {int(id_): row for row, id_ in enumerate(known)}
    for id_ in ids:
        if id_ not in row:
            raise UserError(
                f"ids (--ids) {id_}: there is no example of this id, or it was forgotten"
            )
    return [row[id_] for id_ in ids]


def latent_grid(model: Model, side: int = 9, extent: float = 2.0, *, chunk: int = 64) -> Tensor:
    """Signals over [-extent, extent]^2 of a model with d = 2, (side^2, C, *size), row by row.

    Raises:
        UserError: the latent is not of two factors.
    """
    if model.network.latent_shape != (2,):
        raise UserError(f"a latent grid needs model.latent=2, not {model.network.latent_shape}")
    axis = torch.linspace(-extent, extent, side)
    z = torch.cartesian_prod(axis.flip(0), axis).flip(1)
    return generate(model, z.to(model.likelihood.sigma), chunk=chunk)


def mean_square(residual: Tensor, A: Operator, whole: Whole = HERE) -> float:
    """Mean of squares over all numbers that A measures, summed in 64 bits.

    On the CPU: there are devices without 64-bit floats.
    """

    def summed(residual: Tensor, A: Operator) -> tuple[Tensor, Tensor]:
        return residual.cpu().double().square().sum(), A.count.cpu().double().sum()

    squares, count = whole.sum(summed, residual, A)
    return (squares / count).item()


class Recovered(NamedTuple):
    """A block of recovered signals."""

    rows: Tensor  # which of the signals, (b,)
    draws: Tensor  # posterior draws, observed entries as they were, (b, K, C, *size)
    mean: Tensor  # of the posterior: the mean over chains of f(z) and its expected residual
    generated: Tensor  # the mean over chains of f(z) alone


def recover(
    model: Model,
    y: Tensor,
    hidden: Tensor,
    residual: Residual,
    *,
    draws: int,
    ids: Tensor,
    seed: int = 0,
    steps: int = 20,
    chunk: int = 64,
) -> Iterator[Recovered]:
    """Posterior draws of signals some entries of which are hidden.

    A draw is f(z) of one chain plus a residual: at observed entries y itself, at hidden ones drawn
    given the observed residuals of the same chain. All chains of a block run side by side. Where z
    is a map, signals may be of any size: they are explained by one map that covers them.

    Args:
        model: the fitted model.
        y: signals (B, C, *size); anything where hidden.
        hidden: bool (B, 1 or C, *size).
        residual: law of y - f(z) for signals like these.
        draws: K, chains of each example.
        ids: what keys each example's noise, (B,).
        seed: of that noise.
        steps: Langevin steps of a chain, which forgets half of where it was in each.
        chunk: chains in one pass.

    Yields:
        Blocks of `chunk` examples, in order.
    """
    hidden, size = hidden.expand_as(y), y.shape[2:]
    y = torch.where(hidden, torch.zeros((), dtype=y.dtype, device=y.device), y)
    if model.network.stationary:
        y, hidden = _covered(model, y, hidden)
    kept = (..., *(slice(n) for n in size))
    for rows in torch.arange(len(y), device=y.device).split(chunk):
        law = residual.on(hidden[rows])
        found = _completed(model, law, y[rows], tuple(y.shape[1:]), draws, ids[rows], seed, steps,
                           chunk)  # fmt: skip
        yield Recovered(rows, *(x[kept] for x in found))


def recover_measured(
    model: Model,
    y: Tensor,
    law: Indirect | Loose,
    *,
    draws: int,
    ids: Tensor,
    seed: int = 0,
    steps: int = 20,
    chunk: int = 64,
) -> Iterator[Recovered]:
    """Posterior draws of signals of which linear measurements were taken.

    Args:
        model: the fitted model.
        y: measurements (B, ...).
        law: of such signals.
        draws, ids, seed, steps, chunk: see `recover`.

    Yields:
        Blocks of `chunk` examples, in order.
    """
    shape, chunk = model.network.signal_shape, min(chunk, MEASURED)
    for rows in torch.arange(len(y), device=y.device).split(chunk):
        some = law.on(len(rows))
        found = _completed(model, some, y[rows], shape, draws, ids[rows], seed, steps, chunk)
        yield Recovered(rows, *found)


def _completed(
    model: Model, law: Law, y: Tensor, shape: tuple[int, ...], draws: int, ids: Tensor, seed: int,
    steps: int, chunk: int,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Draws, their mean, and the mean of f(z) alone, of some signals of one shape."""
    noise = _each_chain(Noise(seed, "recover"), ids, draws)
    z = _chains(model, law, law.seen(y), shape[1:], draws, noise, steps, chunk)
    x = generate(model, z, chunk=chunk).unflatten(0, (len(y), draws))
    noise = _each_chain(Noise(seed, "residual"), ids, draws)
    normal = noise.normal(law.normals(shape)).to(x).unflatten(0, (len(y), draws))
    return law.complete(x, y, normal), law.expected(x, y).mean(1), x.mean(1)


def _covered(model: Model, y: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Signals as large as the map over them makes, what is added of them hidden."""
    grid = grid_over(model, tuple(y.shape[2:]))
    native, cell = model.network.latent_shape[1:], 2**model.network.stages
    sides = zip(model.network.signal_shape[1:], grid, native, y.shape[2:], strict=False)
    more = [m + (g - n) * cell - length for m, g, n, length in sides]
    more += [0] * (y.ndim - 2 - len(more))  # along axes that have no map
    pads = [n for after in reversed(more) for n in (0, after)]
    return F.pad(y, pads), F.pad(hidden, pads, value=True)


def _each_chain(noise: Noise, ids: Tensor, draws: int) -> Keyed:
    """The noise of `draws` chains of each example, those of one example in a row."""
    chain = torch.arange(draws, device=ids.device).repeat(len(ids))
    return noise.at(ids.repeat_interleave(draws), chain=chain)


def _chains(
    model: Model, law: Law, seen: Tensor, size: tuple[int, ...], draws: int, noise: Keyed,
    steps: int, chunk: int,
) -> Tensor:  # fmt: skip
    """Latents of `draws` chains of each example, (B K, *latent_shape)."""
    model, few = model.at_sigma(law.sigma), torch.arange(len(seen), device=seen.device)
    grid = grid_over(model, size) if model.network.stationary else None
    start, own = model.mean_latent(len(seen), grid), 1 if len(seen) == 1 else chunk  # no padding
    z, _ = solve(model, seen, law.A, start=start, steps=TO_START, chunk=own)
    metric = Metric.plain(z, 0.1 * law.sigma)
    calibrate(model, seen, law.A, z, metric, noise[few * draws], chunk=own)
    rows = few.repeat_interleave(draws)
    state, _ = infer(
        model,
        seen[rows],
        law.A[rows],
        State.begin(z[rows]),
        LeimkuhlerMatthews(),
        steps=steps,
        noise=noise,
        metric=metric,
        chunk=chunk,
    )
    return state.z
