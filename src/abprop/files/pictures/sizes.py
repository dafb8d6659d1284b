"""One size and one number of channels for all pictures: centre-crop, Lanczos, grey, RGB."""

from __future__ import annotations

import numpy as np

from abprop.errors import UserError, unknown
from abprop.files.pictures.reading import Picture

_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # ITU-R 601, as Pillow's "L"
CHANNELS = ("keep", "grey", "rgb")


def check_channels(channels: str) -> None:
    """Raise a UserError for a name that is not in `CHANNELS`."""
    if channels not in CHANNELS:
        raise unknown("data.channels", str(channels), CHANNELS)


def uniform(picture: Picture, size: tuple[int, int] | None, channels: str, where: str) -> Picture:
    """The picture at the wanted size (width, height) and channels ("keep", "grey" or "rgb")."""
    if channels != "keep":
        picture = _recoloured(picture, channels, where)
    height, width = picture.values.shape[-2:]
    if size is None or size == (width, height):
        return picture
    return _resized(_centred(picture, *size), *size)


def _recoloured(picture: Picture, channels: str, where: str) -> Picture:
    values, hidden = picture.values, picture.hidden
    count = len(values)
    if count not in (1, 3):
        raise UserError(f"{where} has {count} channels; data.channels={channels} needs 1 or 3")
    if channels == "rgb":
        return Picture(np.broadcast_to(values, (3, *values.shape[1:])), hidden, picture.frames)
    if count == 1:
        return picture
    grey = np.tensordot(_LUMA, values, axes=1)[None]  # a missing colour makes the grey missing
    if hidden is not None:
        hidden = np.asarray(hidden.any(0, keepdims=True))
    return Picture(_as_dtype(grey, values), hidden, picture.frames)


def _centred(picture: Picture, width: int, height: int) -> Picture:
    """The largest centred part of the aspect width : height."""
    tall, wide = picture.values.shape[-2:]
    part_wide = min(wide, max(1, round(tall * width / height)))
    part_tall = min(tall, max(1, round(wide * height / width)))
    top, left = (tall - part_tall) // 2, (wide - part_wide) // 2
    part = np.s_[:, top : top + part_tall, left : left + part_wide]
    hidden = None if picture.hidden is None else picture.hidden[part]
    return Picture(picture.values[part], hidden, picture.frames)


def _resized(picture: Picture, width: int, height: int) -> Picture:
    """Lanczos over the observed pixels; hidden where less than half of the weight was observed."""
    values = picture.values
    if values.shape[-2:] == (height, width):
        return picture
    missing = np.isnan(values) if values.dtype.kind == "f" else np.zeros((1, 1, 1), dtype=bool)
    if picture.hidden is not None:
        missing = missing | picture.hidden
    if not missing.any():
        return Picture(_as_dtype(_lanczos(values, width, height), values), None, picture.frames)
    weight = _lanczos(~missing, width, height)
    hidden = weight < 0.5
    total = _lanczos(np.where(missing, 0, values), width, height)
    fresh = _as_dtype(np.where(hidden, 0, total / np.where(hidden, 1, weight)), values)
    if values.dtype.kind == "f":
        fresh = np.where(hidden, np.float32(np.nan), fresh)
    return Picture(fresh, hidden, picture.frames)


def _lanczos(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 (C, height, width); Pillow's mode F works in floats, one channel at a time."""
    from PIL import Image

    planes = [Image.fromarray(np.ascontiguousarray(plane, dtype=np.float32)) for plane in values]
    sized = [plane.resize((width, height), Image.Resampling.LANCZOS) for plane in planes]
    return np.stack([np.asarray(plane) for plane in sized])


def _as_dtype(fresh: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Lanczos overshoots: back within what the dtype holds, or what the values spanned."""
    if values.dtype.kind == "f":
        observed = values[np.isfinite(values)]
        if not observed.size:
            return fresh.astype(np.float32)
        return np.clip(fresh, observed.min(), observed.max()).astype(np.float32)
    info = np.iinfo(values.dtype)
    return np.clip(np.rint(fresh.astype(np.float64)), info.min, info.max).astype(values.dtype)
