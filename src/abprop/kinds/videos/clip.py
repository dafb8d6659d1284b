"""What videos have in common: a clip is read frame by frame, and made again as one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from abprop.data.choice import chosen
from abprop.data.masks import Mask, open_masks
from abprop.errors import UserError
from abprop.files import videos
from abprop.files.entries import by_row
from abprop.files.limits import quoted
from abprop.files.pictures import Picture, uniform
from abprop.files.write import inside, put
from abprop.kinds.base import Raw, Request
from abprop.kinds.pictures import Images, seen_through, stack
from abprop.say import counted

PICTURES = (".gif",)  # may hold one picture


class Moving(Images):
    """Frames in their order, of a video file, a folder of pictures or an array."""

    moves, judge = True, "video"
    others = ("video", "spacetime")  # what a video may be

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Never: an array of pictures may be anything; data.kind says that it moves."""
        return False

    def takes(self, path: Path) -> bool:
        """All videos, and folders and zips of pictures, where it was said that these are frames."""
        return path.is_dir() or path.suffix.lower() in (*videos.SUFFIXES, ".zip")

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`; a folder's frames are in the order of their names."""
        if request.kind not in ("auto", *self.others):
            if path.suffix.lower() in PICTURES:
                return Images().read(path, request)
            raise UserError(
                f"{quoted(path)} is a video, no {request.kind}; set data.kind to "
                f"{' or '.join(self.others)}"
            )
        kind = self.name if request.kind == "auto" else request.kind
        request = replace(request, kind=kind)
        if path.suffix.lower() not in videos.SUFFIXES:
            return replace(super().read(path, request), about=self.told(request))
        return self._film(path, request)

    def _film(self, path: Path, request: Request) -> Raw:
        """The chosen frames of a video file, brought to the wanted size as they are decoded."""
        where, whole = quoted(path), request.masks is not None

        def shaped(picture: Picture, frame: str) -> Picture:
            return picture if whole else uniform(picture, request.size, request.channels, frame)

        film = videos.read_frames(path, where, shaped)
        rows = chosen(request.select, request.limit, len(film.values), where)
        names = by_row(rows)
        mask, said = open_masks(request.masks, len(film.values), len(rows), 2)

        def masked(mask: Mask) -> Iterator[tuple[Picture, str]]:
            for i, row in enumerate(rows.tolist()):
                hidden = None if film.hidden is None else film.hidden[row]
                picture, here = Picture(film.values[row], hidden), f"{where}, frame {row}"
                veil = mask(i, row, names[i], picture.values.shape)
                yield seen_through(picture, veil, request, here), here

        if mask is None:
            values, veil = film.values[rows], film.hidden
            veil = None if veil is None else veil[rows].astype(np.uint8)
        else:
            values, veil = stack(masked(mask), len(rows), where)
        note = "; ".join(filter(None, (film.note, said)))
        about = {"fps": float(request.rate or film.rate)}
        return Raw(request.kind, values, veil, names, note=note, about=about)

    def told(self, request: Request) -> dict[str, Any]:
        """See `Kind.told`."""
        return {"fps": float(request.rate or videos.RATE)}

    # Writing ----------------------------------------------------------------------------------

    def write(
        self, x: np.ndarray, path: Path, names: Sequence[str] | None, about: Mapping[str, Any]
    ) -> str:
        """See `Kind.write`; several videos (n, C, T, H, W) go into a folder.

        Frames (T, C, H, W) are a video where the file's name says so, else pictures.
        """
        if x.ndim == 4 and path.suffix.lower() in videos.SUFFIXES:
            x = np.moveaxis(x, 0, 1)[None]
        if x.ndim == 4:
            return super().write(x, path, names, about)
        if path.suffix and len(x) > 1:
            raise UserError(f"{quoted(path)}: {len(x)} videos do not fit one file; give a folder")
        names = names or by_row(range(len(x)))
        suffix = ".mp4" if x.dtype == np.uint8 else ".npy"
        files = [path] if path.suffix else [path / f"{inside(name)}{suffix}" for name in names]
        for one, file in zip(x, files, strict=True):
            save_clip([one], file, about["fps"])
        frames = counted(x.shape[2], "frame", "frames")
        return f"{counted(len(x), 'video', 'videos')} of {frames}: {path}"


def several(path: Path) -> bool:
    """Whether a file that may hold one picture holds more; no if it cannot be told."""
    from PIL import Image

    try:
        with Image.open(path) as picture:
            return getattr(picture, "n_frames", 1) > 1
    except Exception:  # of nearly any kind; what is wrong is said when it is read
        return False


def save_clip(blocks: Iterable[np.ndarray], path: Path, rate: float) -> Path:
    """Write a video that comes in blocks (C, t, H, W); returns its path.

    Args:
        blocks: in data units.
        path: see `files.videos`; .npy and .npz hold the array whole, (T, H, W, C).
        rate: frames a second.

    Raises:
        UserError: a format that is not written or cannot hold it.
    """
    save = ARRAYS.get(path.suffix.lower())
    if save is None:
        return videos.save_video(blocks, path, rate)
    x = np.moveaxis(np.concatenate([*blocks], 1), 0, -1)
    return put(path, lambda file: save(file, x))


ARRAYS: dict[str, Callable[[BinaryIO, np.ndarray], object]] = {
    ".npy": np.save,
    ".npz": lambda file, x: np.savez_compressed(file, frames=x),
}
