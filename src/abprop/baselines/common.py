"""What the baselines share: an answer, its progress, and how many components are too many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from abprop.errors import UserError


@dataclass(frozen=True)
class Filled:
    """A baseline's answer.

    Attributes:
        mean: signals (N, C, *size) float32, model units.
        sd: standard deviation of each hidden entry about its mean, the same shape; None where
            the method knows no uncertainty.
    """

    mean: np.ndarray
    sd: np.ndarray | None = None


def check_components(train: np.ndarray, d: int) -> None:
    """Refuse more components than the training signals (N, C, *size) have.

    Raises:
        UserError: fewer training signals or numbers in a signal than d.
    """
    limit = min(len(train), train[0].size)
    if d > limit:
        raise UserError(
            f"--against pca: {limit} components at most from {len(train)} training signals, "
            f"but the model has d = {d}; leave pca out"
        )
