"""Which checkpoints there are, deleting those no longer wanted, and who may write at all."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from abprop.checkpoint.files import TEMPORARY, discard
from abprop.checkpoint.manifest import STEP, step_name
from abprop.errors import UserError

ASIDE = ".old-"  # a folder that is being replaced by another save of the same step


def steps(folder: Path) -> list[int]:
    """The steps that have a checkpoint, good or bad, ascending."""
    return sorted(folders(folder))


def folders(folder: Path) -> dict[int, Path]:
    """Step -> its folder; one set aside counts while nothing has taken its place."""
    try:
        names = sorted(os.listdir(folder))  # ".old-..." sorts first, so that "step-..." wins
    except OSError:
        return {}
    found = {}
    for name in names:
        match = STEP.fullmatch(name.removeprefix(ASIDE))
        if match and step_name(int(match[1])) == match[0] and (folder / name).is_dir():
            found[int(match[1])] = folder / name
    return found


def path_of(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is, if there is one: also where a save was killed."""
    return folders(folder).get(step, folder / step_name(step))


def prune(folder: Path, keep: Collection[int]) -> None:
    """Delete every checkpoint but `keep`, and what interrupted saves left. Never fails.

    Only the holder of the run's lock may call this: it deletes other writers' temporary folders.
    """
    current = folders(folder)
    for step, path in current.items():
        if step not in keep:
            _discard(path)
        elif path.name.startswith(ASIDE):
            _try_replace(path, path.with_name(step_name(step)))
    try:
        names = os.listdir(folder)
    except OSError:
        return
    for name in names:
        if name.startswith((TEMPORARY, ASIDE)):
            discard(folder / name)


def _discard(path: Path) -> None:
    """Delete a folder under another name, so that half of it never looks like a checkpoint."""
    gone = path.with_name(f"{TEMPORARY}{path.name}-deleted")
    discard(gone)
    discard(gone if _try_replace(path, gone) else path)


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
