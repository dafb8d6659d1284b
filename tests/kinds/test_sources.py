"""What SOURCE may be; the same pictures through every reader give the same values."""

from __future__ import annotations

import cProfile
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from abprop.data import Scale
from abprop.files import entries as entries_module
from abprop.files import limits as limits_module
from abprop.sources import read

Refused = Callable[..., str]


def as_folder(folder: Path, pictures: np.ndarray) -> object:
    return folder


def as_zip(folder: Path, pictures: np.ndarray) -> object:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir(), reverse=True):  # the order must not matter
            archive.write(file, f"nested/{file.name}")
        archive.writestr("__MACOSX/._p0.png", b"not a picture")
        archive.writestr("README.txt", b"hello")
    return path


def as_npy(folder: Path, pictures: np.ndarray) -> object:
    np.save(folder.with_suffix(".npy"), pictures)
    return folder.with_suffix(".npy")


def as_npz(folder: Path, pictures: np.ndarray) -> object:
    np.savez_compressed(folder.with_suffix(".npz"), labels=np.arange(5), pictures=pictures)
    return f"{folder.with_suffix('.npz')}:pictures"


def as_array(folder: Path, pictures: np.ndarray) -> object:
    return pictures


def as_tensor(folder: Path, pictures: np.ndarray) -> object:
    return torch.from_numpy(pictures).movedim(-1, 1)


READERS = [as_folder, as_zip, as_npy, as_npz, as_array, as_tensor]


@pytest.mark.parametrize("made", READERS)
def test_every_reader_gives_the_same_pictures(made, folder: Path, colours: np.ndarray):
    source = made(folder, colours)
    signals = read(source)
    assert (signals.kind, signals.shape, signals.dims, len(signals)) == (
        "images",
        (3, 12, 16),
        2,
        5,
    )
    assert signals.scale == Scale(0.0, 255.0, "uint8") and signals.hidden is None
    np.testing.assert_array_equal(signals.values, np.moveaxis(colours, -1, 1))
    assert read(source).fingerprint == signals.fingerprint


@pytest.mark.parametrize("made", READERS)
def test_every_reader_selects_resizes_and_recolours_alike(made, folder: Path, colours: np.ndarray):
    wish = {"select": "4,0:2", "limit": 2, "size": "8x5", "channels": "grey", "range": "0:200"}
    signals, expected = read(made(folder, colours), **wish), read(colours, **wish)
    assert signals.shape == (1, 5, 8) and signals.scale == Scale(0.0, 200.0, "uint8")
    assert [name[-1] for name in signals.names] == ["4", "0"]
    np.testing.assert_array_equal(signals.values, expected.values)


def test_names_and_order(tmp_path: Path, colours: np.ndarray):
    for name in ("b/10.png", "b/9.png", "a/é ü.png", ".hidden/1.png", "a/.x.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(colours[0]).save(path)
    (tmp_path / "Thumbs.db").write_bytes(b"?")
    assert read(tmp_path).names == ("é ü", "10", "9")
    Image.fromarray(colours[0]).save(tmp_path / "a" / "9.png")
    assert read(tmp_path).names == ("a/9", "a/é ü", "b/10", "b/9")
    Image.fromarray(colours[0]).save(tmp_path / "b" / "9.bmp")
    assert read(tmp_path).names[-2:] == ("b/9.bmp", "b/9.png")


def test_links_in_a_circle_end(folder: Path):
    (folder / "again").symlink_to(folder)
    (folder / "up").symlink_to(folder.parent)
    assert len(read(folder)) == 5


@pytest.mark.parametrize(
    ("shape", "dtype", "kind", "expected"),
    [
        ((40, 30), "uint8", "texture", (1, 1, 40, 30)),
        ((40, 30), "float32", "table", (40, 30)),
        ((40,), "float32", "table", (40, 1)),
        ((40, 30, 3), "uint8", "texture", (1, 3, 40, 30)),
        ((1, 30, 20), "uint8", "texture", (1, 1, 30, 20)),
        ((7, 30, 20), "uint8", "images", (7, 1, 30, 20)),
        ((7, 30, 20, 3), "float32", "images", (7, 3, 30, 20)),
        ((7, 3, 30, 20), "float32", "images", (7, 3, 30, 20)),
        ((7, 3, 30, 3), "float32", "images", (7, 3, 30, 3)),
        ((1, 3, 30, 20), "float32", "texture", (1, 3, 30, 20)),
        ((7, 2, 100), "float32", "array", (7, 2, 100)),
        ((7, 6, 30, 20), "float32", "array", (7, 6, 30, 20)),
        ((7, 3, 4, 5, 6), "float32", "array", (7, 3, 4, 5, 6)),
    ],
)
def test_what_an_array_is_taken_for(shape, dtype: str, kind: str, expected):
    signals = read(np.ones(shape, dtype=dtype))
    assert (signals.kind, signals.values.shape) == (kind, expected)
    assert kind in signals.note


@pytest.mark.parametrize(
    ("shape", "kind", "expected"),
    [
        ((3, 30, 20), "texture", (1, 3, 30, 20)),
        ((3, 30, 20), "images", (3, 1, 30, 20)),
        ((40, 30), "texture", (1, 1, 40, 30)),
        ((40, 30), "array", (40, 1, 30)),
        ((7, 30, 20), "array", (7, 30, 20)),
    ],
)
def test_a_kind_can_be_given(shape, kind: str, expected):
    signals = read(np.ones(shape), kind=kind)
    assert (signals.kind, signals.values.shape, signals.note) == (kind, expected, "")


def test_dtypes(refused: Refused):
    assert read(np.eye(9, dtype=bool)[None]).values.max() == 255
    assert read(np.ones((3, 4), dtype=np.float64)).values.dtype == np.float32
    assert read(np.ones((3, 4), dtype=np.int16)).scale.dtype == "int16"
    assert (
        read(torch.ones(3, 4, dtype=torch.bfloat16, requires_grad=True)).values.dtype == np.float32
    )
    masked = np.ma.masked_equal(np.arange(6.0).reshape(2, 3), 4)
    assert np.argwhere(read(masked).hidden).tolist() == [[1, 1]]
    refused(np.ones((3, 4), dtype=complex), "complex128")
    refused(np.array([["a", "b"]]), "str")
    refused(np.array([[object()]]), "object")
    refused([[1, 2], [3]], "array")


def test_one_picture_is_a_texture(folder: Path):
    assert read(folder / "p3.png").kind == "texture"
    assert read(folder / "p3.png", kind="images").kind == "images"
    assert len(read(folder, kind="texture", select="2")) == 1


def test_a_texture_is_one_picture(folder: Path, refused: Refused):
    refused(folder, "5 pictures", "data.select", kind="texture")
    refused(folder, "pictures", "data.kind", kind="table")


def test_select(folder: Path, refused: Refused):
    numbers = np.arange(10.0)[:, None]
    for select, expected in {
        "0:3": [0, 1, 2],
        "3,7,1": [3, 7, 1],
        "8:,0:2": [8, 9, 0, 1],
        "::4": [0, 4, 8],
        "-2": [8],
        "-3:": [7, 8, 9],
    }.items():
        assert read(numbers, select=select).values[:, 0].tolist() == expected
    assert read(numbers, select=3, limit=5).names == ("000003",)
    refused(numbers, "10", "0 to 9", select="10")
    refused(numbers, "twice", select="1,0:3")
    refused(numbers, "'5:5'", select="5:5")
    for wrong in ("a", "", "1,,2", "0:3:0", "1.5", "0:3:-1", "1\n2"):
        refused(numbers, "data.select", select=wrong)
    for wrong in (0, -1, "many"):
        refused(folder, "data.limit", limit=wrong)


def test_options_that_make_no_sense(folder: Path, refused: Refused):
    for wrong in ("0", "64x", "x64", "64.5", "-3", "99999x99999", "big\n"):
        refused(folder, "data.size", size=wrong)
    for wrong in ("1:0", "1", "a:b", "0:inf", "0:1:2", "nan:1"):
        refused(folder, "data.range", range=wrong)
    refused(folder, "'texture'", kind="textur")
    refused(folder, "'grey'", channels="gray")
    refused(np.ones((5, 4)), "table", size="8")


def test_a_resized_picture_is_cropped_about_its_middle():
    wide = np.zeros((1, 8, 24), dtype=np.uint8)
    wide[:, :, 8:16] = 200
    np.testing.assert_array_equal(read(wide, size=8).values, np.full((1, 1, 8, 8), 200))
    np.testing.assert_array_equal(read(wide, size="4").values, np.full((1, 1, 4, 4), 200))


def test_resizing_is_pillows_lanczos(random: np.random.Generator):
    ramp = np.add.outer(np.arange(40), np.arange(40)).astype(np.uint8)[None] * 3
    pillow = Image.fromarray(ramp[0]).resize((17, 17), Image.Resampling.LANCZOS)
    difference = read(ramp, size=17).values[0, 0].astype(int) - np.asarray(pillow)
    assert np.abs(difference).max() <= 1


def test_resizing_keeps_hidden_pixels_out(tmp_path: Path):
    pixels = np.full((16, 16, 4), 100, dtype=np.uint8)
    pixels[:, :8] = (255, 255, 255, 0)
    Image.fromarray(pixels).save(tmp_path / "half.png")
    signals = read(tmp_path / "half.png", size=8)
    assert signals.hidden is not None and signals.hidden.shape == (1, 1, 8, 8)
    assert signals.hidden[..., :4].all() and not signals.hidden[..., 4:].any()
    assert (signals.values[..., 4:] == 100).all()


def test_resized_floats_stay_within_their_span(random: np.random.Generator):
    pictures = (random.random((3, 20, 20)) > 0.5).astype(np.float32)
    pictures[0, :5, :5] = np.nan
    signals = read(pictures, size=11)
    assert signals.scale == Scale(0.0, 1.0, "float32")
    assert (
        signals.hidden is not None and signals.hidden[0, 0, 0, 0] and not signals.hidden[1:].any()
    )
    y, _ = signals.batch(range(3))
    assert torch.isfinite(y).all()


def test_nan_is_hidden_and_alpha_too(tmp_path: Path, refused: Refused):
    grey = np.ones((2, 9, 9), dtype=np.float32) / 2
    grey[1, 2, 3] = np.nan
    for i, picture in enumerate(grey):
        tifffile.imwrite(tmp_path / f"{i}.tif", picture)
    signals = read(tmp_path)
    assert np.argwhere(signals.hidden).tolist() == [[1, 0, 2, 3]]
    assert signals.batch([1])[0][0, 0, 2, 3] == 0
    refused(np.full((3, 9, 9), np.nan), "hidden")
    grey[0] = np.nan  # one example without anything seen is allowed
    assert read(grey).hidden[0].all()  # type: ignore[index]


def test_mixed_pictures(folder: Path, refused: Refused):
    Image.new("RGB", (9, 7)).save(folder / "p9.png")
    refused(folder, "p9.png", "9x7", "16x12", "data.size")
    assert read(folder, size=6).shape == (3, 6, 6)
    Image.new("L", (16, 12)).save(folder / "p9.png")
    refused(folder, "p9.png", "grey", "RGB", "data.channels")
    assert read(folder, channels="grey").shape == (1, 12, 16)
    assert read(folder, channels="rgb").shape == (3, 12, 16)
    Image.fromarray(np.zeros((12, 16), np.uint16)).save(folder / "p9.png")
    refused(folder, "p9.png", "uint16", "uint8", channels="rgb")


def test_grey_is_pillows_grey(folder: Path, colours: np.ndarray):
    grey = read(folder, channels="grey").values[:, 0].astype(int)
    pillow = np.stack([np.asarray(Image.fromarray(c).convert("L")) for c in colours])
    assert np.abs(grey - pillow).max() <= 1


def test_the_first_array_of_an_npz_is_named(tmp_path: Path, refused: Refused):
    path = tmp_path / "two.npz"
    np.savez(path, first=np.ones((3, 9, 9)), second=np.ones((4, 9, 9)))
    assert len(read(path)) == 3 and "'first'" in read(path).note
    assert len(read(f"{path}:second")) == 4
    refused(f"{path}:secnd", "two.npz", "'second'")


def test_frames_that_were_left_out_are_said(tmp_path: Path, colours: np.ndarray):
    frames = [Image.fromarray(picture) for picture in colours]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert "5 frames" in read(tmp_path / "moving.gif", kind="texture").note


def test_too_much_for_the_memory(folder: Path, monkeypatch, tmp_path: Path, refused: Refused):
    np.savez(tmp_path / "a.npz", np.zeros((9, 100, 100)))
    np.save(tmp_path / "a.npy", np.zeros((9, 100, 100)))
    monkeypatch.setattr(limits_module, "TRIFLE", 0)
    monkeypatch.setattr(limits_module, "available_memory", lambda: 12_000)
    refused(folder, "pictures", "GB", "data.limit")
    refused(tmp_path / "a.npz", "a.npz", "GB")
    refused(tmp_path / "a.npy", "a.npy", "GB")
    refused(np.zeros((9, 10, 10)), "GB")
    assert len(read(folder, limit=2)) == 2


def calls(what: Callable[[], object]) -> int:
    """Of functions, in this process: like seconds, and the same on every machine."""
    profile = cProfile.Profile()
    profile.runcall(what)
    return sum(int(entry.callcount) for entry in profile.getstats())


def test_many_small_pictures_take_hardly_more_than_their_decoding(tmp_path: Path, monkeypatch):
    path = tmp_path / "many.zip"
    Image.new("RGB", (32, 32), (9, 99, 199)).save(tmp_path / "one.jpg")
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(1000):
            archive.write(tmp_path / "one.jpg", f"{i}.jpg")
    read(path, limit=1)  # imports

    def decoded() -> None:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                Image.open(io.BytesIO(archive.read(name))).load()

    decoded()
    asked: list[int] = []
    free = limits_module.available_memory
    monkeypatch.setattr(limits_module, "available_memory", lambda: asked.append(1) or free())
    ours, theirs = calls(lambda: read(path)), calls(decoded)
    assert len(read(path)) == 1000 and ours < 3 * theirs
    assert len(asked) < 10, "it takes a millisecond to be told"


def test_slow_reading_is_told_every_five_seconds(folder: Path, monkeypatch: pytest.MonkeyPatch):
    now = iter(range(0, 100, 2))  # each look at the clock is two seconds after the last
    monkeypatch.setattr(entries_module, "monotonic", lambda: float(next(now)))
    said: list[str] = []
    read(folder, say=said.append)
    assert said == ["reading 3 of 5 pictures"]


def test_quick_reading_says_nothing(folder: Path):
    read(folder, say=pytest.fail)


def test_memory_is_counted_for_decoding_and_learning(folder: Path, monkeypatch, refused: Refused):
    stored = 5 * 12 * 16 * 3
    learned = 4 * stored  # a batch in float32
    monkeypatch.setattr(limits_module, "TRIFLE", 0)
    monkeypatch.setattr(limits_module, "available_memory", lambda: 2 * (stored + learned))
    assert len(read(folder)) == 5
    monkeypatch.setattr(limits_module, "available_memory", lambda: 2 * stored)
    refused(folder, "pictures", "GB", "data.limit")
    monkeypatch.setattr(limits_module, "available_memory", lambda: 600)  # not even one
    monkeypatch.setattr("PIL.Image.Image.load", pytest.fail)
    refused(folder, "p0.png", "GB")
