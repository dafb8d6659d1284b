"""The picture files that a folder, a zip or a single path holds, in a fixed order."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

from abprop.errors import UserError
from abprop.files.limits import FILE_BYTES, quoted, reason

_COMMON = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SUFFIXES = frozenset((*_COMMON, ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"))
# Smaller members are refused by the other limits if they must be.
_SUSPECT_BYTES, _SUSPECT_RATIO = 100 << 20, 1000


@dataclass(frozen=True)
class Entry:
    """One encoded file.

    Attributes:
        name: its path relative to the source, with forward slashes.
        where: how a message calls it, quoted.
        read: gives its bytes.
    """

    name: str
    where: str
    read: Callable[[], bytes]


@contextmanager
def pictures_in(path: Path) -> Iterator[list[Entry]]:
    """The picture files of a folder (recursively), of a zip, or the file itself, sorted by path.

    Hidden files and whatever has no picture's suffix are passed over.

    Raises:
        UserError: nothing there, or not readable.
    """
    if path.is_dir():
        yield _some(_folder(path), path)
    elif path.suffix.lower() == ".zip":
        with _opened(path) as archive:
            yield _some(_members(archive, path), path)
    else:
        yield [file_at(path)]


def file_at(path: Path) -> Entry:
    """A single file, whatever it is."""
    return _file(path, path.name)


def placed(text: str) -> str:
    """A place in a recipe from the root on, so that the run works from any folder."""
    if text.startswith("not:"):
        return "not:" + placed(text.removeprefix("not:"))
    if text in ("", "<array>"):
        return text
    path, npz, key = text, "", ""
    if ".npz:" in text and not Path(text).exists():
        path, npz, key = text.rpartition(".npz:")
    try:
        return os.path.abspath(os.path.expanduser(path + npz.rstrip(":"))) + npz[-1:] + key
    except (OSError, ValueError):  # a null byte, no working directory: reading tells
        return text


def unique_names(entries: list[Entry]) -> list[str]:
    """A name for each file: its stem, or as much more of its path as tells them apart."""
    paths = [PurePosixPath(entry.name) for entry in entries]
    for names in (
        [path.stem for path in paths],
        [str(path.with_suffix("")) for path in paths],
    ):
        if max(Counter(names).values()) == 1:
            return names
    return [str(path) for path in paths]


def regular(path: Path) -> Path:
    """The path, if it is a file that can be read to its end (a pipe would wait for ever).

    Raises:
        UserError: it is not.
    """
    if not path.is_file():
        raise UserError(f"{quoted(path)} is not a regular file; remove it or give another")
    return path


def _some(entries: list[Entry], path: Path) -> list[Entry]:
    if not entries:
        raise UserError(
            f"{quoted(path)} holds no pictures ({', '.join(_COMMON)}); give another path"
        )
    return sorted(entries, key=lambda entry: entry.name)


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _folder(root: Path) -> list[Entry]:
    files = (path for folder in _walk(root) for path in folder)
    names = ((path, path.relative_to(root).as_posix()) for path in files)
    return [_file(path, name) for path, name in names if _is_picture(name)]


def _walk(root: Path) -> Iterator[list[Path]]:
    """The files of each folder below root, links followed, no folder entered twice."""
    seen = set()
    for top, folders, files in os.walk(root, followlinks=True, onerror=_refuse):
        status = os.stat(top)
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        if "recipe.toml" in files and "checkpoints" in folders:  # a run: its pictures are no data
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield [Path(top, name) for name in files]


def _refuse(error: OSError) -> None:
    raise UserError(f"{quoted(error.filename)} cannot be read ({error.strerror})") from error


def _file(path: Path, name: str) -> Entry:
    return Entry(name, quoted(path), partial(_read_file, path))


def _read_file(path: Path) -> bytes:
    try:
        _check_bytes(regular(path).stat().st_size, quoted(path))
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"{quoted(path)} cannot be read ({error.strerror or reason(error)}); "
            f"check its permissions or remove it"
        ) from error


def _opened(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(regular(path))
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise UserError(
            f"{quoted(path)} is not a readable zip ({reason(error)}); make it again"
        ) from error


def _members(archive: zipfile.ZipFile, path: Path) -> list[Entry]:
    return [
        Entry(
            info.filename,
            quoted(f"{path}:{info.filename}"),
            partial(_read_member, archive, info, quoted(f"{path}:{info.filename}")),
        )
        for info in archive.infolist()
        if not info.is_dir() and _is_picture(info.filename)
    ]


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    _check_bytes(info.file_size, where)
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > _SUSPECT_BYTES and ratio > _SUSPECT_RATIO:
        raise UserError(f"{where} unpacks to {ratio:,.0f} times its size; a zip bomb is not read")
    if info.flag_bits & 1:
        raise UserError(f"{where} is encrypted; unpack the zip and give the folder")
    try:
        with archive.open(info) as member:
            return member.read(info.file_size)
    except Exception as error:  # zlib, lzma and bz2 each have their own
        raise UserError(
            f"{where} cannot be unpacked ({reason(error)}); make the zip again"
        ) from error


def _check_bytes(size: int, where: str) -> None:
    if size > FILE_BYTES:
        raise UserError(f"{where} has {size:,} bytes, more than 1 GiB; cut it into smaller ones")
