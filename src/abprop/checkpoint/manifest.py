"""The manifest: what a checkpoint says of itself, and the names that its parts may have."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from abprop.errors import UserError
from abprop.latents import joined

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 16 << 20  # a longer one is not ours; do not even parse it

STEP = re.compile(r"step-([0-9]{8,18})")
SHARD = re.compile(r"latents-[0-9]{5}")
FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.safetensors")  # a plain name, never a path
_SEAL = re.compile(rb',\n "sha256": "([0-9a-f]{64})"\n}\n\Z')


class CheckpointError(UserError):
    """A checkpoint that cannot be trusted: which file, and what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved at one step.

    Attributes:
        step: iterations done.
        tensors: {"network": {name: tensor}, "optimizer": ..., "latents-00000": ...}, on the CPU;
            latents in as many groups as there are shards.
        meta: whatever the writer put beside them (recipe, data fingerprint, versions, ...).
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]

    @property
    def examples(self) -> int:
        """How many have latents."""
        return sum(len(group["ids"]) for name, group in self.tensors.items() if shard(name))

    @property
    def latents(self) -> dict[str, Tensor]:
        """Those of all shards, rows in the order of ids."""
        return latents_in(self.tensors)


def latents_in(tensors: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The latents of all shards among a checkpoint's groups, rows in the order of ids."""
    return joined([tensors[name] for name in sorted(tensors) if shard(name)])


def shard(name: str) -> bool:
    """Whether a group of tensors is the latents of a shard."""
    return SHARD.fullmatch(name) is not None


def step_name(step: int) -> str:
    """The folder name of a step: step-00001200."""
    return f"step-{step:08d}"


def fault(path: Path, wrong: str) -> CheckpointError:
    """The error that names a file and what is wrong with it."""
    return CheckpointError(f"bad checkpoint file {path}: {wrong}")


def sealed(content: Mapping[str, Any]) -> bytes:
    """The manifest's bytes: canonical JSON that contains its own SHA-256."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    return _json({**content, "sha256": _digest(_json(content))})


def intact(raw: bytes) -> bool:
    """Whether a manifest's bytes are those that were sealed: `sha256` is the last key.

    Nothing is written anew to compare it: that of a hostile one could take long.
    """
    found = _SEAL.search(raw)
    return found is not None and _digest(raw[: found.start()] + b"\n}\n") == found[1].decode()


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def well_formed(content: Mapping[str, Any]) -> bool:
    """Whether a manifest has what every one has, and names no file that could not be ours."""
    files = content.get("files")
    return (
        type(content.get("iteration")) is int
        and content["iteration"] >= 0
        and isinstance(content.get("meta"), dict)
        and isinstance(files, dict)
        and all(FILE.fullmatch(name) for name in files)
        and all(
            isinstance(entry, dict)
            and type(entry.get("bytes")) is int
            and type(entry.get("sha256")) is str
            for entry in files.values()
        )
    )
