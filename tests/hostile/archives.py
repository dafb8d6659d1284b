"""Zips that climb, bite their own tail, overlap, lie or are locked; folders do so in their test."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Iterator
from io import BytesIO

from hostile import whole

NAMES = ("../x.png", "../../../../tmp/x.png", "/etc/x.png", "C:\\x.png", "\\\\host\\x.png",
    "a/../../x.png", "a\0b.png", "\x1b[2J.png", "\u202egnp.png", "new\nline.png",
    "." * 250 + ".png", "a/" * 5000 + "x.png", "<img src=x onerror=alert(1)>.png", "con.png",
    " .png", "-rf.png", "x.png/", "$(id).png", "%s%n.png", "\"&'<.png")  # fmt: skip


def archives() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    fine = whole.picture("PNG")
    for i, name in enumerate(NAMES):
        yield f"name-{i}.zip", whole.zipped({name: fine})
    yield from _bombs(fine)
    yield from _lies(fine)
    for i, method in enumerate((zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)):
        packed = whole.zipped({"x.png": fine}, method)
        yield f"method-{i}.zip", packed
        yield f"method-{i}-spoilt.zip", packed[:40] + b"\xff" * 20 + packed[60:]


def _bombs(fine: bytes) -> Iterator[tuple[str, bytes]]:
    zeros = whole.zipped({"x.png": bytes(105 << 20)})
    yield "bomb.zip", zeros
    yield "bomb-bzip2.zip", whole.zipped({"x.png": bytes(105 << 20)}, zipfile.ZIP_BZIP2)
    yield "sound-bomb.zip", zeros.replace(b"x.png", b"x.wav")
    nested = fine
    for _ in range(50):
        nested = whole.zipped({"x.zip": nested})
    yield "nested.zip", nested
    yield "itself.zip", whole.zipped({"x.png": whole.zip_of_pictures()})
    yield "many.zip", whole.zipped({f"{i}.txt": b"" for i in range(20_000)})
    yield "many-pictures.zip", whole.zipped({f"{i}.png": b"" for i in range(20_000)})
    yield "sounds-and-pictures.zip", whole.zipped({"a.wav": whole.sound("WAV"), "a.png": fine})
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr(zipfile.ZipInfo("folder.png/"), "")
    yield "link.zip", file.getvalue()
    yield "twice.zip", _twice(fine)


def _twice(fine: bytes) -> bytes:
    """Two members of one name."""
    one = whole.zipped({"x.png": fine, "y.png": fine})
    return one.replace(b"y.png", b"x.png")


def _lies(fine: bytes) -> Iterator[tuple[str, bytes]]:
    """The central directory's fields, one after another, and those of the end."""
    data = whole.zipped({"x.png": fine, "y.png": fine})
    at, end = data.index(b"PK\x01\x02"), data.rindex(b"PK\x05\x06")
    fields = {"flags": (8, 2), "method": (10, 2), "crc": (16, 4), "packed": (20, 4), "size": (24,
        4), "name": (28, 2), "extra": (30, 2), "comment": (32, 2), "disk": (34, 2), "offset": (42,
        4)}  # fmt: skip
    for name, (place, width) in fields.items():
        for value in (b"\0", b"\x01", b"\x7f", b"\xff"):
            spoilt = data[: at + place] + value * width + data[at + place + width :]
            yield f"{name}-{value.hex()}.zip", spoilt
    for name, (place, width) in {
        "count": (10, 2),
        "length": (12, 4),
        "begin": (16, 4),
        "words": (20, 2),
    }.items():
        for value in (b"\0", b"\xff"):
            yield (
                f"end-{name}-{value.hex()}.zip",
                data[: end + place] + value * width + data[end + place + width :],
            )
    second = data.index(b"PK\x01\x02", at + 4)
    yield "overlap.zip", data[: second + 42] + struct.pack("<I", 0) + data[second + 46 :]
    yield "zip64.zip", _zip64(data, at, end)
    yield "no-end.zip", data[:end]
    yield "only-end.zip", data[end:]
    yield "comment.zip", data[:-2] + b"\xff\xff" + b"x" * 65_535


def _zip64(data: bytes, at: int, end: int) -> bytes:
    """Records of 64 bits that tell of 2^62 bytes and members."""
    most = 2**62
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, most, most, most, at)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    return data[:end] + record + locator + data[end : end + 8] + b"\xff" * 12 + data[end + 20 :]
