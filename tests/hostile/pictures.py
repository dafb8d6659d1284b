"""Pictures that claim what they are not: sizes, counts, chains without end, much in little."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator

from PIL import Image

from hostile import whole

HUGE = 2**31 - 1
# Entries of a TIFF that are not what they should be: (type, count, value).
WRONG = {
    "wide": {"width": (4, 1, HUGE), "height": (4, 1, HUGE)}, "long": {"height": (4, 1, HUGE)},
    "nothing": {"width": (4, 1, 0)}, "large": {"width": (4, 1, 9000), "height": (4, 1, 9000)},
    "strip": {"bytes": (4, 1, HUGE)},
    "strips": {"strips": (4, HUGE, 1000), "bytes": (4, HUGE, 1000)},
    "away": {"strips": (4, 1, HUGE)}, "bits": {"bits": (3, 1, 60_000)},
    "no-bits": {"bits": (3, 1, 0)}, "samples": {"samples": (3, 1, 60_000)},
    "rows": {"rows": (4, 1, HUGE)}, "no-rows": {"rows": (4, 1, 0)},
    "lzw": {"packing": (3, 1, 5)}, "deflate": {"packing": (3, 1, 8)},
    "jpeg": {"packing": (3, 1, 7)}, "unheard-of": {"packing": (3, 1, 4711)},
    "colours": {"photometric": (3, 1, 3)}, "type": {"width": (99, 1, 16)},
    "text": {"width": (2, 16, 1000)}, "fraction": {"width": (5, 1, 1000)},
}  # fmt: skip


def pictures() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    for made in (pngs, gifs, bmps, tiffs, netpbms, others):
        yield from made()


def chunk(kind: bytes, data: bytes, length: int | None = None, crc: int | None = None) -> bytes:
    """One of a PNG's, its length and checksum right unless told."""
    told = zlib.crc32(kind + data) if crc is None else crc
    return (
        struct.pack(">I", len(data) if length is None else length)
        + kind
        + data
        + struct.pack(">I", told)
    )


def png(
    width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, interlace: int = 0
) -> bytes:
    """A PNG of whatever is given."""
    header = struct.pack(
        ">IIBBBBB", width & 0xFFFFFFFF, height & 0xFFFFFFFF, depth, colour, 0, 0, interlace
    )
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunks) + chunk(b"IEND", b"")


def pngs() -> Iterator[tuple[str, bytes]]:
    """Sizes, depths, texts that unpack to much, chunks of any length."""
    bomb = zlib.compress(bytes(64 << 20), 9)
    data = chunk(b"IDAT", zlib.compress(bytes(49 * 16)))
    for side in (0, 1, 30_000, 65_535, 2**31 - 1, 2**31, 2**32 - 1):
        yield f"side-{side}.png", png(side, side, data)
        yield f"wide-{side}.png", png(side, 1, data)
    for depth, colour in (
        (0, 0),
        (3, 2),
        (16, 3),
        (255, 2),
        (16, 2),
        (16, 6),
        (16, 4),
        (1, 6),
        (8, 7),
    ):
        yield f"depth-{depth}-{colour}.png", png(16, 16, data, depth=depth, colour=colour)
    yield "interlace.png", png(16, 16, data, interlace=9)
    yield (
        "large-and-black.png",
        png(9000, 9000, chunk(b"IDAT", zlib.compress(bytes(27001 * 9000), 1))),
    )
    yield "too-much.png", png(16, 16, chunk(b"IDAT", bomb))
    yield "text-bomb.png", png(16, 16, *[chunk(b"zTXt", b"a\0\0" + bomb)] * 4, data)
    yield "profile-bomb.png", png(16, 16, chunk(b"iCCP", b"a\0\0" + bomb), data)
    yield "exif.png", png(16, 16, chunk(b"eXIf", b"II*\0" + b"\xff" * 40), data)
    yield "length.png", png(16, 16, chunk(b"IDAT", b"1234", length=HUGE))
    yield "negative.png", png(16, 16, chunk(b"tEXt", b"1234", length=2**32 - 1), data)
    yield "checksum.png", png(16, 16, chunk(b"IDAT", b"1234", crc=1))
    yield "no-data.png", png(16, 16)
    yield "many-chunks.png", png(16, 16, *[chunk(b"tEXt", b"a\0b")] * 50_000, data)
    yield "frames.png", png(16, 16, chunk(b"acTL", struct.pack(">II", HUGE, 0)), data)


def gif(width: int, height: int, *blocks: bytes) -> bytes:
    """A GIF of whatever is given."""
    return (
        b"GIF89a"
        + struct.pack("<HHBBB", width, height, 0x80, 0, 0)
        + bytes(6)
        + b"".join(blocks)
        + b";"
    )


def gif_frame(width: int, height: int, data: bytes = b"\x02\x02\x44\x01\x00") -> bytes:
    """A frame, of one pixel if nothing else is given."""
    return b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + data


def gifs() -> Iterator[tuple[str, bytes]]:
    """Sizes, frames larger than the whole, very many frames."""
    for side in (0, 1, 20_000, 65_535):
        yield f"canvas-{side}.gif", gif(side, side, gif_frame(1, 1))
        yield f"frame-{side}.gif", gif(16, 16, gif_frame(side, side))
    yield "nothing.gif", gif(16, 16)
    yield "large.gif", gif(9000, 9000, *[gif_frame(1, 1)] * 9)
    yield "many.gif", gif(8, 8, *[gif_frame(1, 1)] * 5000)
    yield "code-size.gif", gif(8, 8, gif_frame(8, 8, b"\xff\x02\x44\x01\x00"))
    yield "unended.gif", gif(8, 8, gif_frame(8, 8, b"\x02\xff" + bytes(255)))
    yield "comments.gif", gif(8, 8, *[b"!\xfe\xff" + b"x" * 255 + b"\0"] * 5000, gif_frame(1, 1))


def bmps() -> Iterator[tuple[str, bytes]]:
    """Sizes, depths, places outside."""
    for width, height, bits, at in (
        (HUGE, HUGE, 24, 54), (16, -HUGE, 24, 54), (-16, 16, 24, 54), (9000, 9000, 24, 54),
        (16, 16, 255, 54), (16, 16, 24, HUGE), (16, 16, 8, 54), (0, 0, 1, 54), (60_000, 1, 1, 54),
    ):  # fmt: skip
        head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, 0, 0, 0, 0, HUGE, 0)
        data = b"BM" + struct.pack("<IHHI", 10_000, 0, 0, at) + head + bytes(1000)
        yield f"of-{width}-{height}-{bits}-{at}.bmp", data
        rle = data[:30] + struct.pack("<I", 1) + data[34:]
        yield f"rle-{width}-{height}-{bits}-{at}.bmp", rle


def directory(entries: list[tuple[int, int, int, int]], following: int = 0) -> bytes:
    """One of a TIFF's: (tag, type, count, value)."""
    told = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<H", len(entries)) + told + struct.pack("<I", following)


def grey(**changed: tuple[int, int, int]) -> list[tuple[int, int, int, int]]:
    """The entries of 16x16 pixels of 16 bits at 1000, some of them changed."""
    tags = {
        "width": (256, 4, 1, 16), "height": (257, 4, 1, 16), "bits": (258, 3, 1, 16),
        "packing": (259, 3, 1, 1), "photometric": (262, 3, 1, 1), "strips": (273, 4, 1, 1000),
        "samples": (277, 3, 1, 1), "rows": (278, 4, 1, 16), "bytes": (279, 4, 1, 512),
    }  # fmt: skip
    return [(tag, *changed.get(name, rest)) for name, (tag, *rest) in tags.items()]  # type: ignore[misc]


def tiffs() -> Iterator[tuple[str, bytes]]:
    """Strips of any size, directories in a circle, very many of them, values that are no sizes."""

    def tiff(
        entries: list[tuple[int, int, int, int]], following: int = 0, end: int = 2000
    ) -> bytes:
        data = b"II*\0" + struct.pack("<I", 8) + directory(entries, following)
        return data + bytes(max(0, end - len(data)))

    for name, changed in WRONG.items():
        for bits in (8, 16):
            bit = {} if "bits" in changed else {"bits": (3, 1, bits)}
            yield f"{name}-{bits}.tif", tiff(grey(**{**bit, **changed}))
    yield "circle.tif", tiff(grey(), following=8)
    yield "next-outside.tif", tiff(grey(), following=HUGE)
    long, rest = 2 + 12 * 9 + 4, b""
    for i in range(20_000):
        rest += directory(grey(), 8 + (i + 1) * long)
    yield "many-directories.tif", b"II*\0" + struct.pack("<I", 8) + rest
    yield "many-tags.tif", tiff([(i, 4, HUGE, 1000) for i in range(256, 5000)])
    yield "no-tags.tif", tiff([])
    yield "big.tif", b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, 2**62)
    yield "outside.tif", b"MM\0*" + b"\xff" * 8


def netpbms() -> Iterator[tuple[str, bytes]]:
    """Numbers of any length, as a header or as pixels."""
    for name, head in { "huge": "P6 99999999 99999999 255\n",
        "digits": "P5 " + "9" * 5000 + " 1 255\n", "negative": "P5 -3 -3 255\n",
        "most": "P5 4 4 99999\n", "none": "P5 4 4 0\n", "large": "P6 9000 9000 255\n",
        "text": "P3 9000 9000 255\n" + "1 " * 3000, "words": "P2 4 4 255\none two",
        "comment": "P5 #" + "x" * 100_000, "bits": "P1 9 9\n" + "2" * 99,
        "floats": "Pf 4 4 -1.0\n", "anything": "P7\nWIDTH 4\n", }.items():  # fmt: skip
        yield f"{name}.ppm", head.encode() + bytes(64)


def others() -> Iterator[tuple[str, bytes]]:
    """JPEG, WebP and JPEG 2000 with other sizes in their headers, JPEGs without an end of scans."""
    jpeg = whole.picture("JPEG")
    at = jpeg.index(b"\xff\xc0") + 5
    for height, width in ((65_535, 65_535), (0, 0), (16, 65_535), (9000, 9000)):
        yield (
            f"of-{height}-{width}.jpg",
            jpeg[:at] + struct.pack(">HH", height, width) + jpeg[at + 4 :],
        )
    file = io.BytesIO()
    Image.fromarray(whole.pixels(16, 16, 3)).save(file, "JPEG", progressive=True)
    slow = file.getvalue()
    scan = slow[slow.rindex(b"\xff\xda") : -2]
    yield "scans.jpg", slow[:-2] + scan * 3000 + slow[-2:]
    yield (
        "exif.jpg",
        jpeg[:2] + b"\xff\xe1\x00\x40Exif\0\0II*\0\x08\0\0\0" + b"\xff" * 48 + jpeg[2:],
    )
    yield "markers.jpg", b"\xff\xd8" + b"\xff\xe0\x00\x02" * 50_000 + jpeg[2:]
    webp = whole.picture("WEBP")
    for at in (4, 16, 26):
        yield f"size-{at}.webp", webp[:at] + b"\xff\xff\xff\x7f" + webp[at + 4 :]
    wide = whole.picture("JPEG2000")
    at = wide.index(b"\xff\x51") + 6
    for side in (HUGE, 9000, 0):
        yield f"side-{side}.jp2", wide[:at] + struct.pack(">II", side, side) + wide[at + 8 :]
    tiles = wide[: at + 16] + struct.pack(">II", 1, 1) + wide[at + 24 :]
    yield "tiles.jp2", tiles
    yield (
        "svg.png",
        b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    )
    yield "psd.png", b"8BPS\0\1" + bytes(100)
    yield "eps.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(/etc/passwd) (r) file\n"
