"""metrics.jsonl: a flipped bit costs a line of it, never the run."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from tiny import Command

from abprop.report.pages import write_report
from abprop.run import metrics

SPOILT = [
    b"\xff\xfe\n",
    b"[1, 2]\n",
    b"3\n",
    b"null\n",
    b"{}\n",
    b'{"iteration": "4"}\n',
    b'{"iteration": 4}\n',
    b'{"rhat": 1}\n',
    b"[" * 100_000 + b"\n",
]


@pytest.fixture
def copy(faces: Path, tmp_path: Path) -> Path:
    """A run that may be spoilt."""
    return Path(shutil.copytree(faces, tmp_path / "copy"))


@pytest.mark.parametrize("line", SPOILT)
def test_a_line_that_is_no_row_is_passed_over(line: bytes, copy: Path):
    path = copy / "metrics.jsonl"
    rows = metrics.load(path)
    assert len(rows) == 8
    path.write_bytes(line + path.read_bytes() + line)
    assert metrics.load(path) == rows
    write_report(copy)
    metrics.cut(path, 3)
    assert [row["iteration"] for row in metrics.load(path)] == [1, 2, 3]


def test_any_flipped_bit_leaves_rows_that_can_be_used(copy: Path):
    path = copy / "metrics.jsonl"
    data, chance = path.read_bytes(), random.Random(0)
    for _ in range(600):
        bit = chance.randrange(8 * len(data))
        path.write_bytes(_flipped(data, bit))
        rows = metrics.load(path)
        assert 6 <= len(rows) <= 8
        metrics.sampler(rows)
        metrics.cut(path, 8)


@pytest.mark.parametrize("seed", range(12))
def test_after_a_flipped_bit_it_resumes_and_reports(
    seed: int, copy: Path, shelf: Path, abprop: Command
):
    path = copy / "metrics.jsonl"
    data = path.read_bytes()
    path.write_bytes(_flipped(data, random.Random(seed).randrange(8 * len(data))))
    write_report(copy)
    words = ("fit", shelf / "faces.npy", "--run", copy, "--set", "train.iterations=9")
    assert abprop(*words).code == 0
    assert json.loads(path.read_bytes().splitlines()[-1])["iteration"] == 9


def _flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
