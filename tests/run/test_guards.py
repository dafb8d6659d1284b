"""What goes wrong while learning is an event in metrics.jsonl, and learning goes on."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tiny import FACES, blobs

from abprop import alternate, checkpoint, machine
from abprop.data import Examples
from abprop.errors import UserError
from abprop.run import Layers, Progress, fit, metrics
from abprop.run.fitting import journal
from abprop.run.fitting.saving import Saver

PLAIN = (*FACES, "model.latent=2", "train.batch=0", "data.holdout=0", "data.mirror=no")


class Told(Progress):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def learned(folder: Path, *sets: str, source: object = None) -> tuple[list[dict], list[str]]:
    """Events of a run and the notes that were said of them."""
    told = Told()
    asked = Layers(None, (*PLAIN, *sets), {"data.source": "<array>"})
    fit(folder, asked, source=blobs(20) if source is None else source, progress=told)
    notes = [line for line in told.lines if line.startswith("note: iteration")]
    return metrics.events(folder / "metrics.jsonl"), notes


def chains(folder: Path) -> torch.Tensor:
    found = checkpoint.latest(folder / "checkpoints", print)
    assert found is not None
    return found.latents["z"]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    found = checkpoint.latest(folder / "checkpoints", print)
    assert found is not None
    return found.tensors["network"]


@pytest.fixture
def damaged(monkeypatch: pytest.MonkeyPatch):
    """Makes what is read of some examples no numbers, once the run has begun."""

    def damage(rows: Sequence[int], value: float = np.nan) -> None:
        read = Examples.read

        def spoilt(self: Examples, index: torch.Tensor):
            batch = read(self, index)
            y = batch.y.clone()
            y[torch.isin(index, torch.tensor(rows))] = value
            return batch._replace(y=y)

        monkeypatch.setattr(Examples, "read", spoilt)

    return damage


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("start", ["prior", "pca"])
def test_one_damaged_example_is_left_out_and_named(
    tmp_path: Path, damaged, value: float, start: str
) -> None:
    sets = (f"infer.start={start}", "model.sigma=0.3")
    learned(tmp_path / "sound", *sets)
    damaged([7], value)
    events, notes = learned(tmp_path / "run", *sets)
    left = [event for event in events if event["event"] == "left-out"]
    assert [event["examples"] for event in left] == [["000007"]] and left[0]["count"] == 1
    assert (
        sum("have no finite log p: the weights do not learn from them (000007)" in n for n in notes)
        == 1
    )
    z = chains(tmp_path / "run")
    assert torch.isfinite(z).all()
    assert all(torch.isfinite(v).all() for v in weights(tmp_path / "run").values())
    rows = metrics.load(tmp_path / "run" / "metrics.jsonl")
    assert rows[-1]["iteration"] == 8 and np.isfinite(rows[-1]["loss"])


def test_what_is_left_out_changes_nothing_for_the_others(tmp_path: Path, damaged) -> None:
    # The first visit of all of them is under the same weights.
    first = ("train.iterations=1", "infer.wait=0", "infer.step_size=0.05")
    first += ("model.prior=standard", "model.sigma=0.3")
    learned(tmp_path / "sound", *first)
    damaged([7])
    learned(tmp_path / "run", *first)
    others = torch.arange(20) != 7
    assert torch.equal(chains(tmp_path / "run")[others], chains(tmp_path / "sound")[others])


def test_without_a_finite_gradient_weights_stay(tmp_path: Path, damaged) -> None:
    damaged(range(20))
    with pytest.raises(UserError, match="learning diverged at iteration 1"):
        learned(tmp_path / "run", "train.iterations=1")
    (event, *_) = metrics.events(tmp_path / "run" / "metrics.jsonl")
    assert event["event"] == "left-out" and event["count"] == 20
    assert not checkpoint.steps(tmp_path / "run" / "checkpoints")


def test_where_memory_runs_out_passes_become_shorter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infer, seen = alternate.infer, []

    def hungry(*args, chunk: int, **kwargs):
        seen.append(chunk)
        if chunk > 32:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you ...")
        return infer(*args, chunk=chunk, **kwargs)

    monkeypatch.setattr(alternate, "infer", hungry)
    events, notes = learned(tmp_path / "run", "infer.chunk=128", source=blobs(120))
    assert max(seen) > 32 and [e["chunk"] for e in events if e["event"] == "memory"] == [64, 32]
    assert any("memory ran out: passes of 32 examples from here on" in note for note in notes)
    assert metrics.load(tmp_path / "run" / "metrics.jsonl")[-1]["iteration"] == 8


def test_where_nothing_is_short_enough_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(alternate, "infer", never)
    with pytest.raises(UserError, match=r"out of memory at iteration .* in passes of 16 examples"):
        learned(tmp_path / "run")


def test_other_errors_are_not_taken_for_a_lack_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args, **kwargs):
        raise RuntimeError("The size of tensor a must match")

    monkeypatch.setattr(alternate, "infer", broken)
    with pytest.raises(RuntimeError, match="The size of tensor a"):
        learned(tmp_path / "run")
    assert not machine.out_of_memory(ValueError("no"))


@pytest.mark.parametrize(("factor", "saves"), [(2.0, True), (0.5, False)])
def test_a_disk_that_is_nearly_full_is_said_before_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, factor: float, saves: bool
) -> None:
    usage = SimpleNamespace(free=int(factor * 10**9))
    monkeypatch.setattr(journal.shutil, "disk_usage", lambda path: usage)
    monkeypatch.setattr(Saver, "bytes", lambda self: 10**9)
    events, notes = learned(tmp_path / "run", "checkpoint.every=2", "checkpoint.keep=9")
    told = [event for event in events if event["event"] == "disk"]
    assert told and all(event["free"] == usage.free for event in told)
    assert "MB are left on the disk of" in notes[0] and "free some room" in notes[0]
    # What does not fit is tried at the end all the same: nothing more is to be learned.
    steps = checkpoint.steps(tmp_path / "run" / "checkpoints")
    assert steps == ([2, 4, 6, 8] if saves else [8])


def test_sigterm_is_an_event_of_a_run_that_is_saved(tmp_path: Path) -> None:
    class Stopping(Told):
        def update(self, done: int, row) -> None:
            if done == 3:
                os.kill(os.getpid(), signal.SIGTERM)

    asked = Layers(None, PLAIN, {"data.source": "<array>"})
    session = fit(tmp_path / "run", asked, source=blobs(20), progress=Stopping())
    assert session.interrupted and session.learning.t == 3
    events = metrics.events(tmp_path / "run" / "metrics.jsonl")
    assert [(e["event"], e["iteration"]) for e in events] == [("stopped", 3)]
    learned(tmp_path / "run")  # goes on; what happened stays written
    assert metrics.events(tmp_path / "run" / "metrics.jsonl") == events


def test_events_are_cut_back_and_spoil_no_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    learned(tmp_path / "run")
    rows = (tmp_path / "run" / "metrics.jsonl").read_text("utf-8")
    event = {"event": "disk", "iteration": 5, "free": 3}
    path.write_text(rows + json.dumps(event) + "\n" + '{"event": 3, "iteration": 2}\n', "utf-8")
    assert len(metrics.load(path)) == 8 and metrics.events(path) == [event]
    metrics.cut(path, 6)
    assert metrics.events(path) == [event] and len(metrics.load(path)) == 6
    metrics.cut(path, 4)
    assert metrics.events(path) == [] and len(metrics.load(path)) == 4
