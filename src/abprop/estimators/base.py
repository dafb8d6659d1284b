"""What both estimators share: rows in, a run in memory out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from abprop.estimators.memory import learned
from abprop.run import Layers, Run
from abprop.say import quiet

DTYPES: Any = (np.float64, np.float32)


class Learner(TransformerMixin, BaseEstimator):
    """Learns from rows, and takes NaN. Arguments: see `Generator`, which says the defaults."""

    def __init__(
        self,
        n_components: int | None,
        max_iter: int,
        batch_size: int,
        learning_rate: float,
        channels: int,
        device: str,
        random_state: Any,
        verbose: int,
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.channels = channels
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def _read(self, X: Any, reset: bool, finite: Any = "allow-nan") -> np.ndarray:
        rows: Any = validate_data(self, X, reset=reset, dtype=DTYPES, ensure_all_finite=finite)
        return rows

    def _learn(self, X: np.ndarray, shape: tuple[int, ...] | None = None) -> Run:
        keys: dict[str, Any] = {
            "seed": seed_of(self.random_state),
            "data.source": "<array>",
            "data.kind": "table" if shape is None else "auto",
            "model.channels": self.channels,
            "train.iterations": self.max_iter,
            "train.batch": self.batch_size,
            "train.learning_rate": self.learning_rate,
            "run.device": self.device,
        }
        if self.n_components is not None:
            keys["model.latent"] = str(self.n_components)
        say = print if self.verbose else quiet
        run = learned(X if shape is None else X.reshape(-1, *shape), Layers(None, (), keys), say)
        self.n_iter_ = run.step
        return run

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def seed_of(random_state: Any) -> int:
    """A seed of ours from what scikit-learn calls a random state."""
    return int(check_random_state(random_state).randint(2**31 - 1))
