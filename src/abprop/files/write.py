"""Pictures to files: one file (a grid if there are several) or a folder, bit depth kept."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np

from abprop.checkpoint import write_bytes
from abprop.checkpoint.files import TEMPORARY
from abprop.errors import UserError
from abprop.files.entries import by_row
from abprop.files.limits import quoted, reason

_GAP = 2  # pixels

Encode = Callable[[BinaryIO], object]


def save_images(
    x: np.ndarray,
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    columns: int | None = None,
) -> list[Path]:
    """Write pictures.

    A path with an extension is one file: a grid if n > 1, except .npy and .npz, which hold the raw
    array. Any other path is a folder with one file for each name: PNG for 8 bits and 16-bit grey,
    TIFF for what PNG cannot hold here (floats, 16-bit colour).

    Args:
        x: (n, C, H, W) in data units and dtype.
        path: where to.
        names: of the files in a folder; else 000000, 000001, ...
        columns: of the grid; else nearly square.

    Returns:
        The files written.

    Raises:
        UserError: the format cannot hold such pictures, or the disk refuses.
    """
    path = Path(path).expanduser()
    if x.ndim != 4 or not x.size:
        raise ValueError(f"pictures are (n, C, H, W), got shape {x.shape}")
    if not path.suffix:
        return _save_folder(x, path, names)
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise UserError(f"{quoted(path)}: {suffix} is not written; use {', '.join(_WRITERS)}")
    whole = x if suffix in _RAW else (x[0] if len(x) == 1 else grid(x, columns))
    return [_save(whole, path)]


def grid(x: np.ndarray, columns: int | None = None) -> np.ndarray:
    """Pictures side by side, row by row, with white gaps of 2 pixels.

    Args:
        x: (n, C, H, W).
        columns: how many in a row; else nearly square.

    Returns:
        (C, H', W') of the same dtype.
    """
    count, channels, height, width = x.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = -(-count // columns)
    tall, wide = height + _GAP, width + _GAP
    white = np.iinfo(x.dtype).max if x.dtype.kind in "iu" else x.max()
    # skimage.util.montage rules a frame around the whole as well, and pads before it copies.
    sheet = np.full((channels, rows * tall - _GAP, columns * wide - _GAP), white, dtype=x.dtype)
    for i in range(count):
        top, left = i // columns * tall, i % columns * wide
        sheet[:, top : top + height, left : left + width] = x[i]
    return sheet


def _save_folder(x: np.ndarray, folder: Path, names: Sequence[str] | None) -> list[Path]:
    names = by_row(range(len(x))) if names is None else names
    if len(names) != len(x):
        raise ValueError(f"{len(x)} pictures but {len(names)} names")
    suffix = ".png" if _png_holds(x[0]) else ".tif"
    paths = [folder / f"{inside(name)}{suffix}" for name in names]
    if len(set(paths)) < len(paths):
        raise UserError(f"{quoted(folder)}: two pictures have one name; nothing was written")
    return [_save(picture, path) for picture, path in zip(x, paths, strict=True)]


def inside(name: str) -> PurePosixPath:
    """A name that stays inside the folder, whatever a zip called its members."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    return PurePosixPath(*parts) if parts else PurePosixPath("unnamed")


def _save(x: np.ndarray, path: Path) -> Path:
    return put(path, _WRITERS[path.suffix.lower()](x, path))


def put(path: Path, encode: Encode) -> Path:
    """Write a file whole or not at all, its folder made; returns its path.

    Args:
        path: where to.
        encode: writes what it shall hold into a file that is open in memory.

    Raises:
        UserError: it cannot be written; an old one is untouched.
    """
    file = io.BytesIO()
    try:
        encode(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, file.getvalue())
    except (OSError, ValueError) as error:  # a UserError is one too: the disk's own words are below
        cause = error.__cause__ if isinstance(error, UserError) and error.__cause__ else error
        raise UserError(f"{quoted(path)} cannot be written ({reason(cause)})") from error
    return path


@contextmanager
def replacing(path: Path, *errors: type[Exception]) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place once all is written, its folder made.

    Args:
        path: where to.
        errors: what an encoder raises of its own; each becomes one line.

    Raises:
        UserError: it cannot be written; an old one is untouched and nothing is left behind.
    """
    temporary = path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except (OSError, *errors) as error:
        raise UserError(
            f"{quoted(path)} cannot be written ({reason(error)}); choose another format or folder"
        ) from error
    finally:
        with suppress(OSError):  # what it lies in may be no folder
            temporary.unlink()


def _png_holds(x: np.ndarray) -> bool:
    return len(x) in (1, 3) and (x.dtype == np.uint8 or (x.dtype == np.uint16 and len(x) == 1))


def _png(x: np.ndarray, path: Path) -> Encode:
    if not _png_holds(x):
        raise UserError(
            f"{quoted(path)}: a PNG holds 8-bit grey or RGB and 16-bit grey, this is "
            f"{x.dtype.name} with {len(x)} channels; write .tif or .npy"
        )
    return partial(_pillow(x).save, format="PNG")


def _lossy(form: str, x: np.ndarray, path: Path) -> Encode:
    if x.dtype != np.uint8 or len(x) not in (1, 3):
        raise UserError(
            f"{quoted(path)}: a {form} holds 8-bit grey or RGB, this is {x.dtype.name} with "
            f"{len(x)} channels; write .tif or .npy"
        )
    return partial(_pillow(x).save, format=form, quality=95 if form == "JPEG" else 88)


def _pillow(x: np.ndarray):
    from PIL import Image

    return Image.fromarray(np.ascontiguousarray(x[0] if len(x) == 1 else np.moveaxis(x, 0, -1)))


def _tiff(x: np.ndarray, path: Path) -> Encode:
    from tifffile import imwrite

    pixels = x[0] if len(x) == 1 else np.ascontiguousarray(np.moveaxis(x, 0, -1))
    colours = "rgb" if len(x) == 3 else "minisblack"
    planes = "contig" if len(x) > 1 else None
    return lambda file: imwrite(
        file, pixels, photometric=colours, planarconfig=planes, metadata=None
    )


def _npy(x: np.ndarray, path: Path) -> Encode:
    return lambda file: np.save(file, x, allow_pickle=False)


def _npz(x: np.ndarray, path: Path) -> Encode:
    return lambda file: np.savez_compressed(file, x=x)


_WRITERS: dict[str, Callable[[np.ndarray, Path], Encode]] = {
    ".png": _png,
    ".jpg": partial(_lossy, "JPEG"),
    ".jpeg": partial(_lossy, "JPEG"),
    ".webp": partial(_lossy, "WEBP"),
    ".tif": _tiff,
    ".tiff": _tiff,
    ".npy": _npy,
    ".npz": _npz,
}
_RAW = (".npy", ".npz")
