"""The scikit-learn faces: a transformer that infers latents, and an imputer that answers by them.

    Generator   x = f(z) + noise:  transform = the most probable z,  inverse_transform = f
    Imputer     what is missing of x, told from p(x | what is there)

Both learn without a run directory, by the same recipe and with the same defaults as `abprop fit`
does for a table. Missing entries are NaN. Threads are torch's own.

Pedregosa et al.: Scikit-learn: Machine Learning in Python, JMLR 2011 (the contract).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    OneToOneFeatureMixin,
    TransformerMixin,
)
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from abprop.evaluate import Explained, recovery
from abprop.run import Layers, Run
from abprop.run.memory import learned

FOLDS = 5  # of the features, each foretold from the others in `score`
DTYPES: Any = (np.float64, np.float32)


class _Learner(TransformerMixin, BaseEstimator):
    """What both share: rows in, a run in memory out."""

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
        say = print if self.verbose else _nothing
        run = learned(X if shape is None else X.reshape(-1, *shape), Layers(None, (), keys), say)
        self.n_iter_ = run.step
        return run

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class Generator(ClassNamePrefixFeaturesOutMixin, _Learner):
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


class Imputer(OneToOneFeatureMixin, _Learner):
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
        self.n_components = n_components
        self.missing_values = missing_values
        self.n_draws = n_draws
        self.sample_posterior = sample_posterior
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.channels = channels
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

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
        filled = self.draws(X, 2)[0] if self.sample_posterior else self._filled(X)
        if self.indicator_ is None:
            return filled
        told: Any = self.indicator_.transform(X)
        return np.hstack([filled, told.astype(filled.dtype)])

    def draws(self, X: Any, n_draws: int | None = None) -> np.ndarray:
        """Rows X filled in by posterior draws, (n_draws, n, features kept); `n_draws` of them."""
        check_is_fitted(self)
        X = self._rows(X, reset=False)
        count = self.n_draws if n_draws is None else n_draws
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
        finite = "allow-nan" if self._by_nan else True
        rows: Any = validate_data(self, X, reset=reset, dtype=DTYPES, ensure_all_finite=finite)
        return rows if self._by_nan else np.where(rows == self.missing_values, np.nan, rows)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self._by_nan
        return tags

    @property
    def _by_nan(self) -> bool:
        return bool(np.isnan(self.missing_values))


def _nothing(line: str) -> None:
    """Say nothing; a lambda could not be pickled."""
