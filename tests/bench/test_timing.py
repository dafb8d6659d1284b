"""Seconds by the clock that is given; memory by what is held."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from abprop.bench import timing

CPU = torch.device("cpu")
MB = 2**20


def test_seconds_are_those_from_before_to_after():
    now = [3.0]

    def slow() -> None:
        now[0] += 1.25

    assert timing.seconds(slow, CPU, lambda: now[0]) == 1.25


def hold(megabytes: int) -> int:
    """Takes memory for a moment."""
    return len(torch.ones(megabytes * MB, dtype=torch.uint8))


@pytest.mark.skipif(not os.access(timing.FORGET, os.W_OK), reason="no peak can be forgotten here")
def test_the_peak_is_that_of_the_action_alone():
    for megabytes in (300, 100, 200):
        found, peak = timing.peak(lambda n=megabytes: hold(n), CPU)
        assert found == megabytes * MB
        assert megabytes * MB * 0.95 < peak < megabytes * MB + 30 * MB


def test_a_peak_that_cannot_be_forgotten_is_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(timing, "FORGET", tmp_path / "no folder" / "clear_refs")
    hold(300)
    _, peak = timing.peak(lambda: hold(100), CPU)
    assert peak > 250 * MB
