"""Reconstructions of complete signals: the training mean, and principal components."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from abprop.baselines.common import check_components
from abprop.errors import UserError, unknown


def mean_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Every signal answered with the training mean."""
    return np.broadcast_to(train.mean(0), test.shape)


def pca_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Projections on the d leading principal components of the training signals.

    Raises:
        UserError: fewer training signals or numbers in a signal than d.
    """
    from sklearn.decomposition import PCA

    check_components(train, d)
    pca = PCA(d, svd_solver="full").fit(train.reshape(len(train), -1))
    back = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return back.reshape(test.shape)


def mirrored_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """PCA of pictures and their mirror images: as many copies as learning has of them.

    Raises:
        UserError: no pictures; or as for `pca_baseline`.
    """
    if train.ndim < 4:
        raise UserError("--against mirrored: only pictures have mirror images; leave it out")
    return pca_baseline(np.concatenate([train, train[..., ::-1]]), test, d)


Baseline = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
BASELINES: dict[str, Baseline] = {
    "mean": mean_baseline,
    "pca": pca_baseline,
    "mirrored": mirrored_baseline,
}


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
