"""Files that are there whole or not at all: written under another name, synced, then renamed."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from abprop.errors import UserError

TEMPORARY = ".tmp-"
PIECE = 1 << 22  # bytes hashed right after they are written, while they are near
_MENDS = {
    errno.ENOENT: "make the folder that it shall lie in",
    errno.ENOSPC: "free some room",
    errno.EDQUOT: "free some room",
    errno.EFBIG: "allow larger files (ulimit -f)",
    errno.EIO: "see whether that disk is sound",
}
_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP}  # some network disks cannot sync a folder


def write_text(path: Path, text: str) -> None:
    """Write a text file, as UTF-8; see `write_bytes`.

    Raises:
        UserError: the disk refused; the old one is untouched.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file; whoever reads it finds the old one or the new one, never half of one.

    Raises:
        UserError: the disk refused; the old one is untouched.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    try:
        temporary.unlink(missing_ok=True)
        write(temporary, [data])
        os.replace(temporary, path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        # Where not even this can be done (no such folder, too long a name), the first error tells.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write(path: Path, data: Iterable[bytes | memoryview]) -> tuple[int, str]:
    """Write a new file and force it to disk.

    Args:
        path: of the file.
        data: its bytes, in pieces of any length; no copy of them is made.

    Returns:
        How many bytes, and their SHA-256.

    Raises:
        OSError: the disk refused, or there is a file of that name.
    """
    size, digest = 0, hashlib.sha256()
    with open(path, "xb") as file:
        for piece in data:
            for start in range(0, len(piece), PIECE):
                part = piece[start : start + PIECE]
                size += file.write(part)
                digest.update(part)
        file.flush()
        os.fsync(file.fileno())
        if os.fstat(file.fileno()).st_size != size:
            raise OSError(errno.EIO, "the disk kept only a part of it")
    return size, digest.hexdigest()


def cannot_write(path: Path, error: OSError) -> UserError:
    """The error that tells which file could not be written, why, and what to do."""
    return UserError(f"cannot write {path}: {refusal(error)}")


def refusal(error: OSError) -> str:
    """Why the disk refused and what to do about it."""
    return f"{error.strerror or error}; {_MENDS.get(error.errno or 0, 'make that folder writable')}"


def discard(folder: Path) -> None:
    """Delete a folder and all it holds, as far as that can be done. Never fails."""
    # Even told to ignore errors, some versions of Python pass on those of a folder's own state.
    with contextlib.suppress(OSError):
        shutil.rmtree(folder, ignore_errors=True)


def sync_folder(folder: Path) -> None:
    """Force to disk what a folder holds by which name, where that can be done."""
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
