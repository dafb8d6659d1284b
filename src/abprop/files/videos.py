"""Encoded videos as numbers and back, frame by frame: a long one is never whole at full size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abprop.errors import UserError
from abprop.files.entries import regular
from abprop.files.limits import BATCH, check_memory, check_pixels, quoted, reason
from abprop.files.pictures import Picture
from abprop.files.write import replacing
from abprop.say import plain

if TYPE_CHECKING:
    import av.container

SUFFIXES = (".avi", ".gif", ".mkv", ".mov", ".mp4", ".webm")
_CODECS = {".avi": "mpeg4", ".gif": "gif", ".webm": "libvpx-vp9"}  # of others, H.264
# The bytes depend on the number of threads, and without +bitexact on FFmpeg's version.
_SAME = {"threads": "1", "flags": "+bitexact"}
_BT601 = {"colorspace": "smpte170m", "color_range": "tv", "chroma_sample_location": "left"}
_OPTIONS = {
    "gif": _SAME,
    "mpeg4": {**_SAME, "qmin": "2", "qmax": "2"},  # of 1 to 31
    "libx264": {**_SAME, **_BT601, "crf": "17"},
    "libvpx-vp9": {**_SAME, **_BT601, "crf": "24", "b": "0", "deadline": "good", "cpu-used": "4"},
}
# In frames of one block of 16 by 16 pixels x264's macroblock tree reads what nobody wrote: on one
# processor 1 in 100 such videos had other bytes (0 of 300 without it). Two blocks: to be safe.
_TREE = 32  # pixels, at most, of a side for which there is no such tree
RATE = 25.0  # frames a second, where a file does not tell
FASTEST = 1000.0  # frames a second that are believed
COPIES = 2  # of a video while it is read: its frames, then the array of them
_JITTER = 0.1  # of a frame's time that its timestamp may be off and count as even
_TICKS = 65_535  # in a second or a frame, at most, of MPEG-4's clock
_GIF_RATE = 50.0  # browsers slow down what has a delay under 2/100 s
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders drop it
# FFmpeg guesses the format from the bytes, and some of its formats open other files.
_READ = {"format_whitelist": "avi,gif,matroska,mov", "protocol_whitelist": "file"}
# FFmpeg's flags: bicubic, colours at full width both ways, exact; its default is fast and poor.
_FINE = 0x4 | 0x2000 | 0x4000 | 0x40000 | 0x80000
# Players take the colours of two columns to be the left one's, FFmpeg puts them in between.
_SCALE = f"out_color_matrix=bt601:out_range=tv:out_h_chr_pos=0:out_v_chr_pos=128:flags={_FINE}"
# Black is 16 and white 235 in most videos; of grey ones FFmpeg leaves it so.
_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Film:
    """A decoded video.

    Attributes:
        values: uint8 (T, C, H, W); C is 1 if the file holds grey, else 3.
        hidden: bool (T, 1, H, W), True where alpha is 0; or None if nothing is.
        rate: frames a second.
        note: what was odd, in a sentence, or "".
    """

    values: np.ndarray
    hidden: np.ndarray | None
    rate: float
    note: str = ""


def read_frames(path: Path, where: str, shaped: Callable[[Picture, str], Picture]) -> Film:
    """Read a video, every frame brought to the wanted size as soon as it is decoded.

    Rotation is applied. Alpha 0 is hidden, other alpha is dropped. More than 8 bits become 8.

    Args:
        path: of the encoded file.
        where: its name for messages, quoted.
        shaped: gives a frame, with its name for messages, at the wanted size.

    Raises:
        UserError: it is empty, no video, too large, holds no frames, or changes its size.
    """
    import av

    size = regular(path).stat().st_size
    if not size:
        raise UserError(f"{where} is empty; replace or remove it")
    try:  # "file:", since a colon in a name would be read as a protocol
        container = av.open(f"file:{path}", "r", options=dict(_READ), metadata_errors="replace")
    except Exception as error:  # damaged files make decoders raise nearly anything
        raise _undecodable(where, error) from error
    with container:
        reader = _Reader(container, where)
        values, hidden = _collected(reader, shaped, size)
        rate, odd = _rate(reader.times, reader.stream.average_rate, reader.tick)
        odd = [*reader.oddities(), *([odd] if odd else [])]
    return Film(values, hidden, rate, "; ".join(f"{where} {what}" for what in odd))


def _undecodable(where: str, error: BaseException | None) -> UserError:
    # FFmpeg's words without its number and the path.
    why = plain(getattr(error, "strerror", None) or reason(error)) if error else "no whole frame"
    return UserError(f"{where} cannot be decoded as a video ({why}); replace or remove it")


class _Reader:
    """The pictures of a video up to its end or to where it is damaged, and what was odd."""

    def __init__(self, container: av.container.InputContainer, where: str) -> None:
        from av.stream import Disposition

        cover = Disposition.attached_pic
        streams = [s for s in container.streams.video if not Disposition(s.disposition) & cover]
        if not streams or not streams[0].codec_context:
            what = "only sound" if container.streams.audio else "no video"
            what = "video of an unknown codec" if streams else what
            raise UserError(f"{where} holds {what}; replace or remove it")
        self.container, self.where, self.stream = container, where, streams[0]
        self.tick = float(self.stream.time_base or 0)
        self.times: list[float | None] = []
        self.bits, self.ended = 8, 0.0  # seconds from the clock's zero, sound too
        self.error, self.broken = None, False

    def pictures(self) -> Iterator[Picture]:
        """One after another, at full size."""
        try:
            for frame in self._frames():
                check_pixels(frame.width, frame.height, f"{self.where}, frame {len(self.times)}")
                picture = self._picture(frame)
                self.times.append(None if frame.pts is None else frame.pts * self.tick)
                yield picture
        except UserError:
            raise
        except Exception as error:
            self.error, self.broken = error, True

    def oddities(self) -> Iterator[str]:
        """What was odd once all is read, apart from times."""
        told = ((self.container.start_time or 0) + (self.container.duration or 0)) / 1e6
        if self.container.format.name == "avi":  # its duration is what is there
            told = max(told, self.stream.frames / float(self.stream.average_rate or FASTEST))
        gaps = np.diff([time for time in self.times if time is not None])
        if self.broken or self.ended + max(gaps.max(initial=0) / 2, 2 * self.tick) < told:
            yield f"ends after {len(self.times)} frames: damaged"
        if self.bits > 8:
            yield f"has {self.bits} bits a channel: converted to 8"

    def _frames(self) -> Iterator[av.VideoFrame]:
        import av

        decoder: Any = self.stream.codec_context
        if self.stream.metadata.get("alpha_mode") == "1" and decoder.name in _WITH_ALPHA:
            decoder = av.VideoCodecContext.create(_WITH_ALPHA[decoder.name], "r")
        packets = self._packets()
        while True:
            try:
                for packet in packets:
                    yield from decoder.decode(packet)
                break
            except av.FFmpegError as error:
                self.error = error
                if self.times:
                    break  # else a video cut out of a longer one starts with what needs the rest
        with suppress(av.FFmpegError):  # frames before a damage that wait for their turn
            yield from decoder.decode(None)

    def _packets(self) -> Iterator[av.Packet]:
        """What is whole of the video; how far sound and video go is noted."""
        self.broken = True  # unless all comes to its end
        gif, end = self.container.format.name == "gif", b";"
        for packet in self.container.demux([self.stream, *self.container.streams.audio]):
            if packet.pts is not None and packet.time_base:
                until = (packet.pts + (packet.duration or 0)) * packet.time_base
                self.ended = max(self.ended, float(until))
            if packet.stream.index != self.stream.index:
                continue
            whole = not packet.is_corrupt
            if gif and packet.size:  # FFmpeg fills up what is missing and says nothing
                data = bytes(packet)
                end = data.rstrip(b"\0\r\n ")
                whole = data.endswith(b"\0") or end.endswith(b"\0;")
            if not whole:
                break
            yield packet
        else:
            whole = end.endswith(b";")
        self.broken = not whole

    def _picture(self, frame: av.VideoFrame) -> Picture:
        parts, palette = frame.format.components, frame.format.has_palette
        alpha = palette or any(part.is_alpha for part in parts)
        grey = sum(not part.is_alpha for part in parts) == 1 and not palette
        self.bits = max(self.bits, *(part.bits for part in parts))
        form = "rgba" if alpha else "gray" if grey else "rgb24"
        pixels: np.ndarray = frame.reformat(format=form, interpolation=_FINE).to_ndarray()
        pixels = pixels.reshape(frame.height, frame.width, -1)
        pixels = np.moveaxis(np.rot90(pixels, round(frame.rotation / 90)), -1, 0)
        values = pixels[: 1 if grey else 3]
        if grey and frame.color_range == 1:
            values = _FULL[values]
        hidden = pixels[3:] == 0
        return Picture(values * ~hidden, hidden) if hidden.any() else Picture(values)


def _collected(
    reader: _Reader, shaped: Callable[[Picture, str], Picture], size: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """The frames (T, C, H, W) and what of them is hidden; refused before memory is full."""
    values, hidden, first, where = [], {}, None, reader.where
    for i, full in enumerate(reader.pictures()):
        first = first or full.values.shape
        if full.values.shape != first:
            old, new = ("x".join(map(str, shape)) for shape in (first, full.values.shape))
            raise UserError(f"{where} changes from {old} to {new} at frame {i}; cut it there")
        picture = shaped(full, f"{where}, frame {i}")
        channels, *rest = picture.values.shape
        each = (channels + bool(hidden), *rest)
        if not i:  # what a file tells may be anything, but a frame takes a byte
            check_memory(min(reader.stream.frames, size), each, COPIES, where)
        if i % BATCH == 0:  # those held are not free any more: the array of them, and the next
            check_memory(i + 2 * BATCH, each, 1, where)
        values.append(np.array(picture.values))  # else it may be a view of all of it
        if picture.hidden is not None and picture.hidden.any():
            hidden[i] = np.array(picture.hidden)
    if not values:
        raise _undecodable(where, reader.error) from reader.error
    seen = np.zeros((1, *values[0].shape[1:]), dtype=bool)
    masks = [hidden.get(i, seen) for i in range(len(values))] if hidden else None
    return np.stack(values), np.stack(masks) if masks else None


def _rate(times: list[float | None], told: Fraction | None, tick: float) -> tuple[float, str]:
    """Frames a second, from when they are shown and what the container tells; and what is odd."""
    rate = float(told) if told and 0 < told <= FASTEST else 0.0
    known = np.array([time for time in times if time is not None])
    gaps = np.diff(known)
    if len(known) < max(2, len(times)) or gaps.min() <= 0 or gaps.mean() < 1 / FASTEST:
        lost = not rate and len(times) > 1
        return rate or RATE, f"tells no frame rate: {RATE:g} a second assumed" if lost else ""
    mean = float(gaps.mean())
    # A clock that is not much finer than the frames shows evenly spaced ones a tick off.
    most = max(_JITTER * mean, 1.01 * tick if tick <= mean / 2 else 0)
    drift = np.abs(known[0] + mean * np.arange(len(known)) - known).max()
    if max(np.ptp(gaps), drift) > most:
        return 1 / mean, (
            f"has frames that are not evenly spaced in time ({gaps.min():.3g} to "
            f"{gaps.max():.3g} s): kept as they come, at their mean rate of {1 / mean:.4g} a second"
        )
    near = abs(rate * mean - 1) < 0.02 + rate * tick / len(gaps)
    return rate if near else 1 / mean, ""  # the former is not rounded


def save_video(blocks: Iterable[np.ndarray], path: Path, rate: float) -> Path:
    """Write a video as it comes, whole or not at all; returns its path.

    Args:
        blocks: uint8 (C, t, H, W) each, C is 1 or 3. H.264 needs even lengths: there the last row
            or column of odd ones is repeated.
        path: .mp4, .mov, .mkv, .webm, .avi, .gif; its folder is made.
        rate: frames a second; a GIF has at most 50 and rounds delays to 1/100 s.

    Raises:
        UserError: a format that is not written, what is no video, or the disk refuses.
    """
    import av

    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(f"{quoted(path)}: {suffix} is not written; use {', '.join(SUFFIXES)}")
    if not 1 / _TICKS < rate < _TICKS:
        raise UserError(f"{quoted(path)}: {rate} frames a second cannot be written; take another")
    with replacing(path, av.FFmpegError) as temporary:
        _write(_images(blocks, quoted(path), suffix not in _CODECS), temporary, suffix, rate)
    return path


def _images(blocks: Iterable[np.ndarray], where: str, even: bool) -> Iterator[av.VideoFrame]:
    """Each as a frame, all of one shape."""
    import av

    first = None
    for block in blocks:
        shape = (block.shape[0], *block.shape[2:])
        first = first or shape
        fits = block.ndim == 4 and shape[0] in (1, 3) and shape == first and 0 not in shape
        if block.dtype != np.uint8 or not fits:
            raise UserError(
                f"{where}: {block.dtype} {block.shape} cannot be written as a video; give uint8 "
                f"(C, T, H, W) with 1 or 3 channels, all of one size"
            )
        more = [(0, even * (length % 2)) for length in shape[1:]]
        block = np.pad(block, [(0, 0), (0, 0), *more], "edge")
        for image in np.moveaxis(block, 0, -1):
            pixels = np.ascontiguousarray(image if shape[0] == 3 else image[..., 0])
            yield av.VideoFrame.from_ndarray(pixels, "rgb24" if shape[0] == 3 else "gray")
    if first is None:
        raise UserError(f"{where}: a video without frames cannot be written; give some")


def _write(frames: Iterator[av.VideoFrame], path: Path, suffix: str, rate: float) -> None:
    import av

    form = {".mkv": "matroska"}.get(suffix, suffix[1:])
    rate = min(rate, _GIF_RATE) if form == "gif" else rate
    clock = Fraction(rate).limit_denominator(min(_TICKS, int(_TICKS / rate)))
    with av.open(f"file:{path}", "w", format=form, options={"fflags": "+bitexact"}) as file:
        codec = _CODECS.get(suffix, "libx264")
        stream: Any = file.add_stream(codec, rate=clock, options=dict(_OPTIONS[codec]))
        for i, frame in enumerate(_ready(frames, form == "gif")):
            if not i:
                stream.width, stream.height = frame.width, frame.height
                stream.pix_fmt = frame.format.name
                if codec == "libx264" and min(frame.width, frame.height) <= _TREE:
                    stream.options = {**stream.options, "mbtree": "0"}
            frame.pts, frame.time_base = i, 1 / clock
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def _ready(frames: Iterator[av.VideoFrame], gif: bool) -> Iterator[av.VideoFrame]:
    """In the colours that are encoded; for a GIF, 256 of its own for each."""
    from av.filter import Graph

    graph = None
    for frame in frames:
        if graph is None:
            graph = Graph()
            width, height, form = frame.width, frame.height, frame.format
            source = graph.add_buffer(None, width, height, form, time_base=Fraction(1))
            sink = graph.add("buffersink")
            if gif:
                split, use = graph.add("split"), graph.add("paletteuse", "new=1")
                palette = graph.add("palettegen", "stats_mode=single:reserve_transparent=0")
                graph.link_nodes(source, split, palette)
                split.link_to(use, 1, 0)
                palette.link_to(use, 0, 1)
                use.link_to(sink)
            else:
                scale, to = graph.add("scale", _SCALE), graph.add("format", "yuv420p")
                graph.link_nodes(source, scale, to, sink)
            graph.configure()
        graph.vpush(frame)
        yield graph.vpull()
