"""What is missing of real tables, told by scikit-learn's imputers and by ours, cross-validated.

Both tables are scikit-learn's own, a fifth of their cells made missing (seed 0): breast cancer
(569 x 30, logistic regression, accuracy) and diabetes (442 x 10, ridge, R2). Each imputer stands in
a pipeline between a StandardScaler and the model, all at their defaults, in five folds. `rmse` is
that of the missing cells of the test folds, in standard deviations of a column; seconds are those
of the five fits and answers together, one thread.
"""

from __future__ import annotations

import time
from functools import partial
from typing import Any

import numpy as np
from row import Row, Runner
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import KFold
from sklearn.preprocessing import StandardScaler

from abprop import Imputer

TABLES = {
    "cancer": (load_breast_cancer, LogisticRegression(max_iter=1000)),
    "diabetes": (load_diabetes, Ridge()),
}
IMPUTERS = {
    "abprop": partial(Imputer, random_state=0),
    "iterative": partial(IterativeImputer, random_state=0),
    "knn": KNNImputer,
    "mean": SimpleImputer,
}
MISSING, FOLDS = 0.2, 5


def rows() -> list[Row]:
    """Both tables."""
    return [Row("imputers", name, "", "", partial(_measure, name), _shown) for name in TABLES]


def _measure(name: str, run: Runner) -> dict[str, Any]:
    load, model = TABLES[name]
    X, y = load(return_X_y=True)
    gone = np.random.default_rng(0).random(X.shape) < MISSING
    run.commands.append(f"# {load.__name__}(), a fifth missing; see papers/imputers.py")
    told = {key: _folded(make, model, X, gone, y) for key, make in IMPUTERS.items()}
    return {"imputers": told}


def _folded(make: Any, model: Any, X: np.ndarray, gone: np.ndarray, y: np.ndarray) -> Any:
    scores, squares, began = [], [], time.monotonic()
    for train, test in KFold(FOLDS, shuffle=True, random_state=0).split(X):
        scaler = StandardScaler().fit(np.where(gone, np.nan, X)[train])
        seen, truth = scaler.transform(np.where(gone, np.nan, X)), scaler.transform(X)
        imputer = make().fit(seen[train])
        told = imputer.transform(seen[test])
        squares.append(((told - truth[test])[gone[test]]) ** 2)
        fitted = model.fit(imputer.transform(seen[train]), y[train])
        scores.append(fitted.score(told, y[test]))
    return {
        "rmse": float(np.sqrt(np.mean(np.concatenate(squares)))),
        "score": float(np.mean(scores)),
        "spread": float(np.std(scores, ddof=1)),
        "seconds": time.monotonic() - began,
    }


def _shown(found: dict[str, Any]) -> str:
    return "; ".join(
        f"{name} rmse {row['rmse']:.3f}, score {row['score']:.3f} ± {row['spread']:.3f}"
        for name, row in found["imputers"].items()
    )
