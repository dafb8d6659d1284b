"""What kinds whose examples are crops of one signal have in common."""

from __future__ import annotations

from typing import Any

from abprop.data import Signals, Views, crops
from abprop.kinds.base import Asked, Kind

FEWEST_CELLS = 4  # along an axis of a map whose cells have neighbours


class Cut(Kind):
    """One signal, of which many fixed crops are examples, each with its own latent map."""

    one, many, cuts = "crop", "crops", True

    def views(self, signals: Signals, asked: Asked) -> Views:
        """Crops that cover the signal."""
        size, count = asked["data.crop"], asked["data.crops"]
        return crops(signals, size=size, count=count, seed=asked["seed"])


def cut_choices(
    asked: Asked, crop: int, count: int, channels: int, sigma: float | None = None
) -> dict[str, Any]:
    """What was not asked for: crops, neither copied nor held out, and the network on them.

    Args:
        asked: the recipe so far, by dotted key.
        crop: entries along an axis of a crop.
        count: how many crops, if it was not said.
        channels, sigma: likewise; a sigma of None is left to others.
    """
    chosen: dict[str, Any] = {
        "data.crop": crop,
        "data.crops": asked["data.crops"] or count,
        "data.mirror": "no",
        "data.shift": 0,
        "data.holdout": 0.0,
    }
    if asked["infer.start"] == "auto":
        chosen["infer.start"] = "pca"
    if asked["model.sigma"] is None and sigma is not None:
        chosen["model.sigma"] = sigma
    if asked["model.channels"] is None:
        chosen["model.channels"] = channels
    return chosen


def cells_over(crop: int, cell: int) -> int:
    """Cells along an axis of the map whose signal covers a crop."""
    return -(-(crop - 2) // cell) + 2


def prior(asked: Asked, latent: tuple[int, ...]) -> dict[str, Any]:
    """A prior that knows neighbours, where there are any."""
    if asked["model.prior"] != "auto":
        return {}
    many = len(latent) > 1 and min(latent[1:]) >= FEWEST_CELLS
    return {"model.prior": "markov" if many else "gaussian"}
