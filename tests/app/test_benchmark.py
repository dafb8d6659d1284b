"""`abprop bench` on the screen and as JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tiny import Command

import abprop.bench


def net(precision: str) -> dict[str, Any]:
    return {
        "batch": 1000,
        "precision": precision,
        "step": {"ms": 1234.56, "gflops": 12345.6, "share_of_peak": 0.7, "over_textbook": 13.6},
        "iteration": {"ms": 12345.67, "gflops": 12345.6, "passes": 6.78},
        "memory_bytes": 12_345_678_901,
    }


RESULT = {
    "device": "cpu", "threads": 2, "precision": "bfloat16", "runs": 3, "has_amx": True,
    "peak_float32": 201.4, "peak_bf16": 812.6, "peak": 812.6, "copy": 23.44,
    "nets": {"face64": net("bfloat16"), "texture": net("bfloat16"), "spacetime": net("float32")},
}  # fmt: skip


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What the command asks for; it is told RESULT at once."""
    calls: list[tuple[Any, ...]] = []

    def measured(names: Any, runs: int, say: Any) -> dict[str, Any]:
        calls.append(([*names], runs))
        return RESULT

    monkeypatch.setattr(abprop.bench, "bench", measured)
    return calls


def test_a_table_of_80_columns_and_what_the_machine_can_do(
    asked: list[tuple[Any, ...]], abprop: Command
):
    done = abprop("bench")
    assert done.code == 0 and asked == [([], 5)]
    *table, able, chosen = done.out.splitlines()
    assert max(map(len, done.out.splitlines())) <= 80
    assert len(table) == 5
    row = ["face64", "1000", "1234.6", "12345.6", "70%", "13.60", "12345.7", "6.8", "12346"]
    assert table[2].split() == row
    words = "201 GFLOP/s in float32, 813 in bfloat16, copies 23.4 GB/s"
    assert able == f"cpu, 2 threads, AMX: {words}"
    assert chosen.startswith("fastest: bfloat16 for face64, texture; float32 for spacetime;")


def test_json_and_words(asked: list[tuple[Any, ...]], abprop: Command):
    done = abprop("bench", "--json", "--runs", "3", "--net", "sound", "--net", "video")
    assert json.loads(done.out) == RESULT and asked == [(["sound", "video"], 3)]


def test_bad_words_are_one_line(abprop: Command):
    assert "--runs" in abprop("bench", "--runs", "0").complaint
    assert "unknown net 'nothing'" in abprop("bench", "--net", "nothing").complaint
    assert "did you mean 'face64'?" in abprop("bench", "--net", "face").complaint
