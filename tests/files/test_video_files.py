"""Videos from files and back: every suffix, odd and damaged ones, the same bytes twice."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from abprop.checkpoint.files import TEMPORARY
from abprop.errors import UserError
from abprop.files import limits
from abprop.files.pictures import Picture, uniform
from abprop.files.videos import SUFFIXES, Film, read_frames, save_video

RATES = (24, 25, 29.97, 12.5)
# Mean absolute errors of a round trip; measured: colour 2.5 (.gif 5.4), grey 1.5 (.gif 0).
COLOUR, GREY = 4.0, 2.5
FRAMES = 24  # of files that are damaged
ALL = [*SUFFIXES, "front.mp4"]  # an MP4 with its index in front


def clip(channels: int = 3, frames: int = 10, height: int = 24, width: int = 32) -> np.ndarray:
    """Waves (C, T, H, W) that move; every channel and frame is far from the others."""
    y, x = np.mgrid[:height, :width]
    t = np.arange(frames)[:, None, None]
    wave = [np.sin((x + y * c + 9 * t * (c + 1)) / 12 + 2 * c) for c in range(channels)]
    return (127 + 100 * np.stack(wave)).astype(np.uint8)


def as_is(picture: Picture, where: str) -> Picture:
    return picture


def read(path: Path) -> Film:
    return read_frames(path, "'x'", as_is)


def values(film: Film) -> np.ndarray:
    """(C, T, H, W) as floats."""
    return np.moveaxis(film.values, 1, 0).astype(float)


def encode(
    path: Path, pixels: np.ndarray, form: str = "rgb24", *, codec: str = "ffv1", to: str = "",
    pts: list[int] | None = None, matrix: tuple[int, ...] | None = None, colour_range: int = 0,
) -> Path:  # fmt: skip
    """A file with frames (T, H, W[, C]) of one pixel format, stored as another."""
    with av.open(str(path), "w") as file:
        # libvpx refuses to look ahead where there is alpha.
        options = {"auto-alt-ref": "0"} if codec == "libvpx" else {}
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = to or form
        stream.codec_context.color_range = colour_range
        if matrix:
            stream.set_display_matrix(matrix)
        clock = Fraction(1, 25 if pts is None else 1000)
        stream.codec_context.time_base = clock
        for i, image in enumerate(pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), form)
            frame = frame.reformat(format=to or form)
            frame.color_range = colour_range
            frame.pts = i if pts is None else pts[i]
            frame.time_base = clock
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


def copy(made: av.container.InputContainer, file: av.container.OutputContainer) -> None:
    """Its video as it is."""
    stream = file.add_stream_from_template(made.streams.video[0])
    for packet in made.demux(video=0):
        if packet.size:
            packet.stream = stream
            file.mux(packet)


def last(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, 0, -1)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A file of `FRAMES` with each suffix."""
    folder = tmp_path_factory.mktemp("videos")
    found = {
        s: save_video([clip(frames=FRAMES)], folder / f"a{s}", 25).read_bytes() for s in SUFFIXES
    }
    front = folder / "front.mp4"
    with (
        av.open(str(folder / "a.mp4")) as made,
        av.open(str(front), "w", options={"movflags": "faststart"}) as file,
    ):
        copy(made, file)
    return {**found, "front.mp4": front.read_bytes()}


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """FFmpeg never talks."""
    yield
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_round_trip(suffix: str, channels: int, tmp_path: Path) -> None:
    x = clip(channels)
    path = save_video([x[:, :3], x[:, 3:]], tmp_path / "deep" / f"a{suffix}", 25)
    film = read(path)
    assert film.values.shape == (10, 3, 24, 32) and film.values.dtype == np.uint8
    assert (film.hidden, film.rate, film.note) == (None, 25, "")
    bound = {(3, ".gif"): 8.0, (1, ".gif"): 0.0}.get(
        (channels, suffix), COLOUR if channels == 3 else GREY
    )
    found = values(film)
    assert np.abs(found - x).mean() <= bound
    # The bound tells: another order of frames or channels is much farther.
    assert np.abs(found[:, ::-1] - x).mean() > 20 and np.abs(found[:, 1:] - x[:, :-1]).mean() > 20
    assert channels == 1 or np.abs(found[::-1] - x).mean() > 20
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("rate", RATES)
def test_rates(suffix: str, rate: float, tmp_path: Path) -> None:
    film = read(save_video([clip(1)], tmp_path / f"a{suffix}", rate))
    # A GIF knows hundredths of a second.
    assert film.rate == pytest.approx(rate, rel=0.02 if suffix == ".gif" else 1e-9)
    assert film.note == "" and len(film.values) == 10


@pytest.mark.parametrize("rate", [1 / 3600, 0.3, 23.976, 59.94, 100.123, 240])
@pytest.mark.parametrize("suffix", [s for s in SUFFIXES if s != ".gif"])
def test_unusual_rates(suffix: str, rate: float, tmp_path: Path) -> None:
    film = read(save_video([clip(1, 4)], tmp_path / f"a{suffix}", rate))
    assert film.rate == pytest.approx(rate, rel=0.02) and film.note == ""


def test_a_gif_is_not_faster_than_browsers_show(tmp_path: Path) -> None:
    film = read(save_video([clip(1)], tmp_path / "a.gif", 120))
    assert film.rate == pytest.approx(50) and len(film.values) == 10
    assert b"NETSCAPE2.0\x03\x01\0\0" in (tmp_path / "a.gif").read_bytes()  # for ever


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(("height", "width"), [(23, 31), (24, 31), (1, 1), (5, 70)])
def test_odd_sizes(suffix: str, height: int, width: int, tmp_path: Path) -> None:
    """H.264 needs even ones: a row or column more; the others keep them."""
    x = clip(1, 4, height, width)
    found = values(read(save_video([x], tmp_path / f"a{suffix}", 25)))
    even = suffix in (".mp4", ".mov", ".mkv")
    assert found.shape == (3, 4, *((n + n % 2 if even else n) for n in (height, width)))
    assert np.abs(found[..., :height, :width] - x).mean() < GREY
    if found.shape[3] > width:
        assert np.abs(found[..., width] - found[..., width - 1]).mean() < 4


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_same_video_is_the_same_bytes(suffix: str, tmp_path: Path) -> None:
    """However it comes in blocks, and whatever time it is."""
    x = clip(frames=12)
    pieces = [[x], [x[:, i : i + 1] for i in range(12)], [x[:, :0], x[:, :7], x[:, 7:]]]
    found = {
        save_video(blocks, tmp_path / f"{i}{suffix}", 25).read_bytes()
        for i, blocks in enumerate(pieces)
    }
    assert len(found) == 1


@pytest.mark.parametrize("suffix", [".mkv", ".mov", ".mp4"])
@pytest.mark.parametrize("side, tree", [(16, 0), (32, 0), (34, 1), (64, 1)])
def test_small_frames_go_without_x264s_tree(
    suffix: str, side: int, tree: int, tmp_path: Path
) -> None:
    """There it reads what nobody wrote, so the bytes were others now and then."""
    save_video([clip(height=side, width=40)], path := tmp_path / f"a{suffix}", 25.0)
    assert f"mbtree={tree} " in path.read_bytes().decode("latin-1")


def test_one_frame(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        film = read(save_video([clip(frames=1)], tmp_path / f"a{suffix}", 25))
        assert film.values.shape == (1, 3, 24, 32) and film.rate == 25 and film.note == ""


@pytest.mark.parametrize(("form", "bits"), [("gray", 8), ("gray10le", 10), ("gray12le", 12)])
def test_grey_is_one_channel(form: str, bits: int, tmp_path: Path) -> None:
    x = clip(1)
    film = read(encode(tmp_path / "a.mkv", x[0], "gray", to=form))
    assert film.values.shape == (10, 1, 24, 32)
    assert np.abs(values(film) - x).max() <= 1
    assert film.note == ("" if bits == 8 else f"'x' has {bits} bits a channel: converted to 8")


def test_grey_of_a_narrow_range_is_stretched(tmp_path: Path) -> None:
    x = np.tile(np.array([16, 126, 235], np.uint8).repeat(8), (4, 16, 1))
    film = read(encode(tmp_path / "a.mkv", x, "gray", colour_range=1))
    assert sorted(set(film.values.ravel())) == [0, 128, 255]


@pytest.mark.parametrize(("codec", "to", "suffix", "bits"), [
    ("libx264", "yuv420p10le", ".mp4", 10), ("ffv1", "yuv420p12le", ".mkv", 12),
    ("prores", "yuv422p10le", ".mov", 10),
])  # fmt: skip
def test_more_than_8_bits(codec: str, to: str, suffix: str, bits: int, tmp_path: Path) -> None:
    x = clip()
    film = read(encode(tmp_path / f"a{suffix}", last(x), codec=codec, to=to))
    assert film.note == f"'x' has {bits} bits a channel: converted to 8"
    assert film.values.dtype == np.uint8 and np.abs(values(film) - x).mean() < 8


@pytest.mark.parametrize(("codec", "to", "suffix", "channels"), [
    ("png", "rgba", ".mov", 3), ("qtrle", "argb", ".mov", 3), ("ffv1", "bgra", ".mkv", 3),
    ("png", "ya8", ".mov", 1), ("libvpx", "yuva420p", ".webm", 3),
    ("libvpx-vp9", "yuva420p", ".webm", 3),
])  # fmt: skip
def test_alpha_zero_is_hidden(
    codec: str, to: str, suffix: str, channels: int, tmp_path: Path
) -> None:
    x = np.full((6, 24, 32, 4), 200, np.uint8)
    x[..., 3] = 255
    start = 0 if codec == "libvpx" else 2  # VP8 turns 0 into 1 later on
    x[start:, :8, :, 3] = 0
    x[:, 16:, :, 3] = 130  # not hidden
    film = read(encode(tmp_path / f"a{suffix}", x, "rgba", codec=codec, to=to))
    assert film.values.shape == (6, channels, 24, 32) and film.hidden is not None
    assert film.hidden.shape == (6, 1, 24, 32) and film.hidden.dtype == bool
    np.testing.assert_array_equal(film.hidden[:, 0], x[..., 3] == 0)
    assert (film.values[start:, :, :8] == 0).all()
    assert (abs(film.values[:start] - 200.0) < 6).all()
    assert (abs(film.values[:, :, 8:] - 200.0) < 6).all()
    x[..., 3] = 255
    assert read(encode(tmp_path / f"b{suffix}", x, "rgba", codec=codec, to=to)).hidden is None


def gif(path: Path, x: np.ndarray, delays: int | list[int]) -> Path:
    first, *rest = (Image.fromarray(image) for image in x)
    first.save(path, save_all=True, append_images=rest, duration=delays, loop=0, disposal=2)
    return path


def test_a_transparent_gif(tmp_path: Path) -> None:
    x = np.zeros((5, 24, 32, 4), np.uint8)
    for i in range(5):
        x[i, 4 * i : 4 * i + 6] = (200, 30, 10 * i, 255)
    film = read(gif(tmp_path / "a.gif", x, 80))
    assert film.hidden is not None and film.rate == 12.5 and film.note == ""
    np.testing.assert_array_equal(film.hidden[:, 0], x[..., 3] == 0)
    np.testing.assert_array_equal(film.values, np.moveaxis(x[..., :3], -1, 1))


def test_uneven_times_are_kept_and_told(tmp_path: Path) -> None:
    film = read(gif(tmp_path / "a.gif", last(clip(frames=5)), [40, 40, 200, 40, 40]))
    assert len(film.values) == 5 and film.rate == pytest.approx(4 / 0.32)
    words = "'x' has frames that are not evenly spaced in time (0.04 to 0.2 s): kept as they come"
    assert film.note == f"{words}, at their mean rate of 12.5 a second"
    pts = [0, 40, 80, 120, 400, 440, 480, 520, 560, 600]
    for name, codec in (("a.mkv", "ffv1"), ("a.mp4", "libx264"), ("a.webm", "libvpx-vp9")):
        made = encode(tmp_path / name, last(clip()), codec=codec, to="yuv420p", pts=pts)
        film = read(made)
        assert len(film.values) == 10 and film.rate == pytest.approx(15)
        assert film.note.startswith("'x' has frames that are not evenly") and ";" not in film.note


@pytest.mark.parametrize("pts", [[0, 33, 67, 100, 133, 167], [0, 34, 66, 100, 133, 167]])
def test_rounded_times_are_even(pts: list[int], tmp_path: Path) -> None:
    film = read(encode(tmp_path / "a.mkv", last(clip(frames=6)), to="bgr0", pts=pts))
    assert film.rate == pytest.approx(30, rel=0.01) and film.note == ""


def test_a_turned_video_is_upright(tmp_path: Path) -> None:
    """As telephones write it: the matrix of a quarter to the right."""
    x = clip()
    matrix = (0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)
    made = encode(tmp_path / "a.mov", last(x), codec="png", matrix=matrix)
    np.testing.assert_array_equal(values(read(made)), np.rot90(x, -1, (2, 3)))


def test_frames_are_shaped_one_by_one(tmp_path: Path) -> None:
    path, names = save_video([clip()], tmp_path / "a.mp4", 25), []

    def shaped(picture: Picture, where: str) -> Picture:
        names.append(where)
        return uniform(picture, (8, 6), "grey", where)

    film = read_frames(path, "'a'", shaped)
    assert film.values.shape == (10, 1, 6, 8) and film.values.base is None
    assert names == [f"'a', frame {i}" for i in range(10)]

    def refuses(picture: Picture, where: str) -> Picture:
        raise UserError(f"{where} is ugly")

    with pytest.raises(UserError, match=r"^'a', frame 0 is ugly$"):
        read_frames(path, "'a'", refuses)


def test_what_does_not_fit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the file tells how many frames it has, and when it does not."""
    x = np.zeros((1, 150, 128, 128), np.uint8)
    seen: list[str] = []

    def counted(picture: Picture, where: str) -> Picture:
        seen.append(where)
        return picture

    monkeypatch.setattr(limits, "available_memory", lambda: 8_000_000)
    for name, most in (("a.mp4", 1), ("a.mkv", 65)):
        path = save_video([x], tmp_path / name, 25)
        seen.clear()
        with pytest.raises(UserError, match=r"'x': .* examples of 3x128x128 need"):
            read_frames(path, "'x'", counted)
        assert len(seen) <= most
    monkeypatch.setattr(limits, "PIXELS", 128 * 128 - 1)
    with pytest.raises(UserError, match="'x', frame 0 declares 128x128 pixels"):
        read(tmp_path / "a.mkv")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".mov"])
def test_sound_may_be_longer(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    codec, form = ("aac", "fltp") if suffix == ".mp4" else ("pcm_s16le", "s16")
    made = save_video([clip()], tmp_path / f"b{suffix}", 25)
    with av.open(str(made)) as made, av.open(str(path), "w") as file:
        sound = file.add_stream(codec, rate=8000, layout="mono")
        copy(made, file)
        for i in range(10):
            wave = np.zeros((1, 1024), np.float32 if form == "fltp" else np.int16)
            frame = av.AudioFrame.from_ndarray(wave, form, "mono")
            frame.rate, frame.pts = 8000, 1024 * i
            file.mux(sound.encode(frame))
        file.mux(sound.encode(None))
    film = read(path)
    assert (len(film.values), film.rate, film.note) == (10, 25, "")


def sound_only(path: Path, cover: bool = False) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=8000, layout="mono")
        if cover:
            picture = file.add_stream("png", rate=1)
            picture.width, picture.height, picture.pix_fmt = 32, 24, "rgb24"
            picture.disposition = av.stream.Disposition.attached_pic
            image = np.ascontiguousarray(last(clip())[0])
            frame = av.VideoFrame.from_ndarray(image, "rgb24")
            frame.pts = 0
            file.mux(picture.encode(frame))
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        sound.rate, sound.pts = 8000, 0
        file.mux(stream.encode(sound))
        file.mux(stream.encode(None))
    return path


def changing(path: Path, second: str = "rgb24", size: tuple[int, int] = (16, 16)) -> Path:
    """Three frames, and three of another sort."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "rgb24"
        for start, form, (height, width) in ((0, "rgb24", (24, 32)), (3, second, size)):
            context = av.CodecContext.create("png", "w")
            context.width, context.height, context.pix_fmt = width, height, form
            context.time_base = Fraction(1, 25)
            for i in range(start, start + 3):
                image = np.ascontiguousarray(last(clip(3, 1, height, width))[0])
                frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=form)
                frame.pts = i
                for packet in context.encode(frame):
                    packet.stream = stream
                    file.mux(packet)
    return path


def test_what_is_no_video_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video at all\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:9,\nempty.mp4\n")
    (tmp_path / "header.gif").write_bytes(b"GIF89a\x20\0\x18\0\0\0\0;")
    (tmp_path / "folder.mp4").mkdir()
    os.mkfifo(tmp_path / "pipe.mp4")
    sound_only(tmp_path / "sound.mp4")
    sound_only(tmp_path / "cover.mp4", cover=True)
    changing(tmp_path / "size.mov")
    changing(tmp_path / "grey.mov", "gray", (24, 32))
    with av.open(str(tmp_path / "none.mkv"), "w") as file:
        stream = file.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 25)
        file.start_encoding()
    for name, words in {
        "empty.mp4": r"'x' is empty; replace or remove it$",
        "text.mp4": r"'x' cannot be decoded as a video \(Invalid data.*\); replace or remove it$",
        "list.mp4": r"'x' cannot be decoded as a video \(Invalid",
        "header.gif": r"'x' cannot be decoded as a video \(",
        "folder.mp4": "is not a regular file", "pipe.mp4": "is not a regular file",
        "absent.mp4": "is not a regular file",
        "sound.mp4": "'x' holds only sound; replace", "cover.mp4": "'x' holds only sound; replace",
        "none.mkv": r"'x' cannot be decoded as a video \(",
        "size.mov": "'x' changes from 3x24x32 to 3x16x16 at frame 3; cut it there",
        "grey.mov": "'x' changes from 3x24x32 to 1x24x32 at frame 3; cut it there",
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=words) as told:
            read(tmp_path / name)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("suffix", ALL)
def test_a_truncated_file_gives_what_is_there_or_one_line(
    suffix: str, whole: dict[str, bytes], tmp_path: Path
) -> None:
    data, path = whole[suffix], tmp_path / f"a{suffix}"
    path.write_bytes(data)
    full, counts = read(path), []
    assert full.note == "" and len(full.values) == FRAMES
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97):
        path.write_bytes(data[: int(share * len(data))])
        try:
            film = read(path)
        except UserError as error:
            assert "\n" not in str(error)
            continue
        count = len(film.values)
        counts.append(count)
        if suffix in (".gif", ".webm"):  # the others may lose one that waits for what is cut off
            np.testing.assert_array_equal(film.values, full.values[:count])
        if count < FRAMES:
            assert film.note.startswith(f"'x' ends after {count} frames: damaged")
            assert "\n" not in film.note
    if suffix in (".mp4", ".mov"):  # their index is at the end
        assert set(counts) <= {FRAMES}
    else:
        assert counts == sorted(counts) and counts[-1] > FRAMES - 6 and len(set(counts)) > 2


@pytest.mark.parametrize("suffix", ALL)
def test_hostile_bytes(suffix: str, whole: dict[str, bytes], tmp_path: Path) -> None:
    """A film, or one line; nothing else."""
    rng, path = np.random.default_rng(0), tmp_path / f"a{suffix}"
    start = np.frombuffer(whole[suffix], np.uint8)
    for i in range(12):
        data = start.copy()
        reach = len(data) if i % 2 else 600  # headers
        at = rng.integers(reach, size=rng.integers(1, 20)) - (reach if i % 3 == 0 else 0)
        data[at] = rng.integers(256, size=len(at))
        path.write_bytes(data.tobytes())
        try:
            film = read(path)
        except UserError as error:
            assert "\n" not in str(error)
        else:
            assert film.values.ndim == 4 and film.values.dtype == np.uint8
            assert 0 < film.rate <= 1000 and "\n" not in film.note


@pytest.mark.parametrize("name", ["a:b.mp4", "http:a.mp4", "-a%03d.mp4", "\udcff.mp4", "a\nb.gif"])
def test_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = save_video([clip()], Path(name), 25)
    assert len(read(path).values) == 10 and os.listdir() == [name]


@pytest.mark.parametrize(("block", "words"), [
    (clip().astype(float), "float64 .* cannot be written as a video; give uint8"),
    (clip(2), "cannot be written as a video"), (clip()[0], "cannot be written as a video"),
    (clip(height=26), "all of one size"), (clip(1), "all of one size"),
])  # fmt: skip
def test_what_is_no_video_is_not_written(block: np.ndarray, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words) as told:
        save_video([clip(), block], tmp_path / "a.mp4", 25)
    assert "\n" not in str(told.value) and not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.ogv is not written; use \.avi"):
        save_video([clip()], tmp_path / "a.ogv", 25)
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UserError, match="frames a second cannot be written"):
            save_video([clip()], tmp_path / "a.mp4", rate)

    def broken() -> Iterator[np.ndarray]:
        yield clip()
        raise UserError("stopped")

    for suffix in SUFFIXES:
        with pytest.raises(UserError, match="without frames"):
            save_video([], tmp_path / f"a{suffix}", 25)
        with pytest.raises(UserError, match="stopped"):
            save_video(broken(), tmp_path / f"a{suffix}", 25)
    with pytest.raises(UserError, match=r"cannot be written \("):
        save_video([clip(1, 1, 2, 17_000)], tmp_path / "a.mp4", 25)  # too wide for H.264
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_disk_that_refuses(suffix: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written \(") as told:
        save_video([clip()], tmp_path / "file" / f"a{suffix}", 25)
    assert "\n" not in str(told.value)
    path = tmp_path / f"a{suffix}"
    path.with_name(f"{TEMPORARY}{path.name}-{os.getpid()}").symlink_to("/dev/full")
    with pytest.raises(UserError, match=r"cannot be written \(.*No space left"):
        save_video([clip()], path, 25)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
