"""How good a fitted model is, on data it saw or never saw, with baselines in the same units.

mse      mean squared error over the scored entries, model units (the signal spans [-1, 1])
mae      mean absolute error, model units
error    mae / 2: the paper's per-pixel difference relative to the range of values
rmse_data   root mean squared error in the data's own units
psnr     10 log10(4 / mse), dB: the range of model units is 2
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import Tensor

from abprop.errors import UserError, unknown


def errors(
    x: Tensor, y: Tensor, scored: Tensor | None, unit: float | np.ndarray
) -> dict[str, float]:
    """Reconstruction errors of x against y.

    Args:
        x, y: signals (N, ...) in model units.
        scored: bool (N, ...), which entries count; None for all.
        unit: data units per model unit; broadcastable to x (a table has one for each column).
    """
    difference = (x - y).double()
    in_data = difference * torch.as_tensor(unit, dtype=torch.float64)
    if scored is not None:
        kept = scored.expand_as(difference)
        difference, in_data = difference[kept], in_data[kept]
    mse = difference.square().mean().item()
    mae = difference.abs().mean().item()
    return {
        "mse": mse,
        "mae": mae,
        "error": mae / 2,
        "rmse_data": math.sqrt(in_data.square().mean().item()),
        "psnr": 10 * math.log10(4 / max(mse, 1e-20)),
    }


def mean_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Every signal answered with the training mean."""
    return np.broadcast_to(train.mean(0), test.shape)


def pca_baseline(train: np.ndarray, test: np.ndarray, d: int) -> np.ndarray:
    """Projections on the d leading principal components of the training signals.

    Raises:
        UserError: fewer training signals or numbers in a signal than d.
    """
    from sklearn.decomposition import PCA

    limit = min(len(train), train[0].size)
    if d > limit:
        raise UserError(
            f"--against pca: {limit} components at most from {len(train)} training signals, "
            f"but the model has d = {d}; leave pca out"
        )
    pca = PCA(d, svd_solver="full").fit(train.reshape(len(train), -1))
    back = pca.inverse_transform(pca.transform(test.reshape(len(test), -1)))
    return back.reshape(test.shape)


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


def nearest(x: Tensor, train: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """For each signal the training signal nearest to it, by squared error.

    Args:
        x: signals (N, ...).
        train: training signals in blocks (M_i, ...), so that there may be many.

    Returns:
        Rows of the blocks taken together (N,) and root mean squared distances (N,), model units.
    """
    flat = x.flatten(1)
    distances = torch.cat([torch.cdist(flat, block.flatten(1)) for block in train], dim=1)
    best = distances.min(1)
    return best.indices, best.values / math.sqrt(flat.shape[1])
