"""Latents of rows, and rows of latents."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from abprop.estimators.base import DTYPES, Learner
from abprop.evaluate import Explained

FOLDS = 5  # of the features, each foretold from the others in `score`


class Generator(ClassNamePrefixFeaturesOutMixin, Learner):
    """Non-linear factor analysis, learned by alternating back-propagation.

    Args:
        n_components: number of latent factors; None: a tenth of the rows and a quarter of the
            features at most, at most 100.
        max_iter: learning steps.
        batch_size: rows in one step.
        learning_rate: of the weights.
        channels: width of the finest hidden layer.
        shape: of one signal, (C, *size), where rows are flattened pictures and the like: the
            generator is convolutional then. None: rows of a table.
        device: auto, cuda, mps or cpu.
        random_state: of every random number.
        verbose: print what is done.

    Attributes:
        n_components_: number of latent factors.
        n_iter_: the step whose held-out error was least (the last, under 50 rows).
        noise_variance_: of each feature about f(z), in data units, (n_features_in_,).
        n_features_in_, feature_names_in_: of the rows it was fitted to.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        max_iter: int = 500,
        batch_size: int = 128,
        learning_rate: float = 0.002,
        channels: int = 32,
        shape: tuple[int, ...] | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.channels = channels
        self.shape = shape
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows X (n, n_features), NaN where missing; `y` is ignored.

        Raises:
            ValueError: rows that cannot be learned from, or a bad parameter, in one line.
        """
        X = np.asarray(validate_data(self, X, dtype=DTYPES, ensure_all_finite="allow-nan"))
        shape = None if self.shape is None else tuple(self.shape)
        if shape is not None and prod(shape) != X.shape[1]:
            raise ValueError(
                f"shape={shape} has {prod(shape)} numbers, X has {X.shape[1]} features"
            )
        self._run = self._learn(X, shape)
        unit = np.broadcast_to(np.asarray(self._run.scale.unit).reshape(-1), X.shape[1])
        self.noise_variance_ = (self._run.model.likelihood.sigma.item() * unit) ** 2
        self.n_components_ = prod(self._run.model.network.latent_shape)
        return self

    def transform(self, X: Any) -> np.ndarray:
        """The most probable latents of rows X, (n, n_components_); NaN where missing."""
        X = self._rows(X)
        z = torch.cat([block.z for block in self._explained(X)])
        return z.reshape(len(X), -1).numpy().astype(X.dtype)

    def inverse_transform(self, X: Any) -> np.ndarray:
        """The rows f(z) of latents X (n, n_components_), (n, n_features_in_)."""
        check_is_fitted(self)
        Z = check_array(X, dtype=DTYPES)
        latent = self._run.model.network.latent_shape
        if Z.shape[1] != prod(latent):
            raise ValueError(f"X has {Z.shape[1]} columns, there are {prod(latent)} latents")
        rows = self._run.decode(Z.astype(np.float32).reshape(-1, *latent))
        return rows.reshape(len(Z), -1).astype(Z.dtype)

    def sample(self, n_samples: int = 1, random_state: Any = None) -> np.ndarray:
        """New rows f(z), z from the learned prior, (n_samples, n_features_in_).

        Args:
            n_samples: how many.
            random_state: other ones with another; the estimator's own if None.
        """
        check_is_fitted(self)
        state = self.random_state if random_state is None else random_state
        seed = int(check_random_state(state).randint(2**31 - 1))
        return self._run.sample(n_samples, seed=seed).reshape(n_samples, -1)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error of features foretold from the others; larger is better.

        Every fifth feature is hidden at a time and told by f at the most probable z of what is
        left, so that more factors do not win by holding more. In units in which each feature
        spans about [-1, 1].
        """
        X = self._rows(X)
        fold, error, count = np.arange(X.shape[1]) % FOLDS, 0.0, 0
        unit = np.broadcast_to(np.asarray(self._run.scale.unit).reshape(-1), X.shape[1])
        for k in range(min(FOLDS, X.shape[1])):
            x = torch.cat([block.x for block in self._explained(np.where(fold == k, np.nan, X))])
            told = self._run.scale.to_data(x.numpy(), False).reshape(X.shape)
            off = ((told - X) / unit)[:, fold == k]
            error += float(np.nansum(off**2))
            count += int(np.isfinite(off).sum())
        return -error / max(1, count)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        rows: Any = validate_data(self, X, reset=False, dtype=DTYPES, ensure_all_finite="allow-nan")
        return rows

    def _explained(self, X: np.ndarray) -> Iterator[Explained]:
        shaped = X if self.shape is None else X.reshape(-1, *self.shape)
        return self._run.inferred(self._run.given(shaped))
