"""Sounds that claim what they are not: lengths, rates, channels, formats, numbers that are none."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np

from hostile import whole

HUGE = 2**31 - 1


def sounds() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    yield from waves()
    yield from others()


def wave(
    channels: int = 1, rate: int = 16_000, bits: int = 16, form: int = 1,
    length: int | None = None, data: bytes = bytes(640), before: bytes = b"",
) -> bytes:  # fmt: skip
    """A WAV of whatever is given."""
    told = struct.pack("<HHIIHH", form, channels, rate, rate * 2 & 0xFFFFFFFF, 2, bits)
    head = b"fmt " + struct.pack("<I", 16) + told + before + b"data"
    size = struct.pack("<I", len(data) if length is None else length)
    return b"RIFF" + struct.pack("<I", len(head) + len(data) + 8) + b"WAVE" + head + size + data


def waves() -> Iterator[tuple[str, bytes]]:
    """Lengths, rates, channels, formats that are none; numbers that are none."""
    for length in (0, 1, HUGE, 2**31, 2**32 - 1):
        yield f"length-{length}.wav", wave(length=length)
    for rate in (0, 1, 2**31, 2**32 - 1):
        yield f"rate-{rate}.wav", wave(rate=rate)
    for channels in (0, 1024, 65_535):
        yield f"channels-{channels}.wav", wave(channels=channels)
    for bits in (0, 1, 7, 64, 65_535):
        yield f"bits-{bits}.wav", wave(bits=bits)
    for form in (0, 2, 3, 6, 17, 49, 0xFFFE, 0xFFFF):
        yield f"form-{form}.wav", wave(form=form)
    yield "nan.wav", wave(form=3, bits=32, data=np.full(160, np.nan, np.float32).tobytes())
    yield "infinite.wav", wave(form=3, bits=32, data=np.full(160, np.inf, np.float32).tobytes())
    yield "silence.wav", wave()
    yield "chunk.wav", wave(before=b"LIST" + struct.pack("<I", 2**32 - 1))
    yield "chunks.wav", wave(before=(b"LIST" + struct.pack("<I", 0)) * 50_000)
    yield "cue.wav", wave(before=b"cue " + struct.pack("<II", 4, HUGE))
    yield (
        "rf64.wav",
        b"RF64"
        + b"\xff" * 4
        + b"WAVEds64"
        + struct.pack("<IQQQI", 28, 2**62, 2**62, 2**62, 0)
        + wave()[12:],
    )


def others() -> Iterator[tuple[str, bytes]]:
    """FLAC that tells of more samples, Ogg pages that go on, MP3 of tags, AIFF of any length."""
    flac = bytearray(whole.sound("FLAC"))
    flac[21:26] = b"\xff" * 5  # 36 bits of samples, the last of the depth
    yield "samples.flac", bytes(flac)
    picture = b"\x06" + (2**24 - 1).to_bytes(3, "big")
    yield "block.flac", bytes(flac[:42]) + picture + bytes(flac[42:])
    ogg = whole.sound("OGG")
    at = ogg.rindex(b"OggS") + 6
    yield "position.ogg", ogg[:at] + struct.pack("<q", 2**62) + ogg[at + 8 :]
    yield "backwards.ogg", ogg[:at] + struct.pack("<q", -5) + ogg[at + 8 :]
    yield "segments.ogg", ogg[:26] + b"\xff" + ogg[27:]
    yield "pages.ogg", ogg[:58] * 2000
    mp3 = whole.sound("MP3")
    yield "tag.mp3", b"ID3\x04\0\0\x7f\x7f\x7f\x7f" + mp3
    yield "tags.mp3", (b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)) * 5000 + mp3
    aif = whole.sound("AIFF")
    at = aif.index(b"COMM") + 8
    yield "frames.aif", aif[: at + 2] + b"\xff" * 4 + aif[at + 6 :]
    yield "rate.aif", aif[: at + 8] + b"\x7f\xff" + b"\xff" * 8 + aif[at + 18 :]
    yield "before-the-first.aif", aif[:38] + b"\xff\x80\0\0" + aif[42:]
    yield "channels.aif", aif[:at] + b"\x7f\xff" + aif[at + 2 :]
