"""Signals from linear measurements alone: y = A x."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from abprop.baselines.common import Filled
from abprop.errors import UserError, unknown
from abprop.residuals import Completion, Known
from abprop.say import Say, quiet

PILOTS = 5  # signals on which lambda is chosen
SHARES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # of the lambda at which c = 0
TV_WEIGHTS = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # lambdas of total variation, model units
TV_STEPS, TV_INNER = 200, 20  # iterations, and those of the proximal operator in each
TV_STEP = 0.1  # of the latter; with deepinv's own, .01, it is far from converged after these
HELD = 10  # one of so many measurements is held out to choose lambda


class Taken(NamedTuple):
    """Linear measurements of several signals.

    Attributes:
        y: (N, K), model units.
        A: (K, D), D numbers in a signal, channels first.
        shape: of a signal, (C, *size).
        seen: of what was measured of one: a coarser picture, or (K,).
    """

    y: np.ndarray
    A: np.ndarray
    shape: tuple[int, ...]
    seen: tuple[int, ...]


def recover(
    name: str,
    y: np.ndarray,
    A: np.ndarray,
    shape: tuple[int, ...],
    progress: Say = quiet,
    seen: tuple[int, ...] | None = None,
) -> Filled:
    """A baseline's answer from linear measurements y = A x alone.

    Args:
        name: one of RECOVERIES.
        y, A, shape, seen: see `Taken`.
        progress: told what is being done.

    Raises:
        UserError: no baseline has this name, it is not for such signals, or the shapes do not
            match.
    """
    if name not in RECOVERIES:
        raise unknown("baseline", name, RECOVERIES)
    if A.shape != (y.shape[1], int(np.prod(shape))):
        raise UserError(
            f"--against {name}: A is {A.shape[0]}x{A.shape[1]}, but y has {y.shape[1]} numbers "
            f"and a signal {int(np.prod(shape))}"
        )
    taken = Taken(y.astype(np.float64), A.astype(np.float64), shape, seen or y.shape[1:])
    x = RECOVERIES[name](taken, progress)
    return Filled(x.reshape(len(y), *shape).astype(np.float32))


def _minnorm(taken: Taken, progress: Say) -> np.ndarray:
    y, A = taken.y, taken.A
    wide = A.shape[0] <= A.shape[1]
    # Directions below rounding of the smaller Gram matrix were not measured.
    gram = np.linalg.pinv(A @ A.T if wide else A.T @ A, rcond=1e-12, hermitian=True)
    return y @ gram @ A if wide else y @ A @ gram


def _lasso(taken: Taken, progress: Say) -> np.ndarray:
    """Sparse in a basis of cosines; one lambda for all."""
    from scipy.fft import dctn, idctn

    y, A, shape = taken.y, taken.A, taken.shape
    axes = range(1, len(shape) + 1)
    atoms = np.asarray(dctn(A.reshape(-1, *shape), axes=axes, norm="ortho")).reshape(A.shape)
    at_zero = np.median(np.abs(y @ atoms).max(1))  # lambda beyond which nothing is left
    if at_zero == 0:
        return np.zeros((len(y), A.shape[1]))
    weight = _weight(y, atoms, at_zero * np.array(SHARES), _coefficients, progress)
    parts = []
    for i in range(0, len(y), 10):
        progress(f"lasso: {i} of {len(y)}")
        parts.append(_coefficients(y[i : i + 10], atoms, weight))
    c = np.concatenate(parts)
    return np.asarray(idctn(c.reshape(-1, *shape), axes=axes, norm="ortho"))


def _weight(
    y: np.ndarray, A: np.ndarray, weights: Sequence[float], solve: Solver, progress: Say
) -> float:
    """The lambda by which held-out measurements of a few signals are foretold best."""
    held = np.arange(y.shape[1]) % HELD == HELD - 1
    if not held.any():
        return weights[-1]
    scores = {}
    for weight in weights:
        progress(f"trying lambda = {weight:g}")
        x = solve(y[:PILOTS, ~held], A[~held], weight)
        scores[weight] = np.square(y[:PILOTS, held] - x @ A[held].T).mean()
    return min(scores, key=scores.__getitem__)


def _coefficients(y: np.ndarray, atoms: np.ndarray, weight: float) -> np.ndarray:
    """argmin_c 1/2 |y - atoms c|^2 + weight |c|_1 for each row of y, (N, D)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    solver = Lasso(weight / y.shape[1], fit_intercept=False, copy_X=False, max_iter=2000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(np.asfortranarray(atoms, dtype=np.float64), y.T)
    return np.atleast_2d(solver.coef_)


def _tv(taken: Taken, progress: Say) -> np.ndarray:
    """Pictures of least total variation, as deepinv finds them; one lambda for all."""
    if len(taken.shape) != 3:
        raise UserError("--against tv: for pictures; leave it out")
    try:
        from deepinv.optim import FISTA, L2, TVPrior
        from deepinv.physics import LinearPhysics
    except ImportError as error:
        raise UserError("--against tv: needs deepinv; pip install deepinv") from error

    def solve(y: np.ndarray, A: np.ndarray, weight: float) -> np.ndarray:
        rows, shape = torch.from_numpy(A.astype(np.float32)), taken.shape
        physics = LinearPhysics(
            A=lambda x, **_: x.flatten(1) @ rows.T,
            A_adjoint=lambda v, **_: (v @ rows).reshape(-1, *shape),
        )
        step = 1 / np.linalg.eigvalsh(A @ A.T)[-1]
        prior = TVPrior(n_it_max=TV_INNER)
        prior.TVModel.tau = TV_STEP
        made = FISTA(L2(), prior, weight, step, max_iter=TV_STEPS)
        with torch.no_grad():
            return made(torch.from_numpy(y.astype(np.float32)), physics).flatten(1).numpy()

    weight = _weight(taken.y, taken.A, TV_WEIGHTS, solve, progress)
    progress(f"tv: {len(taken.y)} pictures, lambda = {weight:g}")
    return solve(taken.y, taken.A, weight)


def _kriging(taken: Taken, progress: Say) -> np.ndarray:
    """The mean of stationary signals that the measurements make most likely."""
    if len(taken.shape) < 2:
        raise UserError("--against kriging: these signals have no axes; leave it out")
    y, A = (torch.from_numpy(v.astype(np.float32)) for v in taken[:2])
    return Completion(Known.of(y, A, taken.shape), A)(y).numpy()


def _bicubic(taken: Taken, progress: Say) -> np.ndarray:
    """A coarser picture brought to the size of the signal."""
    if len(taken.shape) != 3 or len(taken.seen) != 3 or taken.seen[0] != taken.shape[0]:
        raise UserError("--against bicubic: for pictures made smaller, as by down:4; leave it out")
    coarse = torch.from_numpy(taken.y).reshape(-1, *taken.seen)
    return F.interpolate(coarse, taken.shape[1:], mode="bicubic").numpy()


Solver = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""y (N, K), A (K, D) and lambda -> x (N, D)."""

Recovery = Callable[[Taken, Say], np.ndarray]
RECOVERIES: dict[str, Recovery] = {
    "minnorm": _minnorm,
    "lasso": _lasso,
    "tv": _tv,
    "kriging": _kriging,
    "bicubic": _bicubic,
}
