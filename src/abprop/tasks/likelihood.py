"""log p(y) of signals: modes, ways to them, chains along these; and the same of simulated signals.

sandwich    z ~ p(z),  y = A(f(z)) + sigma * noise:  then z is a draw from p(z | y), and chains
            that begin there bound log p(y) from above as those from q do from below
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from abprop.annealing import COURSES, Annealed, Course, annealed, annealed_back
from abprop.evenly import evenly
from abprop.model import Model
from abprop.noise import Noise
from abprop.operators import Mask, Operator
from abprop.tasks.explaining import reconstruct

TEMPERATURES = {"near": 50, "prior": 1000}  # by where chains begin, see `annealing.COURSES`
KNOWN = 128  # latents of other signals that are tried as starts towards a mode
TO_MODE = 120  # the solver's steps; what is no mode will do
ALONE = 16  # signals in one pass where each has but one latent
MATRICES = 2**25  # numbers in the coordinates of all chains of one pass


class Annealing(NamedTuple):
    """How log p(y) is estimated.

    Attributes:
        course: where chains begin, "near" each example's mode or at the "prior".
        temperatures: K; what suits the course if None.
        chains: of each example, at least 2.
        seed: of their noise.
        chunk: chains in one pass.
    """

    course: str = "near"
    temperatures: int | None = None
    chains: int = 8
    seed: int = 0
    chunk: int = 64

    @property
    def steps(self) -> int:
        """K."""
        return self.temperatures or TEMPERATURES[self.course]

    def within(self, factors: int) -> Annealing:
        """With passes so short that the matrices of `factors` latent numbers have room."""
        room = MATRICES // factors**2 // 16 * 16
        return self._replace(chunk=max(1, min(self.chunk, room)))


@torch.no_grad()
def log_likelihood(
    model: Model, y: Tensor, A: Operator, ids: Tensor, how: Annealing, known: Tensor | None = None
) -> Annealed:
    """log p(y) of each example with its error; see `annealing`.

    Args:
        model: any prior with a density that can be drawn from, a Gaussian likelihood.
        y, A: what was observed, (B, ...).
        ids: what keys each example's noise, (B,).
        how: see `Annealing`.
        known: latents of other signals, (M, *latent_shape), where the mode may be looked for.
    """
    model = model.precise().as_drawn()
    how = how.within(y.new_empty(model.network.latent_shape).numel())
    course = _course(model, y, A, how, known)
    return annealed(model, y, A, course, ids, how.seed, chains=how.chains, chunk=how.chunk)


@torch.no_grad()
def sandwich(
    model: Model, A: Operator, ids: Tensor, how: Annealing, known: Tensor | None = None
) -> tuple[Annealed, Annealed]:
    """Simulated signals from below and from above; what lies between bounds the error.

    Args:
        model, ids, how, known: see `log_likelihood`.
        A: through which they are seen.
    """
    model = model.precise().as_drawn()
    how = how.within(model.mean_latent(1).numel())
    z, y = simulated(model, A, ids, how.seed)
    course = _course(model, y, A, how, known)
    told = {"chains": how.chains, "chunk": how.chunk}
    below = annealed(model, y, A, course, ids, how.seed, **told)
    return below, annealed_back(model, y, A, z, course, ids, how.seed, **told)


def simulated(model: Model, A: Operator, ids: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """z from the prior and y from z, of Gaussian noise: (B, *latent_shape) and (B, ...)."""
    sigma = model.likelihood.sigma
    z = model.prior.draw_each(Noise(seed, "simulated z").at(ids)).to(sigma)
    clean = A(model.network(z))
    noise = Noise(seed, "simulated y").at(ids).normal(tuple(clean.shape[1:])).to(clean)
    y = clean + sigma * noise
    return z, A(y) if isinstance(A, Mask) else y


def _course(model: Model, y: Tensor, A: Operator, how: Annealing, known: Tensor | None) -> Course:
    some = None if known is None else known[evenly(len(known), KNOWN)]
    chunk = min(how.chunk, ALONE)
    mode = reconstruct(model, y, A, known=some, steps=TO_MODE, chunk=chunk)[1]
    return COURSES[how.course](model, A, mode, how.steps, how.chunk)
