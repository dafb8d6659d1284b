"""Checkpoints whose bytes changed, ended early, moved or went: found, told, and stepped back."""

from __future__ import annotations

import os
import pickle
import random
import resource
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from checkpoints import holds, saved_in
from disk import ended, forked, tell
from test_forged_checkpoints import HOSTILE

from abprop.checkpoint import Checkpoint, CheckpointError, latest, load, prune, save, step_name
from abprop.errors import UserError
from abprop.run import load as load_run

FLIPS = 1000


@pytest.fixture
def folder(twice: Path, tmp_path: Path) -> Path:
    """Its checkpoints, for one test alone."""
    return Path(shutil.copytree(twice / "checkpoints", tmp_path / "run" / "checkpoints"))


def newest(folder: Path) -> list[Path]:
    """The files of step 2."""
    return sorted((folder / step_name(2)).iterdir())


def stepped_back(folder: Path, state: Checkpoint) -> str:
    """The older one is taken; the one line that was told."""
    told: list[str] = []
    assert holds(latest(folder, told.append), state), "the older one is as it was"
    (line,) = told
    assert line.startswith("skipped the checkpoint at step 2: ") and line.isprintable()
    return line


def test_every_flipped_bit_is_found(folder: Path, states: list[Checkpoint]) -> None:
    whole = {path: path.read_bytes() for path in newest(folder)}
    bits = [(path, bit) for path, data in whole.items() for bit in range(8 * len(data))]
    for path, bit in random.Random(0).sample(bits, FLIPS):
        flip(path, whole[path], bit)
        assert path.name in stepped_back(folder, states[0])
        path.write_bytes(whole[path])
    assert {path.name for path in whole} > {"manifest.json", "network.safetensors"}
    tell("flipped bits", FLIPS, "one line, the older checkpoint")


def flip(path: Path, data: bytes, bit: int) -> None:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    path.write_bytes(changed)


@pytest.mark.slow
def test_each_single_bit_is_found(folder: Path) -> None:
    count = 0
    for path in newest(folder):
        data = path.read_bytes()
        for bit in range(8 * len(data)):
            flip(path, data, bit)
            with pytest.raises(CheckpointError):
                load(folder / step_name(2))
            count += 1
        path.write_bytes(data)
    load(folder / step_name(2))
    tell("flipped bits, each one there is", count, "found")


@pytest.mark.parametrize("every", [16, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_that_ends_early_or_late_is_found(folder: Path, states, every: int) -> None:
    count = 0
    for path in newest(folder):
        data = path.read_bytes()
        shorter = [data[:length] for length in range(0, len(data), every)]
        longer = [data + more for more in (b"\0", b"\n", b" " * 8, data, os.urandom(99))]
        for changed in shorter + longer:
            path.write_bytes(changed)
            assert path.name in stepped_back(folder, states[0])
        count += len(shorter + longer)
        path.write_bytes(data)
    tell("files cut short or longer", count, "one line, the older checkpoint")
    assert count > 6000 / every


def test_blocks_of_zeros_are_found(folder: Path, states) -> None:
    """What a crash leaves of a file whose blocks were never written."""
    count = 0
    for path in newest(folder):
        data = path.read_bytes()
        for begin in range(0, len(data), 512):
            end = min(begin + 512, len(data))
            changed = data[:begin] + bytes(end - begin) + data[end:]
            if changed != data:
                path.write_bytes(changed)
                assert path.name in stepped_back(folder, states[0])
                count += 1
        path.write_bytes(data)
    tell("blocks of zeros", count, "one line, the older checkpoint")


def each_way(folder: Path) -> Iterator[tuple[Path, Callable[[], object]]]:
    """Ways in which a file of step 2 can be wrong: which file is named, and what happens to it."""
    for path in newest(folder):
        other, away = folder / step_name(1) / path.name, folder.parent / path.name
        yield path, path.unlink
        yield path, lambda path=path: path.write_bytes(b"")
        yield path, lambda path=path: (path.unlink(), path.mkdir())
        yield path, lambda path=path, away=away: (path.rename(away), path.symlink_to(away))
        if other.read_bytes() != path.read_bytes():
            yield path, lambda path=path, other=other: shutil.copy(other, path)
        for second in newest(folder):
            if path.suffix == second.suffix and path < second:
                yield path, lambda path=path, second=second: swap(path, second)


def swap(one: Path, two: Path) -> None:
    """Each has the other's name."""
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def test_files_that_are_missing_empty_swapped_or_not_files(twice: Path, tmp_path: Path) -> None:
    states, count = saved_in(twice), 0
    for i in range(len(list(each_way(twice / "checkpoints")))):
        folder = Path(shutil.copytree(twice / "checkpoints", tmp_path / str(i) / "checkpoints"))
        path, spoil = list(each_way(folder))[i]
        spoil()
        assert path.name in stepped_back(folder, states[0])
        count += 1
    tell("files missing, empty, swapped, linked", count, "one line, the older checkpoint")
    assert count > 25


def test_two_checkpoints_that_changed_places_are_both_found(folder: Path) -> None:
    swap(folder / step_name(1), folder / step_name(2))
    with pytest.raises(CheckpointError, match=r"no good .*step-00000002/manifest.json: .* 1;"):
        latest(folder, str)


def test_files_that_no_manifest_names_are_not_read(folder: Path, states) -> None:
    for name in ("extra.safetensors", "pickle.pkl", ".hidden", "manifest.json~"):
        (folder / step_name(2) / name).write_bytes(b"\x80\x04cposix\nsystem\n.")
    (folder / "step-00000003").write_text("no folder")
    assert holds(latest(folder, pytest.fail), states[1])
    save(folder, 4, states[1].tensors, states[1].meta)
    prune(folder, {4})
    assert sorted(os.listdir(folder)) == ["step-00000003", "step-00000004"], "only what is ours"


class Planted:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return Path.touch, (self.path,)


def test_planted_pickles_run_nothing(twice: Path, tmp_path: Path) -> None:
    run, marker = Path(shutil.copytree(twice, tmp_path / "run")), tmp_path / "it ran"
    live = pickle.dumps(Planted(marker))
    last = run / "checkpoints" / step_name(2)
    for folder in (run, run / "checkpoints", last):
        for name in ("model.pt", "recipe.pkl", "data.npy", "pytorch_model.bin", "latents.pickle"):
            (folder / name).write_bytes(live)
    assert load_run(run, say=pytest.fail).sample(2).std() > 0
    for path in last.glob("*.safetensors"):
        path.write_bytes(live)
    assert load_run(run, say=str).step == 1
    assert not marker.exists()
    pickle.loads(live)
    assert marker.exists(), "it would have run"


def forged_in_a_child(folder: Path, states: list[Checkpoint], forge: Callable) -> None:
    for state in states:
        save(folder, state.step, state.tensors, state.meta)
    forge(folder / step_name(2))
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(CheckpointError):
        load(folder / step_name(2))
    assert time.process_time() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_what_is_forged_takes_neither_time_nor_memory(states, tmp_path: Path) -> None:
    for case, (forge, _) in HOSTILE.items():
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        work = partial(forged_in_a_child, folder, states, forge)
        assert ended(forked(work)) == 0, case


def test_an_empty_folder_is_a_bad_checkpoint(folder: Path, states) -> None:
    (folder / step_name(3)).mkdir()
    told: list[str] = []
    assert holds(latest(folder, told.append), states[1])
    assert len(told) == 1 and "step-00000003/manifest.json: it is missing" in told[0]


def test_a_run_tells_what_it_skipped_and_that_none_is_left(twice: Path, tmp_path: Path) -> None:
    run, told = Path(shutil.copytree(twice, tmp_path / "run")), list[str]()
    (run / "checkpoints" / step_name(2) / "network.safetensors").write_bytes(b"")
    assert load_run(run, say=told.append).step == 1
    assert len(told) == 1 and "skipped the checkpoint at step 2" in told[0]
    (run / "checkpoints" / step_name(1) / "network.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"no good checkpoint is left .*--run"):
        load_run(run, say=told.append)
