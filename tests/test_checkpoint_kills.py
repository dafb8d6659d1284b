"""Writers that die at any moment: the newest whole checkpoint is found, and the run goes on."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoints import files
from disk import die, ended, forked, nothing, tell, watched
from tiny import TWICE, Command, keys

from abprop.checkpoint import Checkpoint, latest, lock, prune, save, step_name, steps
from abprop.checkpoint.manifest import STEP
from abprop.errors import UserError
from abprop.run import Layers, fit, metrics
from abprop.run.fitting.saving import Saver

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning"),
]


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that goes on forgets nothing when a process dies; a real disk takes minutes."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


def killed(work: Callable[[Callable[[int], None]], object], wait: float) -> list[int]:
    """Let a child work, and kill it so many seconds after it began; what it told until then.

    Args:
        work: given what tells a number to the parent.
        wait: seconds from the first number on.
    """
    read, write = os.pipe()
    child = forked(lambda: work(lambda step: os.write(write, struct.pack("q", step)) and None))
    os.close(write)
    ready, _, _ = select.select([read], [], [], 60)
    assert ready, "the child did not begin"
    time.sleep(wait)
    os.kill(child, signal.SIGKILL)
    with open(read, "rb") as pipe:
        told = pipe.read()
    assert ended(child) == -signal.SIGKILL, "it was still at work"
    return [step for (step,) in struct.iter_unpack("q", told)]


def found_after(folder: Path, done: int) -> Checkpoint:
    """The newest good one: not older than what was told to be done, and nothing newer is silent."""
    told: list[str] = []
    found = latest(folder, told.append)
    assert found is not None and found.step >= done
    newer = [step for step in steps(folder) if step > found.step]
    assert len(told) == len(newer), "each newer one was told of"
    return found


def group(step: int) -> dict[str, dict[str, torch.Tensor]]:
    return {name: {"w": torch.full((5000,), step)} for name in ("network", "optimizer", "latents")}


def saves(run: Path, tell: Callable[[int], None]) -> None:
    """Saves for ever; the first replaces the newest."""
    with lock(run):
        tell(0)
        for step in range(max(steps(run), default=1), 10**8):
            save(run, step, group(step), {"step": step})
            tell(step)
            prune(run, keep={step, step - 1})


@pytest.mark.parametrize("kills", [25, pytest.param(200, marks=pytest.mark.slow)])
def test_a_save_killed_at_a_random_moment(kills: int, tmp_path: Path) -> None:
    draw, done, between = random.Random(0), 0, 0
    for _ in range(kills):
        done = max([done, *killed(lambda tell: saves(tmp_path, tell), draw.uniform(0, 0.03))])
        between += any(name.startswith(".tmp-") for name in os.listdir(tmp_path))
        if done:
            found = found_after(tmp_path, done)
            assert found.meta == {"step": found.step}
            assert all(torch.equal(g["w"], group(found.step)["network"]["w"])
                       for g in found.tensors.values())  # fmt: skip
    assert between > kills / 5, "many died within a save"
    tell("kill -9 while saving", kills, f"the newest whole one; {between} within a save")


# A run ----------------------------------------------------------------------------------------


def fitted(run: Path, source: Path, *sets: str) -> None:
    fit(run, Layers(None, (*TWICE, *sets), {"data.source": str(source)}))


def weights(run: Path, step: int) -> dict[str, bytes]:
    """Every byte of a checkpoint."""
    return files(run / "checkpoints" / step_name(step))


@pytest.mark.parametrize("kills", [10, pytest.param(200, marks=pytest.mark.slow)])
@pytest.mark.usefixtures("no_waiting")
def test_a_run_killed_over_and_over_ends_in_the_same_bytes(
    kills: int, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, source, draw, done = tmp_path / "run", shelf / "other.npy", random.Random(1), 0
    last, real = 16 * kills + 80, Saver.save
    total = f"train.iterations={last}"
    fitted(tmp_path / "whole", source, total, "checkpoint.every=60s")

    def learns(tell: Callable[[int], None]) -> None:
        def saved(saver: Saver) -> None:
            real(saver)
            tell(saver.learning.t)

        monkeypatch.setattr(Saver, "save", saved)
        fitted(run, source, total)

    for _ in range(kills):
        done = max([done, *killed(learns, draw.uniform(0, 0.05))])
        assert found_after(run / "checkpoints", done).step - done <= 1
    fitted(run, source, total)
    assert weights(run, last) == weights(tmp_path / "whole", last)
    tell("kill -9 while a run learns and saves", kills, f"the same bytes at iteration {last}")


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("power", [False, True], ids=["killed", "power cut"])
@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_that_dies_at_any_call_ends_in_the_same_bytes(
    every: int, power: bool, shelf: Path, twice: Path, tmp_path: Path
) -> None:
    """Within a save, between it and an iteration, while anything is written, renamed, deleted."""
    run, source, count = tmp_path / "run", shelf / "other.npy", 0
    sets, kept = ("train.iterations=3", "checkpoint.keep=1"), run / "checkpoints"
    with watched(run, nothing) as disk:
        fitted(run, source, *sets)
    whole = weights(run, 3)

    def dies(at: int) -> None:
        def strike(number: int, name: str) -> None:
            if number == at:
                if power:
                    disk.lose_what_is_not_synced()
                die()

        with watched(run, strike) as disk:
            fitted(run, source, *sets)

    for at in range(1, len(disk.calls) + 1, every):
        shutil.rmtree(run)
        assert ended(forked(lambda at=at: dies(at))) == -signal.SIGKILL
        latest(kept, pytest.fail)
        fitted(run, source, *sets)
        assert weights(run, 3) == whole and all(map(STEP.fullmatch, os.listdir(kept)))
        done = [row["iteration"] for row in metrics.load(run / "metrics.jsonl")]
        assert done == [1, 2, 3] or (power and set(done) <= {1, 2, 3})
        count += 1
    tell("power cuts" if power else "kills at each call", count, "the same bytes in the end")
    assert count > 100 / every


def test_commands_find_what_was_set_aside_when_a_save_was_killed(
    twice: Path, tmp_path: Path, abprop: Command
) -> None:
    kept = Path(shutil.copytree(twice, tmp_path / "run")) / "checkpoints"
    (kept / step_name(2)).rename(kept / f".old-{step_name(2)}")
    done = abprop("info", tmp_path / "run", "--json")
    assert done.code == 0 and json.loads(done.out)["iteration"] == 2
    assert abprop("sample", tmp_path / "run", "-o", tmp_path / "x.png").code == 0


def test_what_killed_saves_left_is_gone_before_a_run_goes_on(
    shelf: Path, twice: Path, tmp_path: Path
) -> None:
    """Also where nothing is left to learn: on a full disk it would be in the way for ever."""
    kept = Path(shutil.copytree(twice, tmp_path / "run")) / "checkpoints"
    (kept / step_name(2)).rename(kept / f".old-{step_name(2)}")
    shutil.copytree(kept / step_name(1), kept / f".tmp-{step_name(3)}-123")
    fitted(tmp_path / "run", shelf / "other.npy")
    assert sorted(os.listdir(kept)) == [step_name(1), step_name(2)]


# Writers and readers side by side ---------------------------------------------------------------


def test_a_second_writer_is_refused_and_a_killed_one_leaves_no_lock(
    shelf: Path, run_dir: Path, abprop: Command
) -> None:
    source, (read, write) = shelf / "other.npy", os.pipe()
    child = forked(lambda: endless(run_dir, source, write))
    assert os.read(read, 1)
    words = ("fit", source, "--run", run_dir, *keys(*TWICE))
    assert f"another abprop is writing to {run_dir}; wait or choose" in abprop(*words).complaint
    os.kill(child, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert abprop(*words).code == 0
    os.close(read)
    os.close(write)


def endless(run: Path, source: Path, write: int) -> None:
    with lock(run):
        os.write(write, b"!")
        time.sleep(60)


def test_of_many_writers_one_holds_the_lock(tmp_path: Path) -> None:
    """Each writes a file that must not be there yet, and takes it away again."""

    def holds() -> None:
        for _ in range(50):
            try:
                with lock(tmp_path):
                    (tmp_path / "mine").touch(exist_ok=False)
                    time.sleep(0.001)
                    (tmp_path / "mine").unlink()
            except UserError:
                time.sleep(0.0005)

    assert [ended(child) for child in [forked(holds) for _ in range(6)]] == [0] * 6


@pytest.mark.usefixtures("no_waiting")
def test_a_reader_beside_a_writer_finds_a_whole_one(tmp_path: Path) -> None:
    save(tmp_path, 1, group(1), {})
    found: list[int] = []

    def reads() -> None:
        while len(found) < 150:
            one = latest(tmp_path, pytest.fail)
            assert one is not None and not (found and one.step < found[-1])
            found.append(one.step)

    def writes() -> None:
        for step in range(2, 10**6):
            save(tmp_path, step, group(step), {})
            prune(tmp_path, {step})

    child = forked(writes)
    try:
        reads()
    finally:
        os.kill(child, signal.SIGKILL)
        ended(child)
    assert found[-1] > found[0]
