"""Sounds: a folder of clips, each with a vector of factors that tells its spectra from end to end.

What is learned is the variance of each band over time; see `spectra`.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from abprop.data import Examples, Signals
from abprop.data.choice import chosen
from abprop.data.masks import Mask
from abprop.errors import UserError
from abprop.files import sounds
from abprop.files.entries import SUFFIXES, files_in, mostly, one_by_one, unique_names
from abprop.files.limits import check_memory, quoted
from abprop.files.sounds import Recording
from abprop.kinds.base import Asked, Raw, Request
from abprop.kinds.sounds.audible import QUIET, Audible, coloured, refuse_masks, slower, window_of
from abprop.kinds.sounds.sound import Sound
from abprop.spectra import Colour

WINDOW = 0.032  # seconds: a vector cannot tell what is quicker
FEWEST_FRAMES = 8
CHANNELS = 96
HELD = 8  # bytes of a sample: as it was read, and with all others of one length
ALIKE = 0.95  # of the longest clip's length: shorter ones need a decision


class Sounds(Audible):
    """A set of clips of one length."""

    name, one, many, preset = "sounds", "clip", "clips", "sounds"
    figures = ("voices", "voiced")

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """(N, C, T) of (N, T) or itself."""
        if values.ndim == 2:
            return values[:, None]
        return values if values.ndim == 3 else None

    def reads(self, path: Path) -> bool:
        """Folders and zips that hold more sounds than pictures, and sound files."""
        return path.suffix.lower() in sounds.SUFFIXES or mostly(path, sounds.SUFFIXES, SUFFIXES)

    def read(self, path: Path, request: Request) -> Raw:
        """See `Kind.read`."""
        where = quoted(path)
        refuse_masks(request, where)
        with files_in(path, sounds.SUFFIXES, f"sounds ({', '.join(sounds.SUFFIXES)})") as entries:
            names = unique_names(entries)
            rows = chosen(request.select, request.limit, len(entries), where)
            if len(rows) == 1 and request.kind in ("auto", Sound.name, Sound.other):
                return Sound().one_of(entries[rows[0]], names[rows[0]], request)
            if request.kind not in ("auto", self.name):
                raise UserError(
                    f"{where} holds {len(rows)} sounds, no {request.kind}; choose one with "
                    f"data.select=0, or set data.kind={self.name}"
                )
            files = one_by_one([entries[row] for row in rows], "sounds", request.say)
            heard, rates = list[Recording](), set[int]()
            for file in files:
                one = sounds.decode(file.read(), file.where)
                rates.add(one.rate)
                heard.append(_at(one, request.rate or slower(one.rate)))
                check_memory(len(rows), heard[0].values.shape, HELD, where)
        values, note, rate = _stacked(heard, request, where)
        subtypes = {h.subtype for h in heard}
        about = {
            "rate": rate,
            "file_rate": rates.pop() if len(rates) == 1 else rate,
            "subtype": subtypes.pop() if len(subtypes) == 1 else "PCM_16",
        }
        return Raw(self.name, values, None, [names[row] for row in rows], note=note, about=about)

    def stacked(
        self,
        arranged: np.ndarray,
        rows: np.ndarray,
        where: str,
        request: Request,
        mask: Mask | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """See `Kind.stacked`; brought to the length that was asked for."""
        values, veil = super().stacked(arranged, rows, where, request, mask)
        if request.seconds is None or request.rate is None:
            return values, veil
        return _lasting(values, round(request.seconds * request.rate)), veil

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """See `Kind.choices`."""
        chosen = super().choices(asked, seen)
        return chosen | {
            "data.window": window_of(seen, FEWEST_FRAMES, "these clips have", "longer ones"),
            "model.channels": asked["model.channels"] or CHANNELS,
        }

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """A folder of WAV."""
        return ""

    def colour(self, signals: Signals, asked: Asked) -> Colour | None:
        """See `Kind.colour`."""
        return coloured(signals, asked, WINDOW)


def _stacked(
    heard: Sequence[Recording], request: Request, where: str
) -> tuple[np.ndarray, str, int]:
    """Clips of one rate, length and number of channels, (N, C, T); what was done; the rate."""
    rate = min(h.rate for h in heard)
    seconds = [h.values.shape[1] / h.rate for h in heard]
    length = max(1, round(_length(seconds, request, where) * rate))
    few = min(len(h.values) for h in heard)
    mono = any(len(h.values) != few for h in heard)
    shape = (1 if mono else few, length)
    check_memory(len(heard), shape, HELD, where)
    values = np.empty((len(heard), *shape), np.float32)
    for i, one in enumerate(heard):
        sound = _at(one, rate).values
        values[i] = _lasting(sound.mean(0, keepdims=True) if mono else sound, length)
    if np.abs(values).max() < QUIET:
        raise UserError(f"{where} holds nothing but silence; give sounds that can be heard")
    told = [h.note for h in heard if h.note][:1]
    told += ["some clips have one channel, some more: all became one"] * mono
    return values, "; ".join(told), rate


def _at(sound: Recording, rate: int) -> Recording:
    return replace(sound, values=sounds.resampled(sound.values, sound.rate, rate), rate=rate)


def _lasting(x: np.ndarray, length: int) -> np.ndarray:
    """Sounds (..., T) cut at the end, or followed by silence."""
    missing = max(0, length - x.shape[-1])
    return np.pad(x[..., :length], [(0, 0)] * (x.ndim - 1) + [(0, missing)])


def _length(seconds: Sequence[float], request: Request, where: str) -> float:
    """How long each shall be."""
    if request.seconds is not None:
        return request.seconds
    short, long = min(seconds), max(seconds)
    if short < ALIKE * long:
        raise UserError(
            f"{where}: clips last from {short:.2f} to {long:.2f} s; give all one length: "
            f"--set data.seconds={statistics.median(seconds):.3g}"
        )
    return short
