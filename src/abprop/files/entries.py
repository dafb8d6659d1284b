"""The files of one sort that a folder, a zip or a single path holds, in a fixed order."""

from __future__ import annotations

import os
import zipfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from time import monotonic

from abprop.errors import UserError
from abprop.files.limits import FILE_BYTES, TEXT_BYTES, quoted, reason
from abprop.say import Say

_COMMON = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
SUFFIXES = frozenset((*_COMMON, ".ppm", ".pgm", ".pbm", ".pnm", ".jp2"))
NOT = "not:"  # before a place: what is hidden there is seen, and the other way round
EVERY = 5.0  # seconds between two lines about reading
GLANCE = 1000  # files by which a folder's sort is told
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


def pictures_in(path: Path) -> AbstractContextManager[list[Entry]]:
    """Pictures; see `files_in`."""
    return files_in(path, SUFFIXES, f"pictures ({', '.join(_COMMON)})")


@contextmanager
def files_in(path: Path, suffixes: Collection[str], what: str) -> Iterator[list[Entry]]:
    """The files of a folder (recursively), of a zip, or the file itself, sorted by path.

    Hidden files and those with other suffixes are passed over.

    Args:
        path: of a folder, a zip or a file.
        suffixes: that are wanted.
        what: they are, for a message.

    Raises:
        UserError: nothing there, or not readable.
    """
    if path.is_dir():
        found = (_file(p, name) for p, name in _names(path) if _is_one(name, suffixes))
        yield _some(found, path, what)
    elif path.suffix.lower() == ".zip":
        with _opened(path) as archive:
            yield _some(_members(archive, path, suffixes), path, what)
    else:
        yield [file_at(path)]


def mostly(path: Path, suffixes: Collection[str], others: Collection[str]) -> bool:
    """Whether a folder or zip holds more files with `suffixes` than with the others, at a glance.

    Raises:
        UserError: not readable.
    """
    if path.is_dir():
        names = [name for _, name in islice(_names(path), GLANCE)]
    elif path.suffix.lower() == ".zip" and path.is_file():
        with _opened(path) as archive:
            names = archive.namelist()[:GLANCE]
    else:
        return False
    count, rest = (sum(_is_one(name, some) for name in names) for some in (suffixes, others))
    return count > rest


def one_by_one(files: Sequence[Entry], what: str, say: Say) -> Iterable[Entry]:
    """The files, and every so often how far it is, "reading 3 of 400 pictures"."""
    last = monotonic()
    for i, file in enumerate(files):
        now = monotonic()
        if now - last >= EVERY:
            say(f"reading {i + 1} of {len(files)} {what}")
            last = now
        yield file


def file_at(path: Path) -> Entry:
    """A single file, whatever it is."""
    return _file(path, path.name)


def placed(text: str) -> str:
    """A place in a recipe from the root on, so that the run works from any folder."""
    if text.startswith(NOT):
        bare = without_not(text)
        return text.removesuffix(bare) + placed(bare)
    if text in ("", "<array>"):
        return text
    path, npz, key = text, "", ""
    if ".npz:" in text and not Path(text).exists():
        path, npz, key = text.rpartition(".npz:")
    try:
        return os.path.abspath(os.path.expanduser(path + npz.rstrip(":"))) + npz[-1:] + key
    except (OSError, ValueError):  # a null byte, no working directory: reading tells
        return text


def without_not(text: str) -> str:
    """A place without the "not:" before it, however often it is there."""
    while text.startswith(NOT):
        text = text.removeprefix(NOT)
    return text


def by_row(rows: Iterable[int]) -> list[str]:
    """What examples without names are called."""
    return [f"{row:06d}" for row in rows]


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


def check_member(info: zipfile.ZipInfo, where: str) -> None:
    """Refuse a member of a zip that unpacks to far more than anything worth packing does.

    Raises:
        UserError: it does.
    """
    ratio = info.file_size / max(info.compress_size, 1)
    if info.file_size > _SUSPECT_BYTES and ratio > _SUSPECT_RATIO:
        raise UserError(f"{where} unpacks to {ratio:,.0f} times its size; a zip bomb is not read")


def text_in(path: Path) -> str:
    """The text of a small file, such as a recipe.

    Raises:
        UserError: there is none, it is longer than any recipe, or it is no text.
    """
    try:
        if path.stat().st_size > TEXT_BYTES or not (path.is_file() or path.is_dir()):
            raise UserError(f"{path}: no recipe, which is a file of at most {TEXT_BYTES:,} bytes")
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file (UTF-8)") from error
    except (OSError, ValueError) as error:  # too long a name, a null byte
        if isinstance(error, UserError):
            raise
        why = getattr(error, "strerror", None) or reason(error)
        raise UserError(f"cannot read {path}: {why}") from error


def _some(found: Iterable[Entry], path: Path, what: str) -> list[Entry]:
    entries = sorted(found, key=lambda entry: entry.name)
    if not entries:
        raise UserError(f"{quoted(path)} holds no {what}; give another path")
    return entries


def _is_one(name: str, suffixes: Collection[str]) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") and part not in (".", "..") for part in path.parts)
    return path.suffix.lower() in suffixes and not hidden


def _names(root: Path) -> Iterator[tuple[Path, str]]:
    """Files below a folder, and how they are called from there."""
    for files in _walk(root):
        yield from ((path, path.relative_to(root).as_posix()) for path in files)


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


def _members(archive: zipfile.ZipFile, path: Path, suffixes: Collection[str]) -> Iterator[Entry]:
    for info in archive.infolist():
        if not info.is_dir() and _is_one(info.filename, suffixes):
            where = quoted(f"{path}:{info.filename}")
            yield Entry(info.filename, where, partial(_read_member, archive, info, where))


def _read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str) -> bytes:
    _check_bytes(info.file_size, where)
    check_member(info, where)
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
