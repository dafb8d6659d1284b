"""What is refused before it can take time or memory, and what stays out of the messages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hostile import whole
from hostile.pictures import png, tiffs
from hostile.sounds import wave
from hypothesis import given, settings
from hypothesis import strategies as st

from abprop.errors import UserError
from abprop.files.tables import COLUMNS
from abprop.run.recipe import load_preset
from abprop.sources import read

Refused = Callable[..., str]


def test_an_array_that_is_another_kind_of_file(tmp_path: Path, refused: Refused):
    path = tmp_path / "a.npy"
    path.write_bytes(whole.npz())  # numpy.load would open it
    refused(path, "a.npy", "cannot be read as an array")
    path.write_bytes(b"\x80\x04N.")  # a pickle of None
    refused(path, "a.npy", "cannot be read as an array")
    np.save(path, np.zeros((3, 8, 8)))
    path.write_bytes(path.read_bytes().replace(b"\x93NUMPY\x01", b"\x93NUMPY\x09"))
    refused(path, "a.npy", "format 9.0")


def test_what_libraries_log_of_a_file_stays_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    (tmp_path / "circle.tif").write_bytes(dict(tiffs())["circle.tif"])
    assert read(tmp_path / "circle.tif").kind == "texture"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("to", [b"\xff\x80\0\0", b"?\0\0\x7f", b"\x7f\xff\xff\0"])
def test_a_sound_that_begins_before_its_file(
    to: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str], refused: Refused
):
    data = whole.files()["a.aif"]
    (tmp_path / "a.aif").write_bytes(data[:38] + to + data[42:])
    refused(tmp_path / "a.aif", "a.aif")
    assert capfd.readouterr() == ("", "")


def test_a_rate_that_no_sound_has(tmp_path: Path, refused: Refused):
    """Its resampling filter would have as many taps."""
    for rate in (500_001, 2_113_152):
        (tmp_path / "a.wav").write_bytes(wave(rate=rate))
        refused(tmp_path / "a.wav", "a.wav", f"{rate:,} samples a second")
    text = refused(tmp_path / "a.wav", "a.wav")
    (tmp_path / "a.wav").write_bytes(wave()[:30])
    text = refused(tmp_path / "a.wav", "a.wav", "cannot be decoded as a sound")
    assert "object at 0x" not in text


def test_a_table_of_more_columns_than_any(tmp_path: Path, refused: Refused):
    (tmp_path / "a.csv").write_text("," * COLUMNS + "\n")
    refused(tmp_path / "a.csv", "a.csv", f"{COLUMNS + 1:,} columns")
    (tmp_path / "a.csv").write_text(",".join(["1"] * COLUMNS) + "\n")
    assert read(tmp_path / "a.csv").shape == (COLUMNS,)


def test_pixels_that_are_not_there_or_too_wide(tmp_path: Path, refused: Refused):
    made = dict(tiffs())
    for name in ("nothing-16.tif", "no-bits-16.tif"):
        (tmp_path / name).write_bytes(made[name])
        refused(tmp_path / name, name)
    (tmp_path / "deep.png").write_bytes(png(9000, 9000, depth=16))  # 6 bytes a pixel
    refused(tmp_path / "deep.png", "deep.png", "more than 59,652,323")


SOUND = sorted(name for name in whole.files() if not name.endswith(".toml"))


@settings(max_examples=300)
@given(
    st.sampled_from(SOUND),
    st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=4),
    st.integers(0, 10**6),
)
def test_damage_of_any_kind(
    tmp_path_factory: pytest.TempPathFactory, name: str, edits: list[tuple[int, bytes]], end: int
):
    """Some bytes overwritten, perhaps cut: read, or refused in one line that names the file."""
    data = bytearray(whole.files()[name])
    for at, some in edits:
        at %= len(data)
        data[at : at + len(some)] = some
    path = tmp_path_factory.mktemp("damaged") / name
    path.write_bytes(data[: end % (2 * len(data)) or None])
    try:
        read(path)
    except UserError as error:
        assert str(error).isprintable() and name in str(error)


@given(st.text(max_size=60), st.sampled_from(["", "[data]\n", "[model]\nlatent = ", "seed = "]))
def test_any_text_as_a_recipe(tmp_path_factory: pytest.TempPathFactory, text: str, before: str):
    path = tmp_path_factory.mktemp("texts") / "mine.toml"
    path.write_text(before + text, "utf-8", errors="surrogatepass")
    try:
        load_preset(path)
    except UserError as error:
        assert str(error).isprintable() and "mine.toml" in str(error)
