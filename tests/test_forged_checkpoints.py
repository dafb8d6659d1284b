"""Every lie about a checkpoint's files is found out, and told in one line."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoints import META, state

from abprop import checkpoint
from abprop.checkpoint import CheckpointError, latest, load, save, step_name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two checkpoints, steps 10 and 20."""
    for step in (10, 20):
        save(tmp_path / "run", step, state(step), META)
    return tmp_path / "run"


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
