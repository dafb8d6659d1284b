"""Alternating back-propagation and its kin: recipes of this library, learned by its own loop.

abp        the default: persistent chains from principal component scores, a fitted prior
short-run  every visit begins at a draw from N(0, I) and takes K steps (Nijkamp et al., Learning
           Multi-layer Latent Variable Model via Variational Optimization of Short Run MCMC, 2020)
pgd        particle gradient descent (Kuntz, Lim, Johansen, Particle algorithms for maximum
           likelihood training of latent variable models, AISTATS 2023)

    W   <- W + h/N sum_j grad_W log p(y, z_j; W)                  here: AdamW of the mean over N
    z_j <- z_j + h grad_z log p(y, z_j; W) + sqrt(2 h) noise      j = 1..N

is Algorithm 1 with one Langevin step a visit (infer.steps=1, infer.kernel=langevin), N persistent
chains of each example (infer.chains=N) and a fixed step s, s^2 / 2 = h. Its authors move W and z
at once and all particles in each iteration; here W moves right after z, of a batch, as for the
others, and particles begin at the prior, N(0, I), which stays as it is.
"""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.inference import State, due, infer
from abprop.learning import Learning
from abprop.learning.plan import LONGEST_WAIT, WAIT
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.run.fitting import Session
from learners.harness import BLOCK, FOREVER, Found, Limit

STEPS = 20  # K, of a short run
PARTICLES = 3  # N, of an example; the authors took 10, which learn less in the same minutes (docs)
SIZE = 0.2  # s, in standard deviations of the prior

SHORT = (
    "infer.visits=restarted", f"infer.steps={STEPS}", "infer.start=prior", "infer.wait=0",
    "model.prior=standard",
)  # fmt: skip
PGD = (
    "infer.kernel=langevin", "infer.steps=1", f"infer.step_size={SIZE}", "infer.start=prior",
    f"infer.chains={PARTICLES}", "infer.wait=0", "model.prior=standard",
)  # fmt: skip


def learn(session: Session, limit: Limit) -> Found:
    """Algorithm 1 by the recipe until the limit is over.

    The schedule follows the limit instead of a number of iterations planned: chains wait as long
    as they would, and the learning rate falls as it would.
    """
    learning = session.learning
    heldout, learning.heldout = learning.heldout, None  # no one looks at it while learning
    infer, moved = learning.settings.infer, (0, 0.0)
    if infer.wait is None and infer.start == "pca":
        part = waiting_part(infer.steps)
        _until(learning, limit, Pace(infer.steps, part, None), part)
        moved = learning.t, limit.gone(learning.t)
    _until(learning, limit, Pace(infer.steps, 0.0, moved), 1.0)
    learning.heldout = heldout
    short = learning.settings.infer.visits == "restarted"
    return Found(None, learning.t, (lambda y: short_run(learning, y)) if short else None)


def waiting_part(steps: int) -> float:
    """What part of the time the WAIT of all iterations takes in which chains stay.

    Args:
        steps: l; an iteration in which chains move is about l + 1 times as long.
    """
    return WAIT / (WAIT + (1 - WAIT) * (steps + 1))


class Pace(NamedTuple):
    """How long iterations take.

    Attributes:
        steps: l.
        part: of the limit in which chains stay, at most.
        moved: after how many iterations they began to move, and what part of the limit; None: they
            stay.
    """

    steps: int
    part: float
    moved: tuple[int, float] | None

    def total(self, t: int, gone: float) -> int:
        """Iterations in all that are promised after t of them.

        Args:
            t: iterations done.
            gone: part of the limit that is over.
        """
        if not t:
            return 1
        if self.moved is not None and t > self.moved[0]:
            begun, before = self.moved
            return max(t + 1, math.ceil(begun + (1 - before) * (t - begun) / (gone - before)))
        each = gone / t
        stay = t if self.moved else min(LONGEST_WAIT, self.part / each)
        return max(t + 1, math.ceil(stay + (1 - stay * each) / (each * (self.steps + 1))))


def _until(learning: Learning, limit: Limit, pace: Pace, end: float) -> None:
    """Iterations until a part `end` of the limit is over, or chains have stayed for long enough."""
    waiting = pace.moved is None
    most = LONGEST_WAIT if waiting else FOREVER
    if limit.gone(learning.t) >= end:
        return
    infer = replace(learning.settings.infer, wait=FOREVER if waiting else learning.t)
    learning.settings = replace(learning.settings, infer=infer)
    _plan(learning, limit, pace)
    with closing(learning.steps(FOREVER)) as steps:
        for _ in steps:
            if limit.gone(learning.t) >= end or learning.t >= most:
                break
            _plan(learning, limit, pace)


def _plan(learning: Learning, limit: Limit, pace: Pace) -> None:
    """As many iterations in all as the pace so far promises: what the schedule goes by."""
    total = pace.total(learning.t, limit.gone(learning.t))
    learning.settings = learning.settings.lasting(total)


def short_run(learning: Learning, y: Tensor) -> Tensor:
    """f at the end of a short run from a draw of the prior, as a visit of learning goes."""
    seed, ids = learning.settings.seed, torch.arange(len(y))
    z = learning.model.prior.draw_each(Noise(seed, "own").at(ids)).to(learning.latents.z)
    A, model = Identity(len(y), tuple(y.shape[1:])), learning.answering
    state, _ = infer(
        model, y, A, State.begin(z), learning.kernel, steps=STEPS,
        noise=Noise(seed, "own-steps").at(ids), metric=learning.latents.metric,
        look=due(0, STEPS), chunk=learning.chunk,
    )  # fmt: skip
    with torch.no_grad():
        return torch.cat([model.network(some) for some in state.z.split(BLOCK)])
