"""Checkpoints: exact round trips, and nothing lost to faults or kills."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import safetensors.torch
import torch
from checkpoints import META, files, never, same, state
from hypothesis import given
from hypothesis import strategies as st

from abprop import checkpoint
from abprop.checkpoint import latest, load, lock, prune, save, step_name, steps, writing
from abprop.errors import UserError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, steps 10 and 20, full of tens and twenties."""
    for step in (10, 20):
        save(tmp_path / "run", step, state(step), META)
    return tmp_path / "run"


# What is saved comes back ------------------------------------------------------------------


def test_round_trip(folder: Path):
    found = load(folder / "step-00000020")
    assert (found.step, found.meta) == (20, META)
    assert same(found.tensors, state(20))
    assert found.tensors["optimizer"]["step"].shape == ()


DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.uint8]


@given(
    st.lists(st.integers(0, 3), max_size=4),
    st.sampled_from([*DTYPES, torch.bool]),
    st.sampled_from(["", "a", "a.b/c", "z é"]),
)
def test_round_trip_of_any_shape_and_type(tmp_path_factory, shape, dtype, name):
    folder = tmp_path_factory.mktemp("any")
    tensors = {"network": {name: torch.randint(0, 2, shape).to(dtype)}, "empty": {}}
    assert same(load(save(folder, 0, tensors, {})).tensors, tensors)


def test_views_shared_memory_and_gradients_are_saved_by_value(tmp_path: Path):
    whole = torch.arange(12.0).reshape(3, 4).requires_grad_()
    tensors = {"network": {"a": whole, "b": whole.T, "c": whole[1], "d": whole[:1].expand(5, 4),
                           "e": whole[2, 3].expand(1), "f": whole[1:2].expand(1, 4)}}  # fmt: skip
    assert same(load(save(tmp_path, 0, tensors, {})).tensors, tensors)


@given(st.dictionaries(
    st.text(st.characters(exclude_categories=("Cs",)), max_size=3),
    st.tuples(st.lists(st.integers(0, 3), max_size=3), st.sampled_from([*writing.DTYPES])),
))  # fmt: skip
def test_files_have_the_bytes_that_safetensors_gives_them(shapes):
    group = {name: torch.randint(0, 2, shape).to(dtype) for name, (shape, dtype) in shapes.items()}
    assert b"".join(writing.encoded(group)) == safetensors.torch.save(group)


def test_equal_states_make_equal_folders(tmp_path: Path):
    one = save(tmp_path / "a", 5, state(), META)
    backwards = {name: dict(reversed(group.items())) for name, group in state().items()}
    two = save(tmp_path / "b", 5, dict(reversed(backwards.items())), dict(reversed(META.items())))
    assert files(one) == files(two)


def test_saving_a_step_again_replaces_it(folder: Path):
    save(folder, 20, state(21), META)
    assert same(load(folder / "step-00000020").tensors, state(21))
    assert sorted(os.listdir(folder)) == ["step-00000010", "step-00000020"]


def test_latest_steps_and_prune(folder: Path):
    save(folder, 30, state(30), META)
    (folder / ".tmp-step-00000040-123").mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "step-7").mkdir()  # not a name that save gives
    assert steps(folder) == [10, 20, 30]
    found = latest(folder, never)
    assert found is not None and found.step == 30
    prune(folder, keep={10, 30})
    assert sorted(os.listdir(folder)) == ["notes.txt", "step-00000010", "step-00000030", "step-7"]


def test_nothing_saved_yet(tmp_path: Path):
    assert latest(tmp_path / "none", never) is None
    assert steps(tmp_path / "none") == []
    prune(tmp_path / "none", keep=())


def test_prune_never_fails(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "no")

    for name in ("replace", "rmdir", "unlink"):
        monkeypatch.setattr(os, name, refuse)
    prune(folder, keep=())
    monkeypatch.undo()
    assert 20 in steps(folder)


def test_a_group_name_is_never_a_path(tmp_path: Path):
    with pytest.raises(ValueError, match="cannot be called"):
        save(tmp_path / "run", 0, {"../network": {}}, {})
    assert steps(tmp_path / "run") == [] and list(tmp_path.rglob("*")) == [tmp_path / "run"]


# Faults while saving -----------------------------------------------------------------------

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def fail_at(monkeypatch: pytest.MonkeyPatch, owner: object, name: str, count: int) -> list[int]:
    """Make call number `count` of owner.name raise; returns the calls counted so far."""
    real, calls = getattr(owner, name), [0]

    def faulty(*args, **kwargs):
        calls[0] += 1
        if calls[0] == count:
            raise FULL
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, faulty)
    return calls


POINTS = {
    "mkdir": (Path, "mkdir"),
    "stat": (os, "fstat"),
    "fsync": (os, "fsync"),
    "rename": (os, "replace"),
    "encode": (writing, "encoded"),
}


@pytest.mark.parametrize("step", [20, 30], ids=["over an old one", "a new one"])
@pytest.mark.parametrize("point", POINTS)
def test_a_full_disk_at_any_point_costs_nothing(folder: Path, point: str, step: int):
    for count in range(1, 50):
        with pytest.MonkeyPatch.context() as patch:
            calls = fail_at(patch, *POINTS[point], count)
            try:
                save(folder, step, state(step), META)
            except UserError as error:
                assert "No space left on device; free some room and run the same" in str(error)
                assert "the checkpoint at step 20 is intact" in str(error) or step in steps(folder)
        found = latest(folder, never)
        assert found is not None and found.step in (20, step)
        assert same(found.tensors, state(found.step))
        assert not [name for name in os.listdir(folder) if name.startswith(".tmp-")]
        if calls[0] < count:  # it went through: every point has failed once
            break
    assert count > 1
    assert same(load(folder / step_name(step)).tensors, state(step))


def test_a_short_write_is_noticed(folder: Path, monkeypatch: pytest.MonkeyPatch):
    real = os.fsync

    def lose_the_end(descriptor: int) -> None:
        if os.path.isfile(f"/proc/self/fd/{descriptor}"):
            os.ftruncate(descriptor, 5)
        real(descriptor)

    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc")
    monkeypatch.setattr(os, "fsync", lose_the_end)
    with pytest.raises(UserError, match="the disk kept only a part"):
        save(folder, 30, state(30), META)
    assert steps(folder) == [10, 20]


@pytest.mark.parametrize(
    "number, hint", [(errno.EROFS, "make that folder writable"), (errno.EDQUOT, "free some room")]
)
def test_the_advice_fits_the_fault(tmp_path, monkeypatch, number: int, hint: str):
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(UserError, match=f"{os.strerror(number)}; {hint} .*there is no older one"):
        save(tmp_path / "run", 1, state(), META)


def test_a_step_left_aside_by_a_kill_is_still_found(folder: Path):
    (folder / "step-00000020").rename(folder / ".old-step-00000020")
    found = latest(folder, never)
    assert found is not None and found.step == 20
    prune(folder, keep={20})
    assert os.listdir(folder) == ["step-00000020"]


# The lock ----------------------------------------------------------------------------------


def test_one_writer_at_a_time(tmp_path: Path):
    run = tmp_path / "new" / "run"
    with (
        lock(run),
        pytest.raises(UserError, match=f"another abprop is writing to {run}; .* --run"),
        lock(run),
    ):
        pass
    with lock(run):
        pass


def test_a_lock_is_let_go_when_the_writer_fails(tmp_path: Path):
    with pytest.raises(ZeroDivisionError), lock(tmp_path):
        1 / 0
    with lock(tmp_path):
        pass


def test_a_run_that_is_a_file(tmp_path: Path):
    (tmp_path / "run").write_text("")
    with (
        pytest.raises(UserError, match=r"cannot write to .*; choose another --run"),
        lock(tmp_path / "run"),
    ):
        pass


# One file, whole or not at all -------------------------------------------------------------


def test_a_file_is_replaced_whole_and_leaves_nothing_beside_it(tmp_path: Path):
    path = tmp_path / "note.txt"
    checkpoint.write_text(path, "é\n")
    checkpoint.write_bytes(path, b"\x00\r\n\xff")
    assert path.read_bytes() == b"\x00\r\n\xff" and os.listdir(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("point", ["stat", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch, point: str):
    path = tmp_path / "note.txt"
    checkpoint.write_bytes(path, b"old")
    fail_at(monkeypatch, *POINTS[point], 1)
    with pytest.raises(UserError, match=r"cannot write .*note\.txt: No space left on device; free"):
        checkpoint.write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["note.txt"]


@pytest.mark.parametrize("where", ["file/note.txt", "none/note.txt", "x" * 300])
def test_a_place_where_no_file_can_be_is_one_line(tmp_path: Path, where: str):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write"):
        checkpoint.write_bytes(tmp_path / where, b"new")
