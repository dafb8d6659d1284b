"""Encoded sounds as numbers and back, any rate, depth and number of channels; written in blocks."""

from __future__ import annotations

import io
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abprop.errors import UserError
from abprop.files.limits import check_memory, quoted, reason
from abprop.files.write import replacing
from abprop.say import plain

SUFFIXES = (".aif", ".aiff", ".flac", ".mp3", ".ogg", ".wav")
FLOATS = ("FLOAT", "DOUBLE")
HEADER = 4096  # bytes in which a PEAK chunk is
COPIES = 4  # of a sound while it is decoded and resampled
MPEG = (8000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)  # what MP3 knows
FASTEST = 500_000  # samples a second that are believed: a resampling filter is as long
CONTEXT = 20  # samples on each side that SciPy's resampling filter looks at, at the lower rate


@dataclass(frozen=True)
class Recording:
    """A decoded sound.

    Attributes:
        values: float32 (C, T); full scale is [-1, 1].
        rate: samples a second.
        subtype: how a number is stored, in soundfile's words ("PCM_16", "FLOAT", ...).
        note: what was odd, in a sentence, or "".
    """

    values: np.ndarray
    rate: int
    subtype: str
    note: str = ""


class _Bytes(io.BytesIO):
    """Bytes before which there is nothing: where a header says so, soundfile prints a traceback."""

    def seek(self, at: int, whence: int = io.SEEK_SET) -> int:
        try:
            return super().seek(at, whence)
        except ValueError:
            return super().seek(0)


def decode(data: bytes, where: str) -> Recording:
    """Decode a sound.

    Args:
        data: the encoded file.
        where: its name for messages, quoted.

    Raises:
        UserError: it is empty, no sound, too large, or holds what is not a number.
    """
    import soundfile

    if not data:
        raise UserError(f"{where} is empty; replace or remove it")
    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            if not 0 < file.samplerate <= FASTEST:
                raise UserError(
                    f"{where} tells of {file.samplerate:,} samples a second, not of 1 to "
                    f"{FASTEST:,}; mend its header"
                )
            check_memory(1, (file.channels, file.frames), 4 * COPIES, where)
            told, rate, subtype = file.frames, file.samplerate, file.subtype
            values = file.read(dtype="float32", always_2d=True)
    except UserError:
        raise
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise UserError(
            f"{where} cannot be decoded as a sound ({_why(error)}); replace or remove it"
        ) from error
    if not values.size:
        raise UserError(f"{where} holds no samples; replace or remove it")
    if not np.isfinite(values).all():
        at = int(np.argmax(~np.isfinite(values).all(1)))
        raise UserError(
            f"{where}: sample {at} ({at / rate:.3f} s) is not a number; a sound must be complete: "
            "cut it there"
        )
    note = "" if len(values) == told else f"{where} ends after {len(values) / rate:.2f} s: damaged"
    return Recording(np.ascontiguousarray(values.T), rate, subtype, note)


def _why(error: Exception) -> str:
    # soundfile names a memory address beside libsndfile's own words.
    return plain(getattr(error, "error_string", "")) or reason(error)


def resampled(values: np.ndarray, rate: int, wanted: int) -> np.ndarray:
    """A sound (C, T) at another rate, float32."""
    from scipy.signal import resample_poly

    if rate == wanted:
        return values
    common = math.gcd(rate, wanted)
    return resample_poly(values, wanted // common, rate // common, axis=1).astype(np.float32)


def in_blocks(blocks: Iterable[np.ndarray], rate: int, wanted: int) -> Iterable[np.ndarray]:
    """The same for a sound that comes in blocks (C, t), block by block, with the same result."""
    if rate == wanted:
        yield from blocks
        return
    common = math.gcd(rate, wanted)
    up, down = wanted // common, rate // common
    # A whole number of the output's steps, and enough of them for the filter's reach.
    context = down * -(-CONTEXT * max(up, down) // (up * down))
    held: np.ndarray | None = None
    before = 0  # samples of what is held that are done already
    for block in blocks:
        held = block if held is None else np.concatenate((held, block), 1)
        done = (held.shape[1] - before - context) // down * down
        if done <= 0:
            continue
        made = resampled(held, rate, wanted)
        yield made[:, before * up // down : (before + done) * up // down]
        keep = min(context, before + done)
        held, before = held[:, before + done - keep :], keep
    if held is not None:
        yield resampled(held, rate, wanted)[:, before * up // down :]


def save_sound(blocks: Iterable[np.ndarray], path: Path, rate: int, subtype: str) -> Path:
    """Write a sound as it comes, whole or not at all; returns its path.

    Args:
        blocks: float (C, t) each; beyond [-1, 1] is clipped, where numbers are no floats.
        path: .wav, .flac, .ogg, .mp3, .aif; its folder is made.
        rate: samples a second; MP3 is written at the next one that it knows.
        subtype: as in `Recording`, where the format has it.

    Raises:
        UserError: a format that is not written or cannot hold this, or the disk refuses.
    """
    import soundfile

    suffix = path.suffix.lower()
    form = {".aif": "AIFF", ".aiff": "AIFF"}.get(suffix, suffix[1:].upper())
    if suffix not in SUFFIXES:
        raise UserError(f"{quoted(path)}: {suffix} is not written; use {', '.join(SUFFIXES)}")
    known = _known(form, rate)
    held = soundfile.check_format(form, subtype)
    kept = subtype if held else soundfile.default_subtype(form) or subtype
    with replacing(path, RuntimeError, TypeError) as temporary:
        _write(in_blocks(blocks, rate, known), temporary, known, kept, form)
    return path


def _known(form: str, rate: int) -> int:
    """The lowest rate of a format that loses nothing, or its highest."""
    return min((r for r in MPEG if r >= rate), default=MPEG[-1]) if form == "MP3" else rate


def _write(blocks: Iterable[np.ndarray], path: Path, rate: int, subtype: str, form: str) -> None:
    import soundfile

    file = None
    try:
        for block in blocks:
            if file is None:
                file = soundfile.SoundFile(path, "w", rate, len(block), subtype, format=form)
            file.write((block if subtype in FLOATS else np.clip(block, -1, 1)).T)
    finally:
        if file is not None:
            file.close()
    if subtype in FLOATS:
        _without_time(path)


def _without_time(path: Path) -> None:
    """The same sound shall be the same bytes: libsndfile writes the time into a PEAK chunk."""
    with path.open("r+b") as file:
        at = file.read(HEADER).find(b"PEAK")
        if at >= 0:
            file.seek(at + 12)  # after its name, its length and its version
            file.write(bytes(4))
