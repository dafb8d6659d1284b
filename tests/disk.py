"""A disk that fails when it is told to: what is asked of it within one folder is counted."""

from __future__ import annotations

import builtins
import ctypes
import io
import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

PATHS = ("mkdir", "replace", "rmdir", "unlink", "open")  # what takes a path first
DESCRIPTORS = ("fsync", "fstat")


class Disk:
    """What is asked of the disk within a folder.

    Args:
        folder: what lies elsewhere is nobody's business.
        strike: told the number of each call from 1 and its name, before it is made; it may raise.

    Attributes:
        calls: names of the calls so far, in order.
    """

    def __init__(self, folder: Path, strike: Callable[[int, str], object]) -> None:
        self.folder, self.strike = os.path.abspath(folder), strike
        self.calls: list[str] = []
        self.unsynced: dict[int, tuple[int, int]] = {}  # inode: a descriptor, bytes that are safe
        self.descriptors: set[int] = set()

    def asked(self, name: str) -> None:
        """One more call."""
        self.calls.append(name)
        self.strike(len(self.calls), name)

    def within(self, path: Any, dir_fd: int | None = None) -> bool:
        """Whether a path lies in the folder."""
        if dir_fd is not None or isinstance(path, int):
            return (dir_fd or path) in self.descriptors
        whole = os.path.abspath(os.fsdecode(path))
        return whole == self.folder or whole.startswith(self.folder + os.sep)

    def lose_what_is_not_synced(self) -> None:
        """As a power cut does: the names stay, the bytes do not."""
        for descriptor, safe in self.unsynced.values():
            os.ftruncate(descriptor, safe)


class _Raw(io.FileIO):
    """A file below its buffer: it sees every write that reaches the system."""

    def __init__(self, disk: Disk, path: Any, mode: str) -> None:
        super().__init__(path, mode)
        self.disk = disk
        disk.descriptors.add(self.fileno())
        status = os.fstat.__wrapped__(self.fileno())  # type: ignore[attr-defined]
        disk.unsynced[status.st_ino] = (os.dup(self.fileno()), status.st_size)

    def write(self, data: Any) -> int:
        """All of it, or half where a strike says so: then the rest is asked for again."""
        view = memoryview(data)
        try:
            self.disk.asked("write")
        except Short:
            return super().write(view[: max(1, len(view) // 2)]) or 0
        except BaseException:
            super().write(view[: len(view) // 2])  # whatever fails, a part is there
            raise
        return super().write(view) or 0


class Short(Exception):
    """Raised by a strike: only half of this write is done, which is no error."""


@contextmanager
def watched(folder: Path, strike: Callable[[int, str], object]) -> Iterator[Disk]:
    """While it lasts, every call that makes, writes, syncs, renames or deletes is told first."""
    disk = Disk(folder, strike)
    with pytest.MonkeyPatch.context() as patch:
        for name in PATHS:
            patch.setattr(os, name, _of_path(disk, name, getattr(os, name)))
        for name in DESCRIPTORS:
            patch.setattr(os, name, _of_descriptor(disk, name, getattr(os, name)))
        opened = _opened(disk, builtins.open)
        patch.setattr(builtins, "open", opened)
        patch.setattr(io, "open", opened)
        try:
            yield disk
        finally:
            for descriptor, _ in disk.unsynced.values():
                with suppress(OSError):
                    os.close(descriptor)


def _of_path(disk: Disk, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, *args: Any, **named: Any) -> Any:
        inside = disk.within(path, named.get("dir_fd"))
        if inside:
            disk.asked(name)
        found = real(path, *args, **named)
        if inside and name == "open":
            disk.descriptors.add(found)
        return found

    return call


def _of_descriptor(disk: Disk, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(descriptor: int) -> Any:
        if descriptor in disk.descriptors:
            disk.asked(name)
        found = real(descriptor)
        if name == "fsync":
            lost = disk.unsynced.pop(os.fstat.__wrapped__(descriptor).st_ino, None)  # type: ignore
            if lost is not None:
                os.close(lost[0])
        return found

    call.__wrapped__ = getattr(real, "__wrapped__", real)  # type: ignore[attr-defined]
    return call


def _opened(disk: Disk, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(path: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        if not set(mode) & set("wxa") or not disk.within(path):
            return real(path, mode, *args, **named)
        disk.asked("create")
        file = io.BufferedWriter(_Raw(disk, path, mode.replace("b", "").replace("t", "")))
        return file if "b" in mode else io.TextIOWrapper(file, encoding=named.get("encoding"))

    return call


# Strikes --------------------------------------------------------------------------------------


def failing(number: int, first: int, last: int | None = None) -> Callable[[int, str], None]:
    """Calls first..last fail with this errno; for ever if last is None."""

    def strike(count: int, name: str) -> None:
        if count >= first and (last is None or count <= last):
            raise OSError(number, os.strerror(number))

    return strike


def nothing(count: int, name: str) -> None:
    """No strike."""


# Processes that die ---------------------------------------------------------------------------


def forked(work: Callable[[], object]) -> int:
    """Do something in a child that has all imports already.

    Args:
        work: what to do; the child ends with 0 after it, with 1 if it raised.

    Returns:
        The child's process id.
    """
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Wait for a child: its exit code, or minus the number of the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def die() -> None:
    """End this process as `kill -9` does."""
    os.kill(os.getpid(), signal.SIGKILL)


NEWNS, NEWUSER, PRIVATE, READ_ONLY, REMOUNT = 0x20000, 0x10000000, 1 << 18 | 1 << 14, 1, 32


def mount(folder: Path, size: int, flags: int = 0) -> None:
    """A disk of its own at a folder, which this process alone sees and which ends with it.

    Args:
        folder: where.
        size: bytes.
        flags: of mount(2).

    Raises:
        OSError: the system does not let this process have one.
    """
    libc, user, group = ctypes.CDLL(None, use_errno=True), os.getuid(), os.getgid()
    if not flags:
        _must(libc.unshare(NEWNS | NEWUSER))
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
        _must(libc.mount(b"none", b"/", None, PRIVATE, None))
    told = os.fsencode(folder), b"tmpfs", flags, f"size={size}".encode()
    _must(libc.mount(b"tmpfs", *told))


def _must(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


# What was found -------------------------------------------------------------------------------


def tell(fault: str, count: int, outcome: str) -> None:
    """A row of the table in docs/faults.md; pytest -s shows it."""
    print(f"\n| {fault} | {count:,} | {outcome} |")
