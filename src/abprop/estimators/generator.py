"""Latents of rows, and rows of latents."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin
from sklearn.utils.validation import check_array, check_is_fitted

from abprop.estimators.base import DTYPES, Learner, seed_of
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
        super().__init__(
            n_components, max_iter, batch_size, learning_rate, channels, device, random_state,
            verbose,
        )  # fmt: skip
        self.shape = shape

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows X (n, n_features), NaN where missing; `y` is ignored.

        Raises:
            ValueError: rows that cannot be learned from, or a bad parameter, in one line.
        """
        X = self._read(X, reset=True)
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
        return self._run.sample(n_samples, seed=seed_of(state)).reshape(n_samples, -1)

    def score(self, X: Any, y: Any = None) -> float:
        """Minus the mean squared error of features foretold from the others; larger is better.

        Every fifth feature is hidden at a time and told by f at the most probable z of what is
        left, so that more factors do not win by holding more. In units in which each feature
        spans about [-1, 1].
        """
        X = self._rows(X)
        fold, error, count = np.arange(X.shape[1]) % FOLDS, 0.0, 0
        truth = self._run.scale.to_model(self._shaped(X)).reshape(X.shape)
        for k in range(min(FOLDS, X.shape[1])):
            x = torch.cat([block.x for block in self._explained(np.where(fold == k, np.nan, X))])
            off = (x.numpy().reshape(X.shape) - truth)[:, fold == k]
            error += float(np.nansum(off**2))
            count += int(np.isfinite(off).sum())
        return -error / max(1, count)

    @property
    def _n_features_out(self) -> int:
        return self.n_components_

    def _rows(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        return self._read(X, reset=False)

    def _shaped(self, X: np.ndarray) -> np.ndarray:
        return X if self.shape is None else X.reshape(-1, *self.shape)

    def _explained(self, X: np.ndarray) -> Iterator[Explained]:
        return self._run.inferred(self._run.given(self._shaped(X)))
