"""Checkpoints: named groups of tensors and a manifest, in one folder for each saved step.

    checkpoints/step-00001200/{network,optimizer,latents-00000}.safetensors + manifest.json

A folder is written under a temporary name, synced to disk, the manifest last, then renamed: it
is there whole or not at all. The manifest holds the size and SHA-256 of every file (safetensors
alone loads a flipped bit without a word) and of itself, and loading checks them all. The bytes
depend only on what is saved, so equal states make equal folders. Nothing is ever unpickled.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from abprop.errors import UserError

FORMAT = 1
MANIFEST = "manifest.json"
MANIFEST_BYTES = 16 << 20  # a longer one is not ours; do not even parse it

_STEP = re.compile(r"step-([0-9]{8,18})")
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.safetensors")  # a plain name, never a path
_ASIDE = ".old-"  # a folder that is being replaced by another save of the same step
_TEMPORARY = ".tmp-"
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}  # some network disks cannot sync a folder


class CheckpointError(UserError):
    """A checkpoint that cannot be trusted: which file, and what is wrong with it."""


@dataclass(frozen=True)
class Checkpoint:
    """What was saved at one step.

    Attributes:
        step: iterations done.
        tensors: {"network": {name: tensor}, "optimizer": ..., "latents-00000": ...}, on the CPU.
        meta: whatever the writer put beside them (recipe, data fingerprint, versions, ...).
    """

    step: int
    tensors: dict[str, dict[str, Tensor]]
    meta: dict[str, Any]


def step_name(step: int) -> str:
    """The folder name of a step: step-00001200."""
    return f"step-{step:08d}"


# Saving ---------------------------------------------------------------------------------------


def save(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    meta: Mapping[str, Any],
) -> Path:
    """Write one checkpoint, whole or not at all; an older one of the same step is replaced.

    Args:
        folder: RUN/checkpoints; made if it is missing.
        step: iterations done, >= 0.
        tensors: groups of named tensors; each group becomes NAME.safetensors.
        meta: anything JSON can hold; keys come back as strings, tuples as lists.

    Returns:
        The checkpoint's folder.

    Raises:
        UserError: the disk refused (full, read-only, ...). Older checkpoints are untouched.
    """
    target = folder / step_name(step)
    temporary = folder / f"{_TEMPORARY}{target.name}-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        _write_all(temporary, step, tensors, meta)
        _put(temporary, target)
    except OSError as error:
        raise _cannot_save(folder, target.name, error) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _encoded(group: Mapping[str, Tensor]) -> bytes:
    # A copy each: safetensors refuses tensors that share memory.
    own = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in group.items()}
    return safetensors.torch.save(own)


def _write_all(
    folder: Path,
    step: int,
    tensors: Mapping[str, Mapping[str, Tensor]],
    meta: Mapping[str, Any],
) -> None:
    files = {}
    for name, group in tensors.items():
        file = f"{name}.safetensors"
        if not _FILE.fullmatch(file):
            raise ValueError(f"a checkpoint file cannot be called {file!r}")
        data = _encoded(group)
        _write(folder / file, data)
        files[file] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    content = {"format": FORMAT, "iteration": step, "meta": dict(meta), "files": files}
    _write(folder / MANIFEST, _sealed(content))
    _sync_folder(folder)


def _sealed(content: Mapping[str, Any]) -> bytes:
    """The manifest's bytes: canonical JSON that contains its own SHA-256."""
    content = {key: value for key, value in content.items() if key != "sha256"}
    digest = hashlib.sha256(_json(content)).hexdigest()
    return _json({**content, "sha256": digest})


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def _write(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        if os.fstat(file.fileno()).st_size != len(data):
            raise OSError(errno.EIO, "the disk kept only a part of it")


def write_text(path: Path, text: str) -> None:
    """Write a text file; whoever reads it finds the old one or the new one, never half of one.

    Raises:
        UserError: the disk refused; the old one is untouched.
    """
    temporary = path.with_name(f"{_TEMPORARY}{path.name}-{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        _write(temporary, text.encode())
        os.replace(temporary, path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write {path}: {reason}; free some room or make its folder writable"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)


def _put(temporary: Path, target: Path) -> None:
    """Rename into place. Wherever this stops, `_folders` finds the old one or the new one."""
    aside = target.with_name(_ASIDE + target.name)
    if os.path.lexists(target):
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(target, aside)
    os.replace(temporary, target)
    _sync_folder(target.parent)
    shutil.rmtree(aside, ignore_errors=True)


def _cannot_save(folder: Path, name: str, error: OSError) -> UserError:
    room = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "free some room" if room else "make that folder writable"
    older = steps(folder)
    kept = f"the checkpoint at step {older[-1]} is intact" if older else "there is no older one"
    reason = error.strerror or str(error)
    return UserError(
        f"could not save checkpoint {name} in {folder}: {reason}; "
        f"{mend} and run the same command again; {kept}"
    )


# Loading --------------------------------------------------------------------------------------


def load(path: Path) -> Checkpoint:
    """Read one step's folder, believing nothing: sizes, hashes and format are all checked.

    Raises:
        CheckpointError: anything is missing, changed, unreadable or of a newer format.
    """
    manifest = _manifest(path)
    name = _STEP.fullmatch(path.name.removeprefix(_ASIDE))
    if name and int(name[1]) != manifest["iteration"]:
        raise _fault(path / MANIFEST, f"it is of iteration {manifest['iteration']}")
    tensors = {}
    for file, expected in manifest["files"].items():
        tensors[file.removesuffix(".safetensors")] = _group(path / file, expected)
    return Checkpoint(manifest["iteration"], tensors, manifest["meta"])


def _fault(path: Path, wrong: str) -> CheckpointError:
    return CheckpointError(f"bad checkpoint file {path}: {wrong}")


def _manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if folder.is_symlink():
        raise _fault(folder, "it is a symbolic link")
    raw = _read(path, at_most=MANIFEST_BYTES)
    try:
        content = json.loads(raw)
        intact = isinstance(content, dict) and _sealed(content) == raw
    except (ValueError, RecursionError):
        raise _fault(path, "it is not JSON") from None
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int or version < 1:
        raise _fault(path, "it is not a checkpoint's manifest")
    if version > FORMAT:
        raise _fault(
            path,
            f"made by a newer abprop (format {version}); this one reads {FORMAT}: upgrade abprop",
        )
    if not intact:
        raise _fault(path, "its contents do not match its SHA-256")
    if not _well_formed(content):
        raise _fault(path, "it names files or values that no abprop writes")
    return content


def _well_formed(content: Mapping[str, Any]) -> bool:
    files = content.get("files")
    return (
        type(content.get("iteration")) is int
        and content["iteration"] >= 0
        and isinstance(content.get("meta"), dict)
        and isinstance(files, dict)
        and all(_FILE.fullmatch(name) for name in files)
        and all(
            isinstance(entry, dict)
            and type(entry.get("bytes")) is int
            and type(entry.get("sha256")) is str
            for entry in files.values()
        )
    )


def _group(path: Path, expected: Mapping[str, Any]) -> dict[str, Tensor]:
    data = _read(path, exactly=expected["bytes"])
    if hashlib.sha256(data).hexdigest() != expected["sha256"]:
        raise _fault(path, "its contents do not match its SHA-256")
    try:
        return safetensors.torch.load(data)
    except (SafetensorError, KeyError, ValueError, TypeError, RuntimeError) as error:
        raise _fault(path, f"it is not a safetensors file ({_one_line(error)})") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]


def _read(path: Path, exactly: int | None = None, at_most: int | None = None) -> bytes:
    """All of a plain file; its size is checked first, so that a bomb is not read."""
    try:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            raise _fault(path, "it is a symbolic link")
        if not stat.S_ISREG(status.st_mode):
            raise _fault(path, "it is not a file")
        if exactly is not None and status.st_size != exactly:
            raise _fault(path, f"it has {status.st_size} bytes, not {exactly}")
        if at_most is not None and status.st_size > at_most:
            raise _fault(path, f"it has {status.st_size} bytes, more than {at_most}")
        return path.read_bytes()
    except FileNotFoundError:
        raise _fault(path, "it is missing") from None
    except OSError as error:
        raise _fault(path, error.strerror or str(error)) from error
    except MemoryError:
        raise _fault(path, "it does not fit into memory") from None


def latest(folder: Path, on_skip: Callable[[str], None]) -> Checkpoint | None:
    """The newest good checkpoint; None when nothing was ever saved.

    Args:
        folder: RUN/checkpoints.
        on_skip: told one line about each newer checkpoint that is bad.

    Raises:
        CheckpointError: there are checkpoints, and not one of them is good.
    """
    first: CheckpointError | None = None
    for step, path in sorted(_folders(folder).items(), reverse=True):
        try:
            return load(path)
        except CheckpointError as error:
            first = first or error
            on_skip(f"skipped the checkpoint at step {step}: {error}")
    if first is None:
        return None
    raise CheckpointError(
        f"no good checkpoint is left in {folder}; the newest: {first}; "
        "choose another --run, or delete that folder to start afresh"
    )


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, good or bad, ascending."""
    return sorted(_folders(folder))


def _folders(folder: Path) -> dict[int, Path]:
    """Step -> its folder; one set aside counts while nothing has taken its place."""
    try:
        names = sorted(os.listdir(folder))  # ".old-..." sorts first, so that "step-..." wins
    except OSError:
        return {}
    found = {}
    for name in names:
        match = _STEP.fullmatch(name.removeprefix(_ASIDE))
        if match and step_name(int(match[1])) == match[0] and (folder / name).is_dir():
            found[int(match[1])] = folder / name
    return found


# Keeping house --------------------------------------------------------------------------------


def prune(folder: Path, keep: Collection[int]) -> None:
    """Delete every checkpoint but `keep`, and what interrupted saves left. Never fails.

    Only the holder of the run's lock may call this: it deletes other writers' temporary folders.
    """
    current = _folders(folder)
    for step, path in current.items():
        if step not in keep:
            _discard(path)
        elif path.name.startswith(_ASIDE):
            _try_replace(path, path.with_name(step_name(step)))
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith((_TEMPORARY, _ASIDE)):
            shutil.rmtree(folder / name, ignore_errors=True)


def _discard(path: Path) -> None:
    """Delete a folder under another name, so that half of it never looks like a checkpoint."""
    gone = path.with_name(f"{_TEMPORARY}{path.name}-deleted")
    shutil.rmtree(gone, ignore_errors=True)
    shutil.rmtree(gone if _try_replace(path, gone) else path, ignore_errors=True)


def _try_replace(path: Path, target: Path) -> bool:
    try:
        os.replace(path, target)
    except OSError:
        return False
    return True


@contextmanager
def lock(run_folder: Path) -> Iterator[None]:
    """Hold RUN/.lock while writing there. The system lets go of it when the process dies.

    Raises:
        UserError: another process holds it, or the folder cannot be written.
    """
    from filelock import FileLock, Timeout

    held = FileLock(run_folder / ".lock", timeout=0)
    try:
        run_folder.mkdir(parents=True, exist_ok=True)
        held.acquire()
    except Timeout:
        raise UserError(
            f"another abprop is writing to {run_folder}; wait or choose another --run"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(f"cannot write to {run_folder}: {reason}; choose another --run") from error
    try:
        yield
    finally:
        held.release()
