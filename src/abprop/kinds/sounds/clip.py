"""What sounds have in common: one clip is read, crops of it are examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abprop.data.choice import chosen
from abprop.errors import UserError
from abprop.files import sounds
from abprop.files.entries import file_at
from abprop.files.limits import quoted
from abprop.files.write import inside
from abprop.kinds.base import Raw, Request
from abprop.kinds.cut import Cut
from abprop.say import counted

FASTEST = 24_000  # samples a second that are learned
QUIET = 1e-6  # of full scale: what is below is silence


class Clip(Cut):
    """One clip of a stationary sound."""

    several = "array"
    figures = ("clip", "explained", "sounded", "heard")
    other = "waveform"  # the other thing that a clip may be

    # Reading ----------------------------------------------------------------------------------

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Never: an array does not tell its rate."""
        return False

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(1, C, T) of (T,), (T, C), (C, T) or itself; channels are fewer than samples."""
        if values.ndim == 1:
            return values[None, None]
        if values.ndim == 2:
            return (values.T if values.shape[0] > values.shape[1] else values)[None]
        return values if values.ndim == 3 and len(values) == 1 else None

    def reads(self, path: Path) -> bool:
        """Sound files; the first of the kinds of sound reads for all."""
        return path.suffix.lower() in sounds.SUFFIXES

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`."""
        where = quoted(path)
        if request.kind not in ("auto", self.name, self.other):
            raise UserError(
                f"{where} is a sound, no {request.kind}; set data.kind to {self.name} or "
                f"{self.other}"
            )
        if request.masks is not None:
            raise UserError(f"{where} is a sound, which must be complete; leave out the masks")
        chosen(request.select, request.limit, 1, where)
        entry = file_at(path)
        heard = sounds.decode(entry.read(), entry.where)
        rate = request.rate or _slower(heard.rate)
        values = sounds.resampled(heard.values, heard.rate, rate)
        if np.abs(values).max() < QUIET:
            raise UserError(f"{where} is silent; give a sound that can be heard")
        about = {"rate": rate, "file_rate": heard.rate, "subtype": heard.subtype}
        kind = self.name if request.kind == "auto" else request.kind
        told = self.character(values, rate) if request.kind == "auto" else ""
        note = "; ".join(filter(None, (heard.note, told)))
        return Raw(kind, values[None], None, [path.stem], note=note, about=about)

    def character(self, values: np.ndarray, rate: int) -> str:
        """What a clip (C, T) is that speaks against this kind, for a note; "" for nothing."""
        return ""

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

    # Writing ----------------------------------------------------------------------------------

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
        names = names or [f"{i:06d}" for i in range(len(x))]
        files = [path] if path.suffix else [path / f"{inside(name)}.wav" for name in names]
        for one, file in zip(x, files, strict=True):
            sounds.save_sound([sounds.resampled(one, rate, wanted)], file, wanted, subtype)
        seconds = x.shape[2] / rate
        return f"{counted(len(x), 'sound', 'sounds')} of {seconds:.2f} s: {path}"


def _slower(rate: int) -> int:
    """The rate divided by a whole number, at most FASTEST."""
    return rate // -(-rate // FASTEST) if rate > FASTEST else rate
