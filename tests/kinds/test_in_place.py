"""Large arrays stay in their files, and nobody can tell but by the memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from abprop.data import Signals, mirrored, whole
from abprop.files import arrays
from abprop.files import limits as limits_module
from abprop.sources import read

N, SIZE = 40, 12
WHOLE = np.random.default_rng(0).integers(0, 256, (N, 3, SIZE, SIZE), dtype=np.uint8)
LAST = np.ascontiguousarray(np.moveaxis(WHOLE, 1, 3))
HOLES = np.where(WHOLE[:, :1] < 50, np.float32(np.nan), WHOLE.astype(np.float32))
CUBES = WHOLE.reshape(N, 3, SIZE, 3, 4).astype(np.float32)
Saver = Callable[[Path, np.ndarray], str]


def as_npy(folder: Path, values: np.ndarray) -> str:
    np.save(folder / "a.npy", values)
    return str(folder / "a.npy")


def as_npz(folder: Path, values: np.ndarray) -> str:
    np.savez(folder / "a.npz", other=WHOLE[:2, :1], some=values)
    return f"{folder / 'a.npz'}:some"


def as_packed(folder: Path, values: np.ndarray) -> str:
    np.savez_compressed(folder / "a.npz", some=values)
    return str(folder / "a.npz")


def mapped(values: np.ndarray | None) -> bool:
    while values is not None and not isinstance(values, np.memmap):
        values = values.base  # type: ignore[assignment]
    return values is not None


def same(a: Signals, b: Signals) -> bool:
    rows, seen = torch.tensor([3, 0, 1]), (mirrored(whole(s)) if s.dims == 2 else s for s in (a, b))
    assert a.fingerprint == b.fingerprint and a.scale == b.scale and a.names == b.names
    assert np.array_equal(a.values, b.values, equal_nan=True) and a.note == b.note
    for one, other in ((a, b), tuple(seen)):
        for x, y in zip(one.batch(rows), other.batch(rows), strict=True):
            assert (x is None) == (y is None)
            if x is not None and y is not None:
                assert torch.equal(x, y) and x.stride() == y.stride()
        values = one.values_of(rows), other.values_of(rows)
        assert np.array_equal(*values, equal_nan=True) and values[0].flags.c_contiguous
    return True


STAY = {
    "channels first": (as_npy, WHOLE, {}),
    "channels last": (as_npy, LAST, {}),
    "16 bits": (as_npy, WHOLE.astype(np.uint16) * 257, {}),
    "floats": (as_npy, LAST.astype(np.float32) / 255, {}),
    "floats with holes": (as_npy, HOLES, {}),
    "some in a row": (as_npy, LAST, {"select": "5:30", "limit": 12}),
    "hidden by a rule": (as_npy, LAST, {"hide": "P.5"}),
    "a table": (as_npy, HOLES.reshape(N, -1), {}),
    "volumes": (as_npy, CUBES, {"kind": "array"}),
    "of an npz": (as_npz, LAST, {}),
    "as one wishes": (as_npz, WHOLE, {"range": "0:200"}),
}
LEAVE = {
    "columns first": (as_npy, np.asfortranarray(LAST), {}),
    "large ends first": (as_npy, WHOLE.astype(">u2"), {}),
    "float64": (as_npy, LAST / 255, {}),
    "booleans": (as_npy, LAST > 99, {}),
    "some here and there": (as_npy, LAST, {"select": "0,5,11,12"}),
    "of another size": (as_npy, LAST, {"size": 8}),
    "packed": (as_packed, LAST, {}),
}
CASES = {**{k: (*v, True) for k, v in STAY.items()}, **{k: (*v, False) for k, v in LEAVE.items()}}


@pytest.mark.parametrize("case", CASES)
def test_what_stays_in_its_file_reads_like_what_was_read(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save, values, asked, stays = CASES[case]
    source = save(tmp_path, values)
    before = read(source, **asked)
    assert not mapped(before.values), "it is small"
    monkeypatch.setattr(arrays, "LARGE", 0)
    now = read(source, **asked)
    assert mapped(now.values) == stays and same(before, now)


def test_a_map_given_in_python_stays_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(arrays, "LARGE", 0)
    given = np.load(as_npy(tmp_path, LAST), mmap_mode="r")
    assert mapped(read(given).values) and same(read(given), read(LAST))


def test_infinite_values_in_a_file_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
):
    monkeypatch.setattr(arrays, "LARGE", 0)
    values = WHOLE.astype(np.float32)
    values[7, 0, 3, 3] = np.inf
    refused(as_npy(tmp_path, values), "000007", "infinite")


def test_more_than_the_memory_holds_is_refused_only_where_it_must_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
):
    monkeypatch.setattr(arrays, "LARGE", 0)
    monkeypatch.setattr(limits_module, "TRIFLE", 0)
    monkeypatch.setattr(limits_module, "BATCH", 1)
    batch = 4 * min(N, 64) * WHOLE[0].size
    monkeypatch.setattr(limits_module, "available_memory", lambda: 1.5 * batch)
    assert len(read(as_npy(tmp_path, WHOLE))) == N
    refused(as_npy(tmp_path, WHOLE.astype(np.float64)), "a.npy", "GB")


def test_a_member_that_lies_about_its_length_is_not_mapped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Callable[..., str]
):
    source = as_npz(tmp_path, WHOLE)
    path = tmp_path / "a.npz"
    path.write_bytes(path.read_bytes().replace(b"(40, 3, 12, 12)", b"(80, 3, 12, 12)"))
    monkeypatch.setattr(arrays, "LARGE", 0)
    refused(source, "a.npz", "cannot be read")


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_nothing_as_long_as_the_data_is_ever_held(
    dtype: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(arrays, "LARGE", 0)
    path, count = tmp_path / "a.npy", 20_000
    np.lib.format.open_memmap(path, "w+", dtype, (count, 32, 32, 3)).flush()  # a hole in the file
    read(path, limit=2)  # imports
    tracemalloc.start()
    try:
        signals = read(path)
        assert signals.fingerprint
        mirrored(whole(signals)).batch(range(16))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size / 4
