"""Checkpoints: exact round trips, every lie found out, and nothing lost to faults or kills."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import signal
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st

from abprop import checkpoint
from abprop.checkpoint import CheckpointError, latest, load, lock, prune, save, step_name, steps
from abprop.errors import UserError

META = {"recipe": {"seed": 0, "rate": 1e-05, "name": "é"}, "versions": ["2.13", None, True]}


def state(value: float = 1.0) -> dict[str, dict[str, torch.Tensor]]:
    return {
        "network": {"dense.weight": torch.full((3, 4), value), "bias": torch.zeros(0, 5)},
        "optimizer": {"step": torch.tensor(7), "m": torch.ones(2, dtype=torch.bfloat16) * value},
        "latents-00000": {"ids": torch.tensor([3, 2**40]), "s": torch.tensor(0.1).double()},
    }


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def never(line: str) -> None:
    raise AssertionError(line)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, steps 10 and 20, full of tens and twenties."""
    for step in (10, 20):
        save(tmp_path / "run", step, state(step), META)
    return tmp_path / "run"


def same(a: dict[str, dict[str, torch.Tensor]], b: dict[str, dict[str, torch.Tensor]]) -> bool:
    return a.keys() == b.keys() and all(
        a[g].keys() == b[g].keys()
        and all(torch.equal(t, b[g][k]) and t.dtype == b[g][k].dtype for k, t in a[g].items())
        for g in a
    )


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
    tensors = {"network": {"a": whole, "b": whole.T, "c": whole[1], "d": whole[:1].expand(5, 4)}}
    assert same(load(save(tmp_path, 0, tensors, {})).tensors, tensors)


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


# Lies are found out ------------------------------------------------------------------------


def reseal(folder: Path, change: Callable[[dict], object]) -> None:
    """Rewrite a manifest so that its own checksum is right again: a forger, not an accident."""
    path = folder / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_bytes(checkpoint.manifest.sealed(content))


def plant(folder: Path, data: bytes) -> None:
    """Put other bytes in network.safetensors, with a manifest that vouches for them."""
    (folder / "network.safetensors").write_bytes(data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    reseal(folder, lambda content: content["files"].update({"network.safetensors": entry}))


def tensors_file(header: object, body: bytes = b"", length: int | None = None) -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


def entry(start: int, end: int, shape: list[int]) -> dict[str, object]:
    return {"dtype": "F32", "shape": shape, "data_offsets": [start, end]}


def rename_to(name: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        reseal(
            folder,
            lambda content: content["files"].update(
                {name: content["files"].pop("network.safetensors")}
            ),
        )

    return forge


def truncate(folder: Path) -> None:
    path = folder / "network.safetensors"
    path.write_bytes(path.read_bytes()[:-1])


def flip(folder: Path) -> None:
    path = folder / "network.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def link(name: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        (folder / name).rename(folder / "elsewhere")
        (folder / name).symlink_to(folder / "elsewhere")

    return forge


def link_folder(folder: Path) -> None:
    folder.rename(folder.parent / "elsewhere")
    folder.symlink_to(folder.parent / "elsewhere")


def fifo(folder: Path) -> None:
    (folder / "network.safetensors").unlink()
    os.mkfifo(folder / "network.safetensors")


def manifest(text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "manifest.json").write_text(text)


def bomb(folder: Path) -> None:
    with open(folder / "manifest.json", "ab") as file:
        file.truncate(1 << 40)  # sparse: takes no room


def sealed(**changes: object) -> Callable[[Path], None]:
    return lambda folder: reseal(folder, lambda content: content.update(changes))


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (truncate, "network.safetensors: it has .* bytes, not"),
    "a flipped bit": (flip, "network.safetensors: .* SHA-256"),
    "missing": (lambda f: (f / "optimizer.safetensors").unlink(), "optimizer.* missing"),
    "a symlink": (link("network.safetensors"), "network.safetensors: it is a symbolic link"),
    "the manifest a symlink": (link("manifest.json"), "manifest.json: it is a symbolic link"),
    "the folder a symlink": (link_folder, "step-00000020: it is a symbolic link"),
    "a pipe": (fifo, "network.safetensors: it is not a file"),
    "no manifest": (lambda f: (f / "manifest.json").unlink(), "manifest.json: it is missing"),
    "an empty manifest": (manifest(""), "manifest.json: it is not JSON"),
    "a manifest of nothing": (manifest("{}"), "not a checkpoint's manifest"),
    "a manifest that is a list": (manifest("[]"), "not a checkpoint's manifest"),
    "a deep manifest": (manifest("[" * 10**5), "manifest.json: it is not JSON"),
    "deep, but valid": (manifest('{"a":' * 900 + "1" + "}" * 900), "manifest.json: it is not"),
    "not text": (lambda f: (f / "manifest.json").write_bytes(b"\xff\x00"), "it is not JSON"),
    "a huge manifest": (bomb, "manifest.json: it has .* bytes, more than"),
    "up and away": (rename_to("../../etc/passwd"), "manifest.json: it names files"),
    "an absolute path": (rename_to("/etc/passwd"), "manifest.json: it names files"),
    "an absolute tensor": (rename_to("/etc/a.safetensors"), "manifest.json: it names files"),
    "a hidden file": (rename_to("..safetensors"), "manifest.json: it names files"),
    "newer": (sealed(format=3), r"newer abprop \(format 3\); this one reads 1: upgrade abprop"),
    "newer, sealed otherwise": (manifest('{"format": 2}'), "newer abprop"),
    "format zero": (sealed(format=0), "not a checkpoint's manifest"),
    "format true": (sealed(format=True), "not a checkpoint's manifest"),
    "another step": (sealed(iteration=21), "it is of iteration 21"),
    "a step that is no number": (sealed(iteration="20"), "it names files or values"),
    "files that are a list": (sealed(files=[]), "it names files or values"),
    "a file of unknown size": (sealed(files={"a.safetensors": {}}), "it names files or values"),
    "a file of size true": (
        sealed(files={"network.safetensors": {"bytes": True, "sha256": ""}}),
        "it names files or values",
    ),
    "an edited manifest": (
        lambda f: (f / "manifest.json").write_text(
            (f / "manifest.json").read_text().replace('"seed": 0', '"seed": 1')
        ),
        "manifest.json: its contents do not match",
    ),
    "no tensors at all": (lambda f: plant(f, b""), "not a safetensors file"),
    "a huge header": (lambda f: plant(f, tensors_file({}, length=1 << 62)), "not a safetensors"),
    "a long header": (lambda f: plant(f, tensors_file({}, length=1 << 20)), "not a safetensors"),
    "overlapping tensors": (
        lambda f: plant(f, tensors_file({"a": entry(0, 4, [1]), "b": entry(0, 4, [1])}, b"1234")),
        "not a safetensors file",
    ),
    "a tensor past the end": (
        lambda f: plant(f, tensors_file({"a": entry(0, 400, [100])}, b"1234")),
        "not a safetensors file",
    ),
    "a shape that overflows": (
        lambda f: plant(f, tensors_file({"a": entry(0, 4, [1 << 62, 1 << 62])}, b"1234")),
        "not a safetensors file",
    ),
    "a hole": (
        lambda f: plant(f, tensors_file({"a": entry(4, 8, [1])}, b"12345678")),
        "not a safetensors file",
    ),
    "an unknown type": (
        lambda f: plant(f, tensors_file({"a": {**entry(0, 4, [1]), "dtype": "OBJECT"}}, b"1234")),
        "not a safetensors file",
    ),
    "a header that is a list": (lambda f: plant(f, tensors_file([])), "not a safetensors file"),
    "a pickle": (lambda f: plant(f, b"\x80\x04cposix\nsystem\n."), "not a safetensors file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_checkpoint_is_named_and_passed_over(folder: Path, case: str):
    forge, message = HOSTILE[case]
    forge(folder / "step-00000020")
    with pytest.raises(CheckpointError, match=message) as caught:
        load(folder / "step-00000020")
    assert "\n" not in str(caught.value)
    skipped: list[str] = []
    found = latest(folder, skipped.append)
    assert found is not None and found.step == 10
    assert len(skipped) == 1 and skipped[0].startswith("skipped the checkpoint at step 20: ")


def test_no_good_checkpoint_left(folder: Path):
    for step in (10, 20):
        flip(folder / step_name(step))
    skipped: list[str] = []
    with pytest.raises(CheckpointError, match=r"no good checkpoint .*step-00000020.*--run"):
        latest(folder, skipped.append)
    assert len(skipped) == 2


def test_an_unreadable_file(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(self: Path) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(CheckpointError, match=r"manifest\.json: Permission denied"):
        load(folder / "step-00000020")


@pytest.mark.parametrize("name", [f"{group}.safetensors" for group in state()])
def test_any_flipped_bit_is_found_in(folder: Path, name: str):
    flip_and_load(folder / "step-00000020", name)


def test_any_flipped_bit_is_found_in_the_manifest(folder: Path):
    flip_and_load(folder / "step-00000020", "manifest.json")


def flip_and_load(folder: Path, name: str) -> None:
    original = (folder / name).read_bytes()
    draw = random.Random(name)
    for _ in range(100):
        data = bytearray(original)
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        (folder / name).write_bytes(data)
        with pytest.raises(CheckpointError):
            load(folder)
    (folder / name).write_bytes(original)
    load(folder)


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
    "encode": (safetensors.torch, "save"),
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


# Killed writers ----------------------------------------------------------------------------


def write_for_ever(run: Path) -> None:
    with lock(run):
        for step in range(steps(run)[-1], 10**8):  # its first save replaces the newest
            save(run, step, {"network": {"w": torch.full((2000,), float(step))}}, {"step": step})
            prune(run, keep={step, step - 1})


def killed_after(seconds: float, run: Path) -> None:
    child = os.fork()
    if not child:
        try:
            write_for_ever(run)
        finally:
            os._exit(1)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_kill_at_any_moment_leaves_a_good_checkpoint_and_no_lock(tmp_path: Path):
    draw = random.Random(0)
    save(tmp_path, 0, {"network": {"w": torch.zeros(2000)}}, {"step": 0})
    done = 0
    for _ in range(20):
        killed_after(draw.uniform(0.01, 0.12), tmp_path)
        found = latest(tmp_path, never)
        assert found is not None and found.meta == {"step": found.step} and found.step >= done
        assert torch.equal(found.tensors["network"]["w"], torch.full((2000,), float(found.step)))
        done = found.step
        with lock(tmp_path):
            pass
    assert done > 0


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
