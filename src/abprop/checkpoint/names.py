"""Names of examples as a tensor: a manifest must stay small, and there may be very many."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from abprop.checkpoint.manifest import Checkpoint


def named(names: Iterable[str]) -> dict[str, Tensor]:
    """The group "names" of a checkpoint: the bytes of a JSON list."""
    data = json.dumps(list(names)).encode()
    return {"json": torch.from_numpy(np.frombuffer(data, dtype=np.uint8).copy())}


def names_in(checkpoint: Checkpoint) -> list[str]:
    """The names in a checkpoint; earlier versions kept them in the manifest.

    Raises:
        ValueError, KeyError: there are none, or what is there is no JSON.
    """
    if "names" not in checkpoint.tensors:
        return checkpoint.meta["data"]["names"]
    return json.loads(checkpoint.tensors["names"]["json"].numpy().tobytes())
