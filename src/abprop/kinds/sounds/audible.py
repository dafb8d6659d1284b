"""What all sounds have in common: they are complete, have a rate, and are written as sounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abprop.data import Examples, Signals
from abprop.errors import AbpropError, UserError
from abprop.files import sounds
from abprop.files.entries import by_row
from abprop.files.limits import quoted
from abprop.files.write import inside
from abprop.kinds.base import Asked, Kind, Request
from abprop.say import counted
from abprop.spectra import Colour, colour

FASTEST = 24_000  # samples a second that are learned
QUIET = 1e-6  # of full scale: what is below is silence


class Audible(Kind):
    """A sound, or several."""

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Never: an array does not tell its rate."""
        return False

    def span(self, values: np.ndarray) -> tuple[float, float] | None:
        """See `Kind.span`: as loud as it gets, so that quiet clips are learned like loud ones."""
        peak = float(np.abs(values).max())
        return (-peak, peak) if np.isfinite(peak) and peak else None

    def check_veil(self, veil: np.ndarray | None, where: str) -> None:
        """See `Kind.check_veil`: a spectrum needs all samples of its window."""
        if veil is not None:
            raise UserError(f"{where} is a sound, which must be complete; hide nothing of it")

    def told(self, request: Request) -> dict[str, Any]:
        """See `Kind.told`."""
        if request.rate is None:
            raise UserError("an array of a sound does not tell its rate; set data.rate=44100")
        return {"rate": request.rate, "file_rate": request.rate, "subtype": "FLOAT"}

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """WAV."""
        return ".wav"

    def write(
        self, x: np.ndarray, path: Path, names: Sequence[str] | None, about: Mapping[str, Any]
    ) -> str:
        """See `Kind.write`; several sounds go into a folder."""
        rate, wanted, subtype = about["rate"], about["file_rate"], about["subtype"]
        if path.suffix and len(x) > 1:
            raise UserError(f"{quoted(path)}: {len(x)} sounds do not fit one file; give a folder")
        names = names or by_row(range(len(x)))
        files = [path] if path.suffix else [path / f"{inside(name)}.wav" for name in names]
        for one, file in zip(x, files, strict=True):
            sounds.save_sound([sounds.resampled(one, rate, wanted)], file, wanted, subtype)
        seconds = x.shape[2] / rate
        return f"{counted(len(x), 'sound', 'sounds')} of {seconds:.2f} s: {path}"


def refuse_masks(request: Request, where: str) -> None:
    """Raise if something shall be hidden."""
    if request.masks is not None:
        raise UserError(f"{where} is a sound, which must be complete; leave out the masks")


def slower(rate: int) -> int:
    """The rate divided by a whole number, at most FASTEST."""
    return rate // -(-rate // FASTEST) if rate > FASTEST else rate


def even(samples: float) -> int:
    """The nearest even number."""
    return 2 * round(samples / 2)


def window_of(seen: Examples, fewest: int, whose: str, longer: str) -> int:
    """The window whose spectra were seen.

    Raises:
        UserError: fewer than `fewest` frames; `whose` and what would be `longer`, for the message.
    """
    bands, frames = seen.signal_shape
    window = 2 * (bands - 1)
    if frames < fewest:
        raise UserError(
            f"{whose} {counted(frames, 'frame', 'frames')}, too few to learn from; "
            f"give {longer}, or a smaller data.window than {window}"
        )
    return window


def coloured(signals: Signals, asked: Asked, seconds: float) -> Colour | None:
    """The colour of sounds, in windows of so many seconds if none were asked for.

    Raises:
        UserError: a window that does not fit them.
    """
    if not signals.rate:  # spectra already
        return None
    window = asked["data.window"] or even(signals.rate * seconds)
    try:
        return colour(torch.from_numpy(np.array(signals.values)), window)
    except AbpropError:
        raise UserError(
            f"{signals.source}: a window of {window} of {signals.shape[-1]} samples; "
            "data.window must be an even number and much less than the clip has"
        ) from None
