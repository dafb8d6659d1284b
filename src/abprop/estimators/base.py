"""What both estimators share: rows in, a run in memory out."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils import check_random_state

from abprop.estimators.memory import learned
from abprop.run import Layers, Run
from abprop.say import quiet

DTYPES: Any = (np.float64, np.float32)


class Learner(TransformerMixin, BaseEstimator):
    """Learns from rows, and takes NaN."""

    def _learn(self: Any, X: np.ndarray, shape: tuple[int, ...] | None = None) -> Run:
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        keys: dict[str, Any] = {
            "seed": seed,
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
