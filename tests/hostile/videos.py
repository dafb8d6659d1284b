"""Videos that claim what they are not: tables, clocks, sizes, boxes within boxes, playlists."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hostile import whole

HUGE = 2**31 - 1


def videos() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    for made in (boxes, riffs, ebml):
        yield from made()


def _patched(data: bytes, mark: bytes, after: int, new: bytes) -> bytes:
    at = data.index(mark) + after
    return data[:at] + new + data[at + len(new) :]


def boxes() -> Iterator[tuple[str, bytes]]:
    """MP4 and QuickTime: tables of any length, clocks that stand still, boxes within themselves."""
    data = whole.video("mp4")
    most = b"\xff\xff\xff\xff"
    for mark in (b"stsz", b"stts", b"stsc", b"stco", b"stsd"):
        yield f"{mark.decode()}.mp4", _patched(data, mark, 8, most)
        yield f"{mark.decode()}-none.mp4", _patched(data, mark, 8, bytes(4))
    yield "size-of-all.mp4", _patched(data, b"stsz", 8, struct.pack(">I", HUGE))
    yield "clock.mp4", _patched(data, b"mdhd", 16, bytes(4))
    yield "fast.mp4", _patched(data, b"mdhd", 16, most)
    yield "long.mp4", _patched(data, b"mvhd", 20, most)
    yield "wide.mp4", _patched(data, b"avc1", 28, b"\xff\xff\xff\xff")
    yield "codec.mp4", _patched(data, b"avc1", 0, b"xxxx")
    yield "no-size.mp4", _patched(data, b"moov", -4, bytes(4))
    yield "deep.mp4", b"".join(struct.pack(">I", 8 * (5000 - i)) + b"moov" for i in range(5000))
    yield "reference.mov", data.replace(b"url ", b"alis", 1)
    yield "playlist.mp4", b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    yield "concat.mp4", b"ffconcat version 1.0\nfile /etc/passwd\n"
    yield "manifest.mp4", b'<?xml version="1.0"?><MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>'


def riffs() -> Iterator[tuple[str, bytes]]:
    """AVI: sizes, rates, an index that goes on."""
    data = whole.video("avi")
    most = b"\xff\xff\xff\x7f"
    for after in (8, 24, 40, 44):  # of avih: microseconds a frame, frames, width, height
        yield f"avih-{after}.avi", _patched(data, b"avih", after, most)
    for after in (28, 32, 40):  # of strh: scale, rate, length
        yield f"strh-{after}.avi", _patched(data, b"strh", after, most)
        yield f"strh-{after}-none.avi", _patched(data, b"strh", after, bytes(4))
    yield "strf-width.avi", _patched(data, b"strf", 12, most)
    yield "strf-bits.avi", _patched(data, b"strf", 22, b"\xff\xff")
    yield "index.avi", _patched(data, b"idx1", 4, most)
    yield "list.avi", _patched(data, b"LIST", 4, most)
    yield "movi.avi", data[: data.index(b"movi") + 4] + b"00dc\xff\xff\xff\xff" * 5000


def ebml() -> Iterator[tuple[str, bytes]]:
    """Matroska and WebM: widths, lengths that are unknown, elements within themselves."""
    data = whole.video("webm")
    tracks = data.index(b"\x16\x54\xae\x6b")
    at = data.index(b"\xb0", tracks)  # PixelWidth
    yield "wide.webm", data[: at + 2] + b"\xff" + data[at + 3 :]
    clock = data.index(b"\x2a\xd7\xb1")
    yield "clock.webm", data[: clock + 4] + b"\0\0\0" + data[clock + 7 :]
    cluster = data.index(b"\x1f\x43\xb6\x75")
    yield "unknown-length.webm", data[: cluster + 4] + b"\x01" + b"\xff" * 7 + data[cluster + 5 :]
    yield "clusters.mkv", data[:cluster] + b"\x1f\x43\xb6\x75\x80" * 20_000
    yield "nested.mkv", data[:4] + b"\x1a\x45\xdf\xa3\xff" * 5000
    yield "void.mkv", data[:cluster] + b"\xec\x01" + b"\xff" * 6 + b"\xfe" + data[cluster:]
    yield "long.mkv", data[:4] + b"\x01\x7f" + b"\xff" * 6 + data[5:]
