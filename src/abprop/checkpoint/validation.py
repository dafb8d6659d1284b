"""Whether a run's checkpoint holds what abprop writes: its hashes say only that nothing changed.

    network          finite weights
    optimizer        finite moments, NUMBER.NAME
    latents-00000    ids (N,) ascending; z (K N, k, ...), s and age (K N,), axis like z;
                     metric.root (k, k) with metric.looks; earlier versions wrote ids, z and s alone
    latents-00001 .. the same of the other shards, ids going on; no metric
    names            the originals' names (see `names`); earlier versions had them in meta
    meta             chunk, scores [[t, mse, spread, width], ...], data: shape, scale, and what is
                     told of the data to show and write them

What belongs to a model (which weights, of which shapes) is for who builds one to check.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from abprop.checkpoint.beside import colour_in, known_in, names_in
from abprop.checkpoint.manifest import MANIFEST, Checkpoint, fault, shard
from abprop.errors import AbpropError

GROUPS = ("network", "optimizer", "latents-00000")
LARGEST = 1e300  # of a number in the manifest
RATES, FASTEST = ("rate", "file_rate", "fps"), 500_000  # of sounds and videos, a second
DEEPEST = 6  # lists within lists that a scale may be

_DTYPE = re.compile(r"(bool|u?int|float|[<>=|][biuf])[0-9]{0,3}")  # numpy's names of numbers
_MOMENT = re.compile(r"[0-9]{1,9}\.[A-Za-z_]+")


def check(folder: Path, checkpoint: Checkpoint) -> None:
    """Refuse a run's checkpoint that holds what no abprop writes.

    Args:
        folder: it was read from; for the message.
        checkpoint: with whole files.

    Raises:
        CheckpointError: which file is wrong, and what about it.
    """
    for name in GROUPS:
        if name not in checkpoint.tensors:
            raise fault(folder / f"{name}.safetensors", "it is missing")
    for name, group in checkpoint.tensors.items():
        wrong = _not_finite(group)
        if not wrong and shard(name):
            wrong = _latents(group)
        if not wrong and name == "optimizer":
            wrong = _moments(group)
        if wrong:
            raise fault(folder / f"{name}.safetensors", wrong)
    wrong = _shards(checkpoint.tensors)
    if wrong:
        raise fault(folder / "latents-*.safetensors", wrong)
    ids = checkpoint.examples
    wrong = _meta(checkpoint.meta) or _names(checkpoint, ids)
    if wrong:
        raise fault(folder / MANIFEST, wrong)
    wrong = _colour(checkpoint)
    if wrong:
        raise fault(folder / "colour.safetensors", wrong)
    wrong = _measured(checkpoint)
    if wrong:
        raise fault(folder / "measured.safetensors", wrong)


# Each of the following says what is wrong, or nothing.


def _not_finite(group: Mapping[str, Tensor]) -> str:
    for name, values in group.items():
        if not (values.is_floating_point() or values.is_complex()):
            continue
        # Floats of one byte know no arithmetic of their own.
        if not torch.isfinite(values.float() if values.itemsize == 1 else values).all():
            return f"{_short(name)} holds NaN or infinity"
    return ""


def _moments(group: Mapping[str, Tensor]) -> str:
    strange = [name for name in group if not _MOMENT.fullmatch(name)]
    return f"{_short(strange[0])} is no optimizer's" if strange else ""


def _latents(group: Mapping[str, Tensor]) -> str:
    for name in ("ids", "z", "s"):
        if name not in group:
            return f"{name} is missing"
    ids, z = group["ids"], group["z"]
    if ids.dtype != torch.int64 or ids.ndim != 1 or not len(ids):
        return f"ids are {_kind(ids)}, not a list of integers"
    if not (ids[1:] > ids[:-1]).all():
        return "ids are not ascending, each one once"
    if z.ndim < 2 or not z.is_floating_point() or not len(z) or len(z) % len(ids):
        return f"z is {_kind(z)}, not so many latents for each of {len(ids)} ids"
    return _beside(group, z) or _metric(group, z)


def _shards(tensors: Mapping[str, Mapping[str, Tensor]]) -> str:
    """What does not fit together of the shards' latents."""
    names = sorted(name for name in tensors if shard(name))
    if names != [f"latents-{v:05d}" for v in range(len(names))]:
        return "a shard is missing"
    first, *others = (tensors[name] for name in names)
    kinds = {n: (v.dtype, v.shape[1:]) for n, v in first.items() if not n.startswith("metric.")}
    each, last = len(first["z"]) / len(first["ids"]), first["ids"][-1]
    for group in others:
        if {n: (v.dtype, v.shape[1:]) for n, v in group.items()} != kinds:
            return "shards hold different things"
        if len(group["z"]) / len(group["ids"]) != each:
            return "shards have different numbers of chains for an example"
        if group["ids"][0] <= last:
            return "the shards' ids are not ascending"
        last = group["ids"][-1]
    return ""


def _beside(group: Mapping[str, Tensor], z: Tensor) -> str:
    """What a chain has beside its z."""
    s, axis, age = group["s"], group.get("axis"), group.get("age")
    if s.shape != z.shape[:1] or not s.is_floating_point():
        return f"s is {_kind(s)}, not a number for each of {len(z)} chains"
    if axis is not None and (axis.shape != z.shape or not axis.is_floating_point()):
        return f"axis is {_kind(axis)}, but z is {_kind(z)}"
    if age is not None and (age.shape != z.shape[:1] or age.dtype != torch.int64):
        return f"age is {_kind(age)}, not an integer for each of {len(z)} chains"
    if age is not None and bool((age < 0).any()):
        return "age is negative"
    return ""


def _metric(group: Mapping[str, Tensor], z: Tensor) -> str:
    root, looks = group.get("metric.root"), group.get("metric.looks")
    if (root is None) != (looks is None):
        return "metric.root and metric.looks go together, but one is missing"
    if root is None or looks is None:
        return ""
    if root.shape != (z.shape[1], z.shape[1]) or not root.is_floating_point():
        return f"metric.root is {_kind(root)}, but z has {z.shape[1]} channels"
    if looks.ndim or not looks.is_floating_point() or looks.item() < 0:
        return f"metric.looks is {_kind(looks)}, not a number from 0 up"
    return ""


def _meta(meta: Mapping[str, Any]) -> str:
    data, scores = meta["data"], meta.get("scores")
    if not isinstance(data, dict):
        return "data is no table"
    if not _counts(meta.get("chunk")):
        return "chunk is not a positive integer"
    if not isinstance(scores, list) or not all(map(_score, scores)):
        return "scores are not lists of an iteration and one to three finite numbers"
    shape = data.get("shape")
    if not isinstance(shape, list) or not shape or not all(map(_counts, shape)):
        return "data.shape is not a list of positive integers"
    wrong = _scale(data.get("scale"), shape) or _told(data, shape)
    return wrong or _scale(data.get("read", data["scale"]), None, "read")


def _told(data: Mapping[str, Any], shape: Sequence[int]) -> str:
    """What is told of the data; any of it may be missing, as in earlier versions."""
    columns, about, sensed = data.get("columns", []), data.get("about", {}), data.get("sensed", [])
    if not _texts(columns) or len(columns) not in (0, shape[0]):
        return "data.columns is not a name for each column"
    if not isinstance(about, dict) or not all(map(_plain, about.values())):
        return "data.about is not a table of texts and finite numbers"
    rates = [value for key, value in about.items() if key in RATES]
    if not all(_finite(rate) and 0 < rate <= FASTEST for rate in rates):
        return f"data.about has a rate that is not above 0 and at most {FASTEST:,}"
    if not isinstance(sensed, list) or not all(map(_finite, sensed)):
        return "data.sensed is not a list of finite numbers"
    places, kind = data.get("places"), data.get("kind", "")
    return _places(places) or ("" if isinstance(kind, str) else "data.kind is not a text")


def _places(places: Any) -> str:
    if places is None:
        return ""
    wrong = "data.places is not a list of places in the signal"
    if not isinstance(places, list) or not all(isinstance(p, list) and p for p in places):
        return wrong
    numbers = (number for place in places for number in place)
    alike = len({len(place) for place in places}) == 1
    return "" if alike and all(type(n) is int and 0 <= n < 2**31 for n in numbers) else wrong


def _colour(checkpoint: Checkpoint) -> str:
    try:
        colour = colour_in(checkpoint)
    except (KeyError, RuntimeError, AbpropError):
        return "it is no colour of a sound"
    shape, about = checkpoint.meta["data"].get("shape"), checkpoint.meta["data"].get("about", {})
    if colour is None:
        return ""
    if not isinstance(shape, list) or shape[:1] != [colour.bands]:
        return f"it has {colour.bands} bands, but data.shape is {shape}"
    rates = [about.get("rate"), about.get("file_rate")] if isinstance(about, dict) else [None]
    known = all(map(_counts, rates)) and isinstance(about.get("subtype"), str)
    return "" if known else "data.about does not tell its rates"


def _measured(checkpoint: Checkpoint) -> str:
    try:
        known = known_in(checkpoint)
    except (KeyError, RuntimeError, TypeError):
        return "it tells of no measurements"
    if known is None:
        return ""
    power, shape = known.power, checkpoint.meta["data"]["shape"]
    if [len(power.log_power), *power.size] != shape or len(shape) < 2:
        return f"it tells of signals of another shape than data.shape, {shape}"
    if power.log_power.shape[1:] != power.rings.at.shape or known.centre.ndim != 1:
        return "its tensors do not fit together"
    return "" if power.nugget > 0 else "nugget is not above 0"


def _names(checkpoint: Checkpoint, ids: int) -> str:
    try:
        names = names_in(checkpoint)
    except (ValueError, KeyError, RuntimeError, RecursionError):
        names = None
    if not _texts(names):
        return "data.names is not a list of names"
    return f"data.names are {len(names)}, but there are {ids} ids" if len(names) > ids else ""


def _scale(scale: Any, shape: Sequence[int] | None, name: str = "scale") -> str:
    """What is wrong with a scale of signals of a shape, or of any."""
    if not isinstance(scale, dict) or not {"low", "high", "dtype"} <= scale.keys():
        return f"data.{name} is not a table of low, high and dtype"
    if not (_numbers(scale["low"]) and _numbers(scale["high"])):
        return f"data.{name} has a low or high that is not finite numbers"
    if not _ascending(scale["low"], scale["high"], shape):
        return f"data.{name} is not a low below a high for each number of a signal"
    return "" if _dtype(scale["dtype"]) else f"data.{name} has a dtype that there is not"


def _ascending(low: Any, high: Any, shape: Sequence[int] | None) -> bool:
    try:
        low, high = np.asarray(low, dtype=float), np.asarray(high, dtype=float)
        size = low.shape if shape is None else tuple(shape)
        whole = np.broadcast_shapes(low.shape, high.shape, size) == size
    except ValueError:  # ragged, or of other shapes
        return False
    return whole and bool((low < high).all())


def _dtype(name: Any) -> bool:
    if not isinstance(name, str) or not _DTYPE.fullmatch(name):
        return False
    try:
        return np.dtype(name).kind in "biuf"
    except TypeError:
        return False


def _score(score: Any) -> bool:
    known = isinstance(score, list) and len(score) in (2, 3, 4) and all(map(_finite, score))
    return known and type(score[0]) is int and score[0] >= 0 and all(w > 0 for w in score[3:])


def _numbers(value: Any, depth: int = 0) -> bool:
    """A finite number, or lists of them."""
    if not isinstance(value, list):
        return _finite(value)
    return depth < DEEPEST and all(_numbers(one, depth + 1) for one in value)


def _texts(value: Any) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _plain(value: Any) -> bool:
    return isinstance(value, str) or _finite(value)


def _finite(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < LARGEST  # NaN is not below anything


def _counts(value: Any) -> bool:
    return type(value) is int and 0 < value < 2**63


def _kind(values: Tensor) -> str:
    return f"{str(values.dtype).removeprefix('torch.')} {tuple(values.shape)}"


def _short(name: str) -> str:
    """A name from a file, so that it is one line."""
    return " ".join(name.split())[:80] or "a tensor without a name"
