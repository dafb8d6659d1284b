"""What others would answer: the fields' standard methods, in the same units and for the same data.

Complete signals (reconstructions)      baseline   mean, pca
Signals with hidden entries             fill       mean, pca, biharmonic, linear, knn, iterative
Indirect measurements y = A x           recover    minnorm, lasso

    minnorm   x = A^+ y, the least of all signals that agree with the measurements
    lasso     x = Psi c,  min_c 1/2 |y - A Psi c|^2 + lambda |c|_1,  Psi the orthonormal DCT over
              channels (of three: one luma, two chromas) and axes

A. Ilin, T. Raiko: Practical Approaches to Principal Component Analysis in the Presence of Missing
Values, JMLR 2010 (pca; see `principal`). S. B. Damelin, N. S. Hoang: On Surface Completion and
Image Inpainting by Biharmonic Functions, IJMMS 2018. R. Tibshirani: Regression Shrinkage and
Selection via the Lasso, JRSS B 1996.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from abprop import principal
from abprop.errors import UserError, unknown

Say = Callable[[str], None]
ITERATIVE_COLUMNS = 300
PILOTS = 5  # signals on which lambda is chosen
SHARES = (0.1, 0.05, 0.02, 0.01, 0.005, 0.002, 0.001)  # of the lambda at which c = 0
HELD = 10  # one of so many measurements is held out to choose lambda


def quiet(line: str) -> None:
    """Progress that no one listens to."""


# Complete signals -----------------------------------------------------------------------------


def mean_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Every signal answered with the training mean."""
    return np.broadcast_to(train.mean(0), test.shape)


def pca_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Projections on the d leading principal components of the training signals.

    Raises:
        UserError: fewer training signals or numbers in a signal than d.
    """
    from sklearn.decomposition import PCA

    _check_components(train, d)
    pca = PCA(d, svd_solver="full").fit(train.reshape(len(train), -1))
    back = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return back.reshape(test.shape)


def _check_components(train: np.ndarray, d: int) -> None:
    limit = min(len(train), train[0].size)
    if d > limit:
        raise UserError(
            f"--against pca: {limit} components at most from {len(train)} training signals, "
            f"but the model has d = {d}; leave pca out"
        )


Baseline = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
BASELINES: dict[str, Baseline] = {"mean": mean_baseline, "pca": pca_baseline}


def baseline(name: str, train: np.ndarray, test: np.ndarray, d: int) -> Tensor:
    """A baseline's answer for `test` after seeing `train`, both complete, in model units.

    Args:
        name: one of BASELINES.
        train, test: (N, C, *size) float32.
        d: the model's latent dimension.

    Raises:
        UserError: no baseline has this name.
    """
    if name not in BASELINES:
        raise unknown("baseline", name, BASELINES)
    answer = BASELINES[name](train, test, d)
    return torch.from_numpy(np.ascontiguousarray(answer, dtype=np.float32))


# Signals with hidden entries ------------------------------------------------------------------
# From here on NaN is what is hidden.


@dataclass(frozen=True)
class Filled:
    """A baseline's answer.

    Attributes:
        mean: signals (N, C, *size) float32, model units.
        sd: standard deviation of each hidden entry about its mean, the same shape; None where
            the method knows no uncertainty.
    """

    mean: np.ndarray
    sd: np.ndarray | None = None


def fill(
    name: str,
    train: np.ndarray,
    train_hidden: np.ndarray | None,
    test: np.ndarray,
    test_hidden: np.ndarray | None,
    d: int,
    progress: Say = quiet,
) -> Filled:
    """A baseline's answer for the hidden entries of `test` after seeing what `train` shows.

    Args:
        name: one of FILLERS.
        train, test: (N, C, *size) float, model units; anything where hidden. They may be the same.
        train_hidden, test_hidden: bool (N, 1 or C, *size), True = hidden; None = nothing is.
        d: number of components, for pca.
        progress: told what is being done.

    Returns:
        The answer; entries of `test` that are not hidden are as they were.

    Raises:
        UserError: no baseline has this name, it cannot do these data, or all of `train` is hidden.
    """
    if name not in FILLERS:
        raise unknown("baseline", name, FILLERS)
    shown, asked = _veiled(train, train_hidden), _veiled(test, test_hidden)
    if np.isnan(shown).all():
        raise UserError(f"--against {name}: everything is hidden in the training signals")
    answer = FILLERS[name](shown, asked, d, progress)
    mean = np.where(np.isnan(asked), answer.mean, asked).astype(np.float32)
    return Filled(mean, None if answer.sd is None else answer.sd.astype(np.float32))


def _veiled(x: np.ndarray, hidden: np.ndarray | None) -> np.ndarray:
    x = np.asarray(x, dtype=np.float32)
    return x if hidden is None else np.where(hidden, np.float32(np.nan), x)


def _mean(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """Means and deviations over the examples that show an entry; over all where fewer than two."""
    seen = ~np.isnan(train)
    values = train[seen].astype(np.float64)
    count = seen.sum(0)
    total = np.where(seen, train, 0).sum(0, dtype=np.float64)
    mean = np.where(count > 0, total / np.maximum(count, 1), values.mean())
    squares = np.square(np.where(seen, train - mean, 0)).sum(0)
    sd = np.where(count > 1, np.sqrt(squares / np.maximum(count - 1, 1)), values.std())
    return Filled(np.broadcast_to(mean, test.shape), np.broadcast_to(sd, test.shape))


def _pca(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """Bayesian PCA of the incomplete training signals, and what it expects of the test ones."""
    _check_components(train, d)
    progress(f"fitting pca with {d} components")
    model = principal.fit(*_flat(train), d)
    mean, sd = model.predict(*_flat(test))
    return Filled(mean.numpy().reshape(test.shape), sd.numpy().reshape(test.shape))


def _flat(x: np.ndarray) -> tuple[Tensor, Tensor]:
    """Rows (N, D) and what was observed of them, (N, G): G places if the channels share masks."""
    seen = ~np.isnan(x)
    if (seen == seen[:, :1]).all():
        seen = seen[:, 0]
    rows = np.ascontiguousarray(x.reshape(len(x), -1))
    return torch.from_numpy(rows), torch.from_numpy(seen.reshape(len(x), -1))


def _biharmonic(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """The smoothest surface through what is seen of each picture."""
    from skimage.restoration import inpaint_biharmonic

    if test.ndim != 4:
        raise UserError("--against biharmonic: it fills pictures only; leave it out")

    def one(x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
        return inpaint_biharmonic(np.where(hidden, 0, x), hidden, channel_axis=0)

    return _one_by_one("biharmonic", one, train, test, progress)


def _linear(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """Linear between the nearest seen entries, the nearest one's value outside their hull."""
    if test.ndim < 3:
        raise UserError("--against linear: a table has no neighbours to go by; leave it out")
    return _one_by_one("linear", _interpolated, train, test, progress)


def _interpolated(x: np.ndarray, hidden: np.ndarray) -> np.ndarray:
    """x (C, *size) with its hidden places (*size) interpolated."""
    from scipy.interpolate import NearestNDInterpolator, griddata
    from scipy.spatial import QhullError

    where, asked, values = np.argwhere(~hidden), np.argwhere(hidden), x[:, ~hidden].T
    filled = x.copy()
    if hidden.ndim == 1:
        filled[:, hidden] = [np.interp(asked[:, 0], where[:, 0], row) for row in values.T]
        return filled
    filled[:, hidden] = NearestNDInterpolator(where, values)(asked).T
    try:
        inside = griddata(where, values, asked, "linear").reshape(len(asked), -1).T
        filled[:, hidden] = np.where(np.isnan(inside), filled[:, hidden], inside)
    except (QhullError, ValueError):
        pass  # too few places, or all on one line: they span no hull
    return filled


def _one_by_one(
    name: str,
    one: Callable[[np.ndarray, np.ndarray], np.ndarray],
    train: np.ndarray,
    test: np.ndarray,
    progress: Say,
) -> Filled:
    """Each signal by itself; of one that shows nothing, the mean. Channels together if they can."""
    result = np.array(_mean(train, test, 0, progress).mean, dtype=np.float32)
    for i, x in enumerate(test):
        if i % 100 == 0:
            progress(f"{name}: {i} of {len(test)}")
        hidden = np.isnan(x)
        together = (hidden == hidden[:1]).all()
        for c in [slice(None)] if together else [slice(c, c + 1) for c in range(len(x))]:
            mask = hidden[c][0]
            if mask.any() and not mask.all():
                result[i, c] = one(x[c], mask)
    return Filled(result)


def _knn(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """Means of the five training signals nearest in what both show."""
    from sklearn.impute import KNNImputer

    progress(f"knn: {len(test)} signals against {len(train)}")
    return _imputed(KNNImputer(keep_empty_features=True), train, test)


def _iterative(train: np.ndarray, test: np.ndarray, d: int, progress: Say) -> Filled:
    """Each column regressed on others, round after round."""
    from sklearn.experimental import enable_iterative_imputer  # noqa: F401
    from sklearn.impute import IterativeImputer

    columns = train[0].size
    if columns > ITERATIVE_COLUMNS:
        raise UserError(
            f"--against iterative: it does not finish with {columns} columns "
            f"({ITERATIVE_COLUMNS} at most); leave it out"
        )
    progress(f"iterative: {columns} columns")
    imputer = IterativeImputer(
        n_nearest_features=min(20, columns), keep_empty_features=True, random_state=0
    )
    return _imputed(imputer, train, test)


def _imputed(imputer, train: np.ndarray, test: np.ndarray) -> Filled:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Ten rounds are what scikit-learn gives; a baseline's user can do nothing about more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(train.reshape(len(train), -1))
        return Filled(imputer.transform(test.reshape(len(test), -1)).reshape(test.shape))


Filler = Callable[[np.ndarray, np.ndarray, int, Say], Filled]
FILLERS: dict[str, Filler] = {
    "mean": _mean,
    "pca": _pca,
    "biharmonic": _biharmonic,
    "linear": _linear,
    "knn": _knn,
    "iterative": _iterative,
}


# Indirect measurements ------------------------------------------------------------------------


def recover(
    name: str, y: np.ndarray, A: np.ndarray, shape: tuple[int, ...], progress: Say = quiet
) -> Filled:
    """A baseline's answer from linear measurements y = A x alone.

    Args:
        name: one of RECOVERIES.
        y: measurements (N, K), model units.
        A: (K, D), D numbers in a signal, channels first.
        shape: of a signal, (C, *size).
        progress: told what is being done.

    Raises:
        UserError: no baseline has this name, or the shapes do not match.
    """
    if name not in RECOVERIES:
        raise unknown("baseline", name, RECOVERIES)
    if A.shape != (y.shape[1], int(np.prod(shape))):
        raise UserError(
            f"--against {name}: A is {A.shape[0]}x{A.shape[1]}, but y has {y.shape[1]} numbers "
            f"and a signal {int(np.prod(shape))}"
        )
    x = RECOVERIES[name](y, A, shape, progress)
    return Filled(x.reshape(len(y), *shape).astype(np.float32))


def _minnorm(y: np.ndarray, A: np.ndarray, shape: tuple[int, ...], progress: Say) -> np.ndarray:
    A, y = A.astype(np.float64), y.astype(np.float64)
    wide = A.shape[0] <= A.shape[1]
    # Directions below rounding of the smaller Gram matrix were not measured.
    gram = np.linalg.pinv(A @ A.T if wide else A.T @ A, rcond=1e-12, hermitian=True)
    return y @ gram @ A if wide else y @ A @ gram


def _lasso(y: np.ndarray, A: np.ndarray, shape: tuple[int, ...], progress: Say) -> np.ndarray:
    """One lambda for all, chosen by a tenth of the measurements of a few signals."""
    from scipy.fft import dctn, idctn

    axes = range(1, len(shape) + 1)
    atoms = np.asarray(dctn(A.reshape(-1, *shape), axes=axes, norm="ortho")).reshape(A.shape)
    y = y.astype(np.float64)
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


Recovery = Callable[[np.ndarray, np.ndarray, tuple[int, ...], Say], np.ndarray]
RECOVERIES: dict[str, Recovery] = {"minnorm": _minnorm, "lasso": _lasso}
