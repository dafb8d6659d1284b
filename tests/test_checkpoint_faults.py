"""Checkpoints on a disk that fails at any call, or is full: one line, and nothing is lost."""

from __future__ import annotations

import errno
import os
import resource
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from checkpoints import holds, never, saved_in
from disk import READ_ONLY, REMOUNT, Short, ended, failing, forked, mount, nothing, tell, watched
from tiny import TWICE

from abprop.checkpoint import Checkpoint, files, latest, load, prune, save, step_name, steps
from abprop.errors import UserError
from abprop.run import Layers, fit, metrics

NUMBERS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO, errno.EDQUOT)
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
QUIET = pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here is lost by what the system forgets; waiting for a real disk takes minutes."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def folder(twice: Path, tmp_path: Path) -> Path:
    """Its checkpoints, for one test alone."""
    return Path(shutil.copytree(twice / "checkpoints", tmp_path / "run" / "checkpoints"))


# A disk that fails once, or from then on ------------------------------------------------------


def saved(folder: Path, step: int, state: Checkpoint) -> None:
    """As a run does: the new one, and no more than two."""
    save(folder, step, state.tensors, state.meta)
    prune(folder, {step, step - 1})


def one_fault(folder: Path, step: int, state: Checkpoint, strike: Callable) -> bool:
    """A save on a disk that fails, and the next one; whether an error was told."""
    told = False
    with watched(folder.parent, strike):
        try:
            saved(folder, step, state)
        except UserError as error:
            told = True
            assert str(error).isprintable() and "could not save checkpoint step-" in str(error)
            assert "is intact" in str(error)
    assert holds(latest(folder, never), state)
    saved(folder, step, state)
    assert sorted(os.listdir(folder)) == [step_name(step - 1), step_name(step)]
    return told


def faults(folder: Path, step: int, states: Sequence[Checkpoint], lasting: bool, every: int) -> int:
    """Each call of a save fails, with one number of an error or with each; how many were told."""
    with watched(folder.parent, nothing) as disk:
        saved(folder, step, states[1])
    told = 0
    for i in range(0, len(disk.calls) * len(NUMBERS), every):
        first, number = i // len(NUMBERS) + 1, NUMBERS[i % len(NUMBERS)]
        shutil.rmtree(folder)
        for before, state in enumerate(states, 1):
            save(folder, before, state.tensors, state.meta)
        strike = failing(number, first, None if lasting else first)
        told += one_fault(folder, step, states[1], strike)
    return told


@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_any_call_that_fails_costs_one_line(folder: Path, states, every: int) -> None:
    told = sum(faults(folder, s, states, lasting, every) for s in (2, 3) for lasting in (0, 1))
    tell("calls that fail while saving", told, "one line; the older checkpoint intact")
    assert told > 500 / every


def test_writes_that_do_a_half_at_a_time_are_no_fault(folder: Path, states) -> None:
    def halve(count: int, name: str) -> None:
        if name == "write":
            raise Short

    with watched(folder, halve) as disk:
        saved(folder, 3, states[1])
    assert disk.calls.count("write") > 20
    assert holds(latest(folder, never), states[1]) and steps(folder) == [2, 3]
    tell("short writes", disk.calls.count("write"), "the rest is written too")


@pytest.mark.parametrize(
    ("number", "mend"),
    [
        (errno.EFBIG, "allow larger files (ulimit -f) and"),
        (errno.EIO, "see whether that disk is sound and"),
        (errno.EACCES, "make that folder writable and"),
    ],
)
def test_what_to_do_fits_the_fault(folder: Path, states, number: int, mend: str) -> None:
    with watched(folder, failing(number, 8)), pytest.raises(UserError) as caught:
        saved(folder, 3, states[1])
    assert f"{os.strerror(number)}; {mend} run the same command" in str(caught.value)
    assert "the checkpoint at step 2 is intact" in str(caught.value)


def test_deleting_never_fails(folder: Path) -> None:
    with watched(folder, nothing) as disk:
        prune(Path(shutil.copytree(folder, folder / "all")), ())
    for first in range(1, len(disk.calls) + 1):
        copy = Path(shutil.copytree(folder / step_name(1), folder.parent / "some" / step_name(1)))
        with watched(copy.parent, failing(errno.EIO, first, first)):
            prune(copy.parent, ())
        prune(copy.parent, ())
        assert os.listdir(copy.parent) == []


# A run on such a disk -------------------------------------------------------------------------


def fitted(run: Path, source: Path) -> None:
    fit(run, Layers(None, TWICE, {"data.source": str(source)}))


@pytest.mark.parametrize("every", [6, pytest.param(1, marks=pytest.mark.slow)])
def test_a_fit_on_a_failing_disk_is_one_line_and_goes_on(
    every: int, shelf: Path, twice: Path, tmp_path: Path
) -> None:
    run, source, told = tmp_path / "run", shelf / "other.npy", 0
    with watched(run, nothing) as disk:
        fitted(run, source)
    whole = saved_in(twice)
    for first in range(1, len(disk.calls) + 1, every):
        shutil.rmtree(run)
        with watched(run, failing(NUMBERS[first % len(NUMBERS)], first)):
            try:
                fitted(run, source)
            except UserError as error:
                told += 1
                assert str(error).isprintable(), error
        fitted(run, source)
        assert holds(load(run / "checkpoints" / step_name(2)), whole[1])
        assert [row["iteration"] for row in metrics.load(run / "metrics.jsonl")] == [1, 2]
        assert not [p for p in run.rglob("*") if p.name.startswith((files.TEMPORARY, ".old-"))]
    tell("calls that fail while a run learns", told, "one line; the same command goes on")
    assert told > 60 / every


# Real ones ------------------------------------------------------------------------------------

SKIPPED = 77  # exit code of a child that may have no disk of its own


def must_fail(folder: Path, state: Checkpoint, step: int, why: str) -> None:
    """A save that the system refuses, told in one line that leaves no debris."""
    with pytest.raises(UserError, match=why) as caught:
        saved(folder, step, state)
    assert str(caught.value).isprintable() and steps(folder)[-1] < step
    assert not [name for name in os.listdir(folder) if name.startswith(files.TEMPORARY)]


def on_a_small_disk(folder: Path, state: Checkpoint, mount_at: Path) -> None:
    try:
        mount(mount_at, 1_000_000)
    except OSError:
        os._exit(SKIPPED)
    save(folder, 1, state.tensors, state.meta)
    save(folder, 2, state.tensors, state.meta)
    (mount_at / "other").write_bytes(bytes(shutil.disk_usage(mount_at).free - 20_000))
    must_fail(folder, state, 3, "No space left on device; free some room")
    assert holds(latest(folder, never), state)
    (mount_at / "other").unlink()
    saved(folder, 3, state)
    mount(mount_at, 1_000_000, REMOUNT | READ_ONLY)
    must_fail(folder, state, 4, "Read-only file system; make that folder writable")
    assert holds(latest(folder, never), state) and steps(folder) == [2, 3]


@FORKS
@QUIET
def test_a_disk_that_is_really_full_or_read_only(states, tmp_path: Path) -> None:
    at = tmp_path / "disk"
    at.mkdir()
    code = ended(forked(lambda: on_a_small_disk(at / "run" / "checkpoints", states[1], at)))
    if code == SKIPPED:
        pytest.skip("no file system may be mounted here, not even by a process for itself")
    assert code == 0


def under_a_limit(folder: Path, state: Checkpoint) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    must_fail(folder, state, 3, "File too large; allow larger files")
    assert holds(latest(folder, never), state)


@FORKS
@QUIET
def test_files_that_may_not_be_that_large(folder: Path, states) -> None:
    assert ended(forked(lambda: under_a_limit(folder, states[1]))) == 0
    saved(folder, 3, states[1])
