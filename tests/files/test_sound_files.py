"""Sounds from files and back, in one piece and in blocks."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from abprop.errors import UserError
from abprop.files.sounds import decode, in_blocks, resampled, save_sound

RATES = (8000, 20_000, 44_100, 192_000)


def noise(channels: int = 1, length: int = 4000, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(0, 0.1, (channels, length))).astype(np.float32)


def encoded(x: np.ndarray, rate: int = 8000, form: str = "WAV", subtype: str = "FLOAT") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, x.T, rate, format=form, subtype=subtype)
    return file.getvalue()


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize(("form", "subtype", "step"), [
    ("WAV", "PCM_U8", 2**-7), ("WAV", "PCM_16", 2**-15), ("WAV", "PCM_24", 2**-23),
    ("WAV", "FLOAT", 1e-12), ("FLAC", "PCM_24", 2**-23), ("WAV", "DOUBLE", 1e-8),
])  # fmt: skip
def test_every_depth_and_rate(rate: int, form: str, subtype: str, step: float) -> None:
    x = noise(2)
    found = decode(encoded(x, rate, form, subtype), "'x'")
    assert (found.rate, found.subtype, found.note) == (rate, subtype, "")
    assert found.values.dtype == np.float32
    np.testing.assert_allclose(found.values, x, rtol=0, atol=1.01 * step)


@pytest.mark.parametrize(("form", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_lossy_forms(form: str, subtype: str) -> None:
    x = np.sin(np.arange(44_100) * 0.05)[None].astype(np.float32) * 0.5
    found = decode(encoded(x, 44_100, form, subtype), "'x'")
    assert found.rate == 44_100
    np.testing.assert_allclose(found.values[0, 4000:20_000], x[0, 4000:20_000], atol=0.05)


def test_eight_channels() -> None:
    assert decode(encoded(noise(8)), "'x'").values.shape == (8, 4000)


@pytest.mark.parametrize(("data", "words"), [
    (b"", "is empty"),
    (b"RIFF\0\0\0\0WAVE", "cannot be decoded as a sound"),
    (b"no sound at all", "cannot be decoded as a sound"),
    (encoded(np.zeros((1, 0), np.float32)), "holds no samples"),
    (encoded(np.array([[0, 0.5, np.nan, 0]], np.float32)), "sample 2 .* is not a number"),
    (encoded(np.array([[0, np.inf]], np.float32)), "sample 1 .* is not a number"),
], ids=["empty", "header", "words", "none", "nan", "inf"])  # fmt: skip
def test_bad_sounds_are_one_line(data: bytes, words: str) -> None:
    with pytest.raises(UserError, match=words) as told:
        decode(data, "'x'")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("form", ["WAV", "FLAC"])
def test_a_truncated_file_gives_what_is_there_or_one_line(form: str) -> None:
    data = encoded(noise(1, 100_000), 8000, form, "PCM_16")
    try:
        found = decode(data[: len(data) // 2], "'x'")
    except UserError as error:
        assert "\n" not in str(error)
    else:
        assert 1000 < found.values.shape[1] < 100_000


@pytest.mark.parametrize(("rate", "wanted"), [
    (8000, 24_000), (22_050, 44_100), (20_000, 44_100), (11_025, 48_000), (48_000, 20_000), (7, 7),
])  # fmt: skip
@pytest.mark.parametrize("size", [1, 37, 900, 5000])
def test_blocks_are_resampled_like_the_whole(rate: int, wanted: int, size: int) -> None:
    x = noise(2, 5000)
    blocks = [x[:, i : i + size] for i in range(0, 5000, size)]
    whole = resampled(x, rate, wanted)
    found = np.concatenate(list(in_blocks(blocks, rate, wanted)), 1)
    assert found.shape == whole.shape
    np.testing.assert_allclose(found, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("name", "subtype", "kept"), [
    ("a.wav", "PCM_24", "PCM_24"), ("a.flac", "FLOAT", "PCM_16"),
    ("deep/a.ogg", "PCM_16", "VORBIS"),
    ("a.mp3", "PCM_16", "MPEG_LAYER_III"), ("a.aif", "PCM_16", "PCM_16"),
])  # fmt: skip
def test_written_block_by_block(name: str, subtype: str, kept: str, tmp_path: Path) -> None:
    x = noise(2, 20_000)
    path = save_sound([x[:, :5000], 100 * x[:, 5000:]], tmp_path / name, 44_100, subtype)
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.channels, file.subtype) == (44_100, 2, kept)
        assert file.frames >= 20_000
    assert [p for p in path.parent.iterdir() if p.is_file()] == [path]


@pytest.mark.parametrize(("rate", "known"), [
    (20_000, 22_050), (22_050, 22_050), (4000, 8000), (96_000, 48_000),
])  # fmt: skip
def test_mp3_is_written_at_the_next_rate_that_it_knows(
    rate: int, known: int, tmp_path: Path
) -> None:
    """A tone keeps its pitch and its length."""
    tone = np.sin(2 * np.pi * 440 * np.arange(rate) / rate, dtype=np.float32)[None] / 2
    path = save_sound([tone[:, :1000], tone[:, 1000:]], tmp_path / "a.mp3", rate, "PCM_16")
    heard = decode(path.read_bytes(), "a")
    assert heard.rate == known and abs(heard.values.shape[1] / known - 1) < 0.01
    power = np.abs(np.fft.rfft(heard.values[0]))
    assert abs(power.argmax() * known / heard.values.shape[1] - 440) < 5


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.xyz is not written"):
        save_sound([noise()], tmp_path / "a.xyz", 8000, "PCM_16")
    with pytest.raises(UserError, match="cannot be written"):
        save_sound([noise(40)], tmp_path / "a.mp3", 8000, "PCM_16")

    (tmp_path / "file").write_text("no folder")
    with pytest.raises(UserError, match="cannot be written"):
        save_sound([noise()], tmp_path / "file" / "a.wav", 8000, "PCM_16")
    (tmp_path / "file").unlink()

    def broken():
        yield noise()
        raise UserError("stopped")

    with pytest.raises(UserError, match="stopped"):
        save_sound(broken(), tmp_path / "a.wav", 8000, "PCM_16")
    assert not list(tmp_path.iterdir())


def test_the_same_sound_is_the_same_bytes(tmp_path: Path) -> None:
    """Floats beyond full scale are kept, and no time of day is written."""
    x = 3 * noise()
    one, two = (save_sound([x], tmp_path / name, 8000, "FLOAT") for name in ("a.wav", "b.wav"))
    data = one.read_bytes()
    at = data.find(b"PEAK")
    assert at > 0 and data[at + 12 : at + 16] == bytes(4) and data == two.read_bytes()
    np.testing.assert_array_equal(decode(data, "'a'").values, x)
