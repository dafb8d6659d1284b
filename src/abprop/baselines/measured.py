"""Signals from linear measurements alone: y = A x."""

from __future__ import annotations

import warnings
from collections.abc import Callable
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
    """One lambda for all, chosen by a tenth of the measurements of a few signals."""
    from scipy.fft import dctn, idctn

    y, A, shape = taken.y, taken.A, taken.shape
    axes = range(1, len(shape) + 1)
    atoms = np.asarray(dctn(A.reshape(-1, *shape), axes=axes, norm="ortho")).reshape(A.shape)
    at_zero = np.median(np.abs(y @ atoms).max(1))  # lambda beyond which nothing is left
    if at_zero == 0:
        return np.zeros((len(y), A.shape[1]))
    weight = at_zero * _share(y[:PILOTS], atoms, at_zero, progress)
    parts = []
    for i in range(0, len(y), 10):
        progress(f"lasso: {i} of {len(y)}")
        parts.append(_coefficients(y[i : i + 10], atoms, weight))
    c = np.concatenate(parts)
    return np.asarray(idctn(c.reshape(-1, *shape), axes=axes, norm="ortho"))


def _share(y: np.ndarray, atoms: np.ndarray, at_zero: float, progress: Say) -> float:
    """The share of `at_zero` that foretells held-out measurements best."""
    held = np.arange(y.shape[1]) % HELD == HELD - 1
    if not held.any():
        return SHARES[-1]
    scores = {}
    for share in SHARES:
        progress(f"lasso: trying lambda = {share:g} of the largest")
        c = _coefficients(y[:, ~held], atoms[~held], share * at_zero)
        scores[share] = np.square(y[:, held] - c @ atoms[held].T).mean()
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


Recovery = Callable[[Taken, Say], np.ndarray]
RECOVERIES: dict[str, Recovery] = {
    "minnorm": _minnorm,
    "lasso": _lasso,
    "kriging": _kriging,
    "bicubic": _bicubic,
}
