"""What is missing of rows."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from sklearn.base import OneToOneFeatureMixin
from sklearn.impute import MissingIndicator
from sklearn.utils.validation import check_is_fitted

from abprop.estimators.base import Learner
from abprop.evaluate import recovery


class Imputer(OneToOneFeatureMixin, Learner):
    """What is missing of rows, told by a generator learned from rows with the like missing.

    The answer is the mean of draws from the posterior of what is missing, given what is there.

    Args:
        n_components, max_iter, batch_size, learning_rate, channels, device, random_state, verbose:
            see `Generator`.
        missing_values: what stands for a missing entry.
        n_draws: posterior draws whose mean is the answer.
        sample_posterior: answer with one draw instead, for multiple imputation.
        add_indicator: append a column for each feature in which something was missing.
        keep_empty_features: keep features of which `fit` saw nothing, as zeros.

    Attributes:
        n_iter_: see `Generator`.
        indicator_: the `MissingIndicator`, or None.
        n_features_in_, feature_names_in_: of the rows it was fitted to.
    """

    def __init__(
        self,
        n_components: int | None = None,
        *,
        missing_values: float = np.nan,
        n_draws: int = 16,
        sample_posterior: bool = False,
        max_iter: int = 500,
        batch_size: int = 128,
        learning_rate: float = 0.002,
        channels: int = 32,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_components, max_iter, batch_size, learning_rate, channels, device, random_state,
            verbose,
        )  # fmt: skip
        self.missing_values = missing_values
        self.n_draws = n_draws
        self.sample_posterior = sample_posterior
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from rows X (n, n_features); `y` is ignored.

        Raises:
            ValueError: rows that cannot be learned from, or a bad parameter, in one line.
        """
        X = self._rows(X, reset=True)
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(error_on_new=False).fit(X)
        self._known = ~np.isnan(X).all(0)
        if self._known.any():
            self._run = self._learn(X[:, self._known])
            self._posterior = self._run.posterior(self._run.signals, max(2, self.n_draws))
        else:
            self.n_iter_ = 0
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Rows X with what is missing filled in; what is there stays as it is."""
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        filled = self._drawn(X, 2)[0] if self.sample_posterior else self._filled(X)
        if self.indicator_ is None:
            return filled
        told: Any = self.indicator_.transform(X)
        return np.hstack([filled, told.astype(filled.dtype)])

    def draws(self, X: Any, n_draws: int | None = None) -> np.ndarray:
        """Rows X filled in by posterior draws, (n_draws, n, features kept); `n_draws` of them."""
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        return self._drawn(X, self.n_draws if n_draws is None else n_draws)

    def _drawn(self, X: np.ndarray, count: int) -> np.ndarray:
        bare, rows = self._bare(X), self._open(X)
        every = np.repeat(bare[None], count, 0)
        if rows.any():
            told = self._answer(X[rows], count).draws.swapaxes(0, 1)[:count]
            self._put(every, rows, told, X)
        return every

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """The features kept, then those of the indicator."""
        check_is_fitted(self)
        names: Any = super().get_feature_names_out(input_features)
        kept = names if self.keep_empty_features else names[self._known]
        if self.indicator_ is None:
            return kept
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def _filled(self, X: np.ndarray) -> np.ndarray:
        bare, rows = self._bare(X), self._open(X)
        if rows.any():
            self._put(bare[None], rows, self._answer(X[rows], self.n_draws).mean[None], X)
        return bare

    def _open(self, X: np.ndarray) -> np.ndarray:
        """Rows in which something is to be told."""
        return np.asarray(np.isnan(X[:, self._known]).any(1))

    def _answer(self, X: np.ndarray, count: int) -> recovery.Answer:
        signals = self._run.given(X[:, self._known])
        return recovery.answer(self._posterior, signals, max(2, count), self._run.device)

    def _put(self, every: np.ndarray, rows: np.ndarray, told: np.ndarray, X: np.ndarray) -> None:
        """Write (K, rows, known) answers where X has none; (K, n, features kept)."""
        known = self._known if self.keep_empty_features else slice(None)
        place = every[:, :, known]
        missing = np.isnan(X[rows][:, self._known])
        place[:, rows] = np.where(missing, told.reshape(len(every), *missing.shape), place[:, rows])
        every[:, :, known] = place

    def _bare(self, X: np.ndarray) -> np.ndarray:
        """Features kept, those that `fit` saw nothing of as zeros."""
        return np.where(self._known, X, 0) if self.keep_empty_features else X[:, self._known]

    def _rows(self, X: Any, reset: bool) -> np.ndarray:
        rows = self._read(X, reset, "allow-nan" if self._by_nan else True)
        return rows if self._by_nan else np.where(rows == self.missing_values, np.nan, rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._by_nan
        return tags

    @property
    def _by_nan(self) -> bool:
        return bool(np.isnan(self.missing_values))
