"""Signals with hidden entries. Within this module NaN is what is hidden."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from abprop import principal
from abprop.baselines.common import Filled, check_components
from abprop.errors import UserError, unknown
from abprop.say import Say, quiet

ITERATIVE_COLUMNS = 300


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
    x = np.ascontiguousarray(x, dtype=np.float32)
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
    check_components(train, d)
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
    return _imputed("knn", KNNImputer(keep_empty_features=True), train, test)


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
    return _imputed("iterative", imputer, train, test)


def _imputed(name: str, imputer, train: np.ndarray, test: np.ndarray) -> Filled:
    from sklearn.exceptions import ConvergenceWarning

    # A BLAS may raise the processor's flag of invalid numbers over finite products (NumPy #13173,
    # #24067), now and then: the answer itself tells whether it is finite.
    with warnings.catch_warnings(), np.errstate(invalid="ignore"):
        # Ten rounds are what scikit-learn gives; a baseline's user can do nothing about more.
        warnings.simplefilter("ignore", ConvergenceWarning)
        imputer.fit(train.reshape(len(train), -1))
        answer = imputer.transform(test.reshape(len(test), -1)).reshape(test.shape)
    if not np.isfinite(answer).all():
        raise UserError(f"--against {name}: its answer is not finite; leave it out")
    return Filled(answer)


Filler = Callable[[np.ndarray, np.ndarray, int, Say], Filled]
FILLERS: dict[str, Filler] = {
    "mean": _mean,
    "pca": _pca,
    "biharmonic": _biharmonic,
    "linear": _linear,
    "knn": _knn,
    "iterative": _iterative,
}
