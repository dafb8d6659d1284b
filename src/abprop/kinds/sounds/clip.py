"""What sounds have in common: one clip is read, crops of it are examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abprop.data.choice import chosen
from abprop.errors import UserError
from abprop.files import sounds
from abprop.files.entries import Entry, file_at
from abprop.files.limits import quoted
from abprop.kinds.base import Raw, Request
from abprop.kinds.cut import Cut
from abprop.kinds.sounds.audible import QUIET, Audible, refuse_masks, slower


class Clip(Audible, Cut):
    """One clip of a stationary sound."""

    several, judge = "sounds", "sound"
    figures = ("clip", "explained", "sounded", "heard")
    other = "waveform"  # the other thing that a clip may be

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
        refuse_masks(request, where)
        chosen(request.select, request.limit, 1, where)
        return self.one_of(file_at(path), path.stem, request)

    def one_of(self, entry: Entry, name: str, request: Request) -> Raw:
        """A clip from an encoded file."""
        heard = sounds.decode(entry.read(), entry.where)
        rate = request.rate or slower(heard.rate)
        values = sounds.resampled(heard.values, heard.rate, rate)
        if np.abs(values).max() < QUIET:
            raise UserError(f"{entry.where} is silent; give a sound that can be heard")
        about = {"rate": rate, "file_rate": heard.rate, "subtype": heard.subtype}
        kind = self.name if request.kind == "auto" else request.kind
        told = self.character(values, rate) if request.kind == "auto" else ""
        note = "; ".join(filter(None, (heard.note, told)))
        return Raw(kind, values[None], None, [name], note=note, about=about)

    def character(self, values: np.ndarray, rate: int) -> str:
        """What a clip (C, T) is that speaks against this kind, for a note; "" for nothing."""
        return ""
