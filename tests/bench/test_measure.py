"""Rounds in turns, medians of ratios, and the keys that others read."""

from __future__ import annotations

import json
from itertools import count

import pytest
import torch

from abprop.bench import flops, measure, nets, rates
from abprop.bench.measure import Entrant, Lap, bench
from abprop.bench.nets import Fitting, Net
from abprop.bench.rates import Rates
from abprop.errors import UserError
from abprop.rehearsal import Choice
from abprop.say import quiet

CPU = torch.device("cpu")
SMALL = Net("images", "4", (1, 8, 8), 4, batch=16)
MAP = Net("texture", "2x4x4", (1, 8, 8), 4, prior="markov", batch=16)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {"face64": SMALL, "texture": MAP}
    for module in (nets, measure):
        monkeypatch.setattr(module, "NETS", table)
        monkeypatch.setattr(module, "USUAL", tuple(table))
    monkeypatch.setattr(rates, "SIZES", (4,))
    monkeypatch.setattr(rates, "COPIED", 1024)


def ticking():
    """A clock by which anything takes half a second."""
    ticks = count()
    return lambda: next(ticks) / 2


def test_by_a_clock_that_ticks():
    said: list[str] = []
    found = bench([], 2, said.append, clock=ticking())
    assert [*found["nets"]] == ["face64", "texture"] and found["runs"] == 2
    assert said[-2:] == ["run 1 of 2", "run 2 of 2"]
    peak = 2 * 4**3 / 0.5
    assert found["peak_float32"] == found["peak_bf16"] == found["peak"] == peak / 1e9
    assert found["copy"] == 2 * 1024 / 0.5 / 1e9
    for name, steps in (("face64", 2), ("texture", 1)):
        net, f = found["nets"][name], Fitting(measure.NETS[name], CPU, Choice(torch.float32))
        network = f.learning.model.network
        one, whole = 16 * flops.step(network), 16 * flops.iteration(network, steps)
        assert (net["batch"], net["steps"], net["precision"]) == (16, steps, "float32")
        assert net["step"]["ms"] == 500 / steps
        assert net["step"]["gflops"] == pytest.approx(one / (0.5 / steps) / 1e9)
        assert net["step"]["share_of_peak"] == pytest.approx(one / (0.5 / steps) / peak)
        assert net["step"]["over_textbook"] == steps
        assert net["iteration"]["ms"] == 500 and net["iteration"]["passes"] == steps
        assert net["iteration"]["gflops"] == pytest.approx(whole / 0.5 / 1e9)
        assert net["textbook"]["ms"] == 500
        assert net["memory_bytes"] >= 0
    json.dumps(found)


def test_the_keys_of_earlier_versions_tell_of_faces():
    found = bench(["face64"], 1, quiet, clock=ticking())
    assert found["textbook_ms"] == 500 and found["ours_ms"] == 250
    assert found["ratio"] == found["ratio_min"] == found["ratio_max"] == 2
    assert found["gflops"] == found["nets"]["face64"]["step"]["gflops"]
    assert {"device", "threads", "precision", "has_amx"} < set(found)
    assert "ratio" not in bench(["texture"], 1, quiet, clock=ticking())


def test_ratios_are_those_within_a_run():
    """The second run is beside a busy program: ten times as slow, in all it measures."""
    fitting = Fitting(SMALL, CPU, Choice(torch.float32))
    one, whole = 10**9, 7 * 10**9
    able = Rates(4.0 * one, 10.0 * one, 1.0)
    slow = Rates(0.4 * one, 1.0 * one, 0.1)
    laps = [Lap(0.6, 0.2, 1.2, able), Lap(6.0, 2.0, 12.0, slow), Lap(0.8, 0.2, 1.6, able)]
    told = Entrant(
        "face64", SMALL, Choice(torch.float32), 7, fitting, quiet, (one, whole), laps
    ).told()
    assert told["step"]["ms"] == 200 and told["textbook"]["ms"] == 800
    assert told["step"]["share_of_peak"] == pytest.approx(0.5)
    assert told["step"]["gflops"] == pytest.approx(5)
    assert told["step"]["over_textbook"] == pytest.approx(3)
    assert told["iteration"]["share_of_peak"] == pytest.approx(7 / 12)
    assert told["iteration"]["passes"] == pytest.approx(6)
    assert told["memory_bytes"] == 7


def test_nets_are_named_in_any_order_and_measured_once():
    assert measure._chosen(["texture", "face64", "texture"]) == ["face64", "texture"]


def test_what_cannot_be_measured_is_said():
    with pytest.raises(UserError, match="unknown net 'nothing'; choose one of: face64, texture"):
        bench(["nothing"], 1, quiet)
    with pytest.raises(UserError, match="--runs 0: give at least 1"):
        bench([], 0, quiet)
