"""Loading, believing nothing: sizes, hashes and format are all checked."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from abprop.checkpoint.keeping import ASIDE, folders, path_of
from abprop.checkpoint.manifest import (
    FORMAT,
    MANIFEST,
    MANIFEST_BYTES,
    STEP,
    Checkpoint,
    CheckpointError,
    fault,
    intact,
    well_formed,
)
from abprop.checkpoint.validation import check
from abprop.checkpoint.writing import digest
from abprop.model import Model


def load(path: Path) -> Checkpoint:
    """Read one step's folder, believing nothing: sizes, hashes and format are all checked.

    Of a run (its meta has `data`) the contents as well; see `validation`.

    Raises:
        CheckpointError: anything is missing, changed, unreadable, of a newer format or malformed.
    """
    manifest = _manifest(path)
    name = STEP.fullmatch(path.name.removeprefix(ASIDE))
    if name and int(name[1]) != manifest["iteration"]:
        raise fault(path / MANIFEST, f"it is of iteration {manifest['iteration']}")
    tensors = {}
    for file, expected in manifest["files"].items():
        tensors[file.removesuffix(".safetensors")] = _group(path / file, expected)
    found = Checkpoint(manifest["iteration"], tensors, manifest["meta"])
    if "data" in found.meta:  # a run's
        check(path, found)
    return found


def latest(folder: Path, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """The newest good checkpoint; None when nothing was ever saved.

    Args:
        folder: RUN/checkpoints.
        on_skip: told one line about each newer checkpoint that is bad.

    Raises:
        CheckpointError: there are checkpoints, and not one of them is good.
    """
    found, bad = _newest(folder)
    for step, error in bad:
        on_skip(f"skipped the checkpoint at step {step}: {error}")
    if bad and found is None:
        raise CheckpointError(
            f"no good checkpoint is left in {folder}; the newest: {bad[0][1]}; "
            "choose another --run, or delete that folder to start afresh"
        )
    return found


def _newest(folder: Path) -> tuple[Checkpoint | None, list[tuple[int, CheckpointError]]]:
    """The newest good checkpoint, and what is wrong with newer ones."""
    there, bad = _identified(folder), []
    for step, (path, _) in sorted(there.items(), reverse=True):
        try:
            return load(path), bad
        except CheckpointError as error:
            if _identified(folder) != there:  # a run that goes on took it away: look again
                return _newest(folder)
            bad.append((step, error))
    if not there and _identified(folder):  # it was listed just as one took the other's place
        return _newest(folder)
    return None, bad


def _identified(folder: Path) -> dict[int, tuple[Path, int]]:
    """Step -> its folder and which one of that name it is, as far as the system tells."""
    found = {}
    for step, path in folders(folder).items():
        try:
            found[step] = path, path.stat().st_ino
        except OSError:
            found[step] = path, 0
    return found


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if folder.is_symlink():
        raise fault(folder, "it is a symbolic link")
    raw = _read(path, at_most=MANIFEST_BYTES)
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        raise fault(path, "it is not JSON") from None
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int or version < 1:
        raise fault(path, "it is not a checkpoint's manifest")
    if version > FORMAT:
        raise fault(
            path,
            f"made by a newer abprop (format {version}); this one reads {FORMAT}: upgrade abprop",
        )
    if not intact(raw):
        raise fault(path, "its contents do not match its SHA-256")
    if not well_formed(content):
        raise fault(path, "it names files or values that no abprop writes")
    return content


def _group(path: Path, expected: Mapping[str, Any]) -> dict[str, Tensor]:
    data = _read(path, exactly=expected["bytes"])
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise fault(path, "its contents do not match its SHA-256")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise fault(path, f"it is not a safetensors file ({_one_line(error)})") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _read(path: Path, exactly: int | None = None, at_most: int | None = None) -> bytes:
    """All of a plain file; its size is checked first, so that a bomb is not read."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise fault(path, "it is a symbolic link")
        if not stat.S_ISREG(status.st_mode):
            raise fault(path, "it is not a file")
        if exactly is not None and status.st_size != exactly:
            raise fault(path, f"it has {status.st_size} bytes, not {exactly}")
        if at_most is not None and status.st_size > at_most:
            raise fault(path, f"it has {status.st_size} bytes, more than {at_most}")
        return path.read_bytes()
    except FileNotFoundError:
        raise fault(path, "it is missing") from None
    except OSError as error:
        raise fault(path, error.strerror or str(error)) from error
    except MemoryError:
        raise fault(path, "it does not fit into memory") from None


def facts(
    folder: Path, step: int, iterations: int | None, model: Model, data: Mapping[str, Any]
) -> dict[str, Any]:
    """See `Run.info`.

    Args:
        folder, step: where the checkpoint is.
        iterations: that were asked for.
        model: as it answers, its prior not yet folded.
        data: what the checkpoint says of the data.
    """
    saved = load(path_of(folder / "checkpoints", step))
    return {
        "kind": data["kind"],
        "examples": data["examples"],
        "shape": data["shape"],
        "latent": list(model.network.latent_shape),
        "parameters": sum(p.numel() for p in model.network.parameters()),
        "iteration": step,
        "iterations": iterations,
        "sigma": round(model.likelihood.sigma.item(), 6),
        "prior_width": round(model.prior.width, 4),
        "weights_sha256": digest(saved.tensors["network"]),
        "latents_sha256": digest({"z": saved.latents["z"]}),
    }
