"""What a run keeps beside what it learns, as tensors: a manifest must stay small."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from abprop.checkpoint.manifest import Checkpoint
from abprop.spectra import Colour


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


def coloured(colour: Colour) -> dict[str, Tensor]:
    """The group "colour" of a checkpoint."""
    told = {"matrices": torch.view_as_real(colour.matrices).contiguous()}
    return told if colour.fine is None else {**told, "fine": colour.fine}


def colour_in(checkpoint: Checkpoint) -> Colour | None:
    """The colour of a sound in a checkpoint; None if there is none.

    Raises:
        KeyError, AbpropError: what is there is none.
    """
    if "colour" not in checkpoint.tensors:
        return None
    group = checkpoint.tensors["colour"]
    fine = group.get("fine")
    matrices = torch.view_as_complex(group["matrices"].double())
    return Colour(matrices, None if fine is None else fine.double())
