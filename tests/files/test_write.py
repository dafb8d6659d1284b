"""Written and read again, nothing is lost."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from abprop.errors import UserError
from abprop.files.write import grid, save_images
from abprop.sources import read

FORMATS = [
    ("uint8", 1, "png"),
    ("uint8", 3, "png"),
    ("uint16", 1, "png"),
    ("uint8", 3, "tif"),
    ("uint16", 3, "tif"),
    ("float32", 1, "tif"),
    ("float32", 3, "tiff"),
    ("float32", 4, "tif"),
    ("int16", 1, "tif"),
    ("float32", 3, "npy"),
    ("uint16", 3, "npz"),
]


def pictures(dtype: str, channels: int, count: int = 3) -> np.ndarray:
    values = np.random.default_rng(2).random((count, channels, 9, 11))
    return (values * (1 if dtype == "float32" else np.iinfo(dtype).max)).astype(dtype)


@pytest.mark.parametrize(("dtype", "channels", "suffix"), FORMATS)
def test_one_file(dtype: str, channels: int, suffix: str, tmp_path: Path):
    x = pictures(dtype, channels, count=1)
    path = tmp_path / "new" / f"one.{suffix}"
    assert save_images(x, path) == [path]
    assert [p.name for p in path.parent.iterdir()] == [path.name]  # no temporary file is left
    values = read(path, kind="images").values
    assert values.dtype == x.dtype
    np.testing.assert_array_equal(values, x)


@pytest.mark.parametrize(("dtype", "channels", "suffix"), FORMATS[:9])
def test_a_folder(dtype: str, channels: int, suffix: str, tmp_path: Path):
    x = pictures(dtype, channels)
    paths = save_images(x, tmp_path / "out", names=["a", "sub/b", "../../c"])
    assert all(path.is_relative_to(tmp_path / "out") and ".." not in path.parts for path in paths)
    again = read(tmp_path / "out")
    assert again.names == ("a", "c", "b")
    np.testing.assert_array_equal(again.values, x[[0, 2, 1]])


def test_a_folder_numbers_what_has_no_name(tmp_path: Path):
    save_images(pictures("uint8", 1), tmp_path / "out")
    assert read(tmp_path / "out").names == ("000000", "000001", "000002")


def test_several_in_one_file_are_a_grid(tmp_path: Path):
    x = pictures("uint8", 3, count=5)
    save_images(x, tmp_path / "grid.png")
    with Image.open(tmp_path / "grid.png") as image:
        np.testing.assert_array_equal(np.moveaxis(np.asarray(image), -1, 0), grid(x))
    save_images(x, tmp_path / "grid.jpg")
    save_images(x, tmp_path / "raw.npy")
    np.testing.assert_array_equal(read(tmp_path / "raw.npy").values, x)


def test_grid():
    x = pictures("uint8", 3, count=5)
    sheet = grid(x)  # 3 columns, 2 rows
    assert sheet.shape == (3, 2 * 9 + 2, 3 * 11 + 4)
    np.testing.assert_array_equal(sheet[:, 11:20, 13:24], x[4])
    assert (sheet[:, 9:11] == 255).all() and (sheet[:, 11:, 26:] == 255).all()
    assert grid(x, columns=5).shape == (3, 9, 5 * 11 + 8)
    np.testing.assert_array_equal(grid(x[:1]), x[0])


@pytest.mark.parametrize(
    ("dtype", "channels", "name"),
    [
        ("uint16", 3, "x.png"),
        ("float32", 1, "x.png"),
        ("uint8", 2, "x.png"),
        ("uint16", 1, "x.jpg"),
        ("uint8", 1, "x.xyz"),
        ("uint8", 1, "a_file/x.png"),
        ("uint8", 1, "folder.png"),
    ],
)
def test_what_cannot_be_written(dtype: str, channels: int, name: str, tmp_path: Path):
    (tmp_path / "a_file").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(UserError) as caught:
        save_images(pictures(dtype, channels), tmp_path / name)
    assert name in str(caught.value) and str(caught.value).isprintable()


def test_two_pictures_of_one_name(tmp_path: Path):
    with pytest.raises(UserError, match="one name"):
        save_images(pictures("uint8", 1, 2), tmp_path / "out", names=["a", "../a"])
    assert not (tmp_path / "out").exists()


def test_what_the_caller_got_wrong(tmp_path: Path):
    with pytest.raises(ValueError, match="shape"):
        save_images(np.zeros((3, 4)), tmp_path / "x.png")
    with pytest.raises(ValueError, match="names"):
        save_images(pictures("uint8", 1, 2), tmp_path / "out", names=["a"])
