"""What a run keeps beside what it learns, as tensors: a manifest must stay small."""

from __future__ import annotations

import json
from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor

from abprop.checkpoint.manifest import Checkpoint
from abprop.residuals import Known, Power
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


def learned_of(known: Known) -> dict[str, Tensor]:
    """The group "measured" of a checkpoint."""
    power = known.power
    nugget = torch.tensor([power.nugget], dtype=torch.float64)
    size = torch.tensor(power.size)
    return {"log_power": power.log_power, "nugget": nugget, "size": size, "centre": known.centre}


def known_in(checkpoint: Checkpoint) -> Known | None:
    """What measurements said of signals, in a checkpoint; None if there is nothing.

    Raises:
        KeyError, RuntimeError: what is there is no such thing.
    """
    if "measured" not in checkpoint.tensors:
        return None
    group = checkpoint.tensors["measured"]
    size, nugget = tuple(group["size"].tolist()), group["nugget"].item()
    return Known(Power(group["log_power"].double(), nugget, size), group["centre"])
