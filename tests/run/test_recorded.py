"""What a run remembers of the machine it was learned on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import FACES, TABLE, Command

from abprop import machine, rehearsal
from abprop.errors import UserError
from abprop.run import Layers, Progress, fit, load
from abprop.run.directory import read_recipe
from abprop.run.recipe import dumps, on_machine

OPEN = (*FACES, "model.latent=4", "run.precision=auto", "run.device=auto")


class Told(Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def learn(folder: Path, source: Path, sets: Sequence[str], stop_at: int | None = None) -> list[str]:
    """Fit, and what was said."""
    told = Told()
    asked = Layers(None, sets, {"data.source": str(source)})
    fit(folder, asked, stop_at=stop_at, progress=told)
    return told.lines


def last(folder: Path) -> dict[str, bytes]:
    """The tensors of the newest checkpoint."""
    newest = max((folder / "checkpoints").iterdir())
    found = {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}
    assert found
    return found


@pytest.fixture
def half(shelf: Path, tmp_path: Path) -> Path:
    """A run stopped half way, in float32."""
    learn(tmp_path / "half", shelf / "faces.npy", (*FACES, "model.latent=4"), stop_at=4)
    return tmp_path / "half"


def chosen(folder: Path) -> tuple[str, str, int]:
    """What the recipe says of the machine."""
    run = read_recipe(folder).run
    return run.device, run.precision, run.threads


def faster(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A processor on which `name` is the faster precision."""

    def timed(networks: Any, *_: Any) -> list[float]:
        assert [n.dtype for n in networks] == [torch.bfloat16, torch.float32]
        return [0.5 if name == "bfloat16" else 2.0, 1.0]

    monkeypatch.setattr(rehearsal, "_knows_bfloat16", lambda where: True)
    monkeypatch.setattr(rehearsal, "_timed", timed)


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_was_chosen_is_recorded_and_stays(
    name: str, shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    given = (*OPEN, f"run.precision={name}")
    learn(tmp_path / "given", shelf / "faces.npy", given)
    faster(monkeypatch, name)
    learn(tmp_path / "run", shelf / "faces.npy", OPEN, stop_at=3)
    assert chosen(tmp_path / "run") == ("cpu", name, 1)
    faster(monkeypatch, {"float32": "bfloat16", "bfloat16": "float32"}[name])
    said = learn(tmp_path / "run", shelf / "faces.npy", ())
    assert chosen(tmp_path / "run") == ("cpu", name, 1)
    assert not any("bit for bit" in line for line in said)
    assert last(tmp_path / "run") == last(tmp_path / "given")
    assert next(load(tmp_path / "run").model.network.parameters()).device.type == "cpu"
    assert load(tmp_path / "run").model.network.dtype == getattr(torch, name)


def test_auto_on_resume_chooses_again_and_says_so(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    faster(monkeypatch, "bfloat16")
    learn(tmp_path, shelf / "faces.npy", OPEN, stop_at=3)
    faster(monkeypatch, "float32")
    said = learn(tmp_path, shelf / "faces.npy", ("run.precision=auto", "run.threads=0"))
    assert chosen(tmp_path) == ("cpu", "float32", 1)
    assert [line for line in said if "bit for bit" in line] == [
        "note: run.precision was bfloat16, now float32: "
        "the result will not be bit for bit that of an unchanged run"
    ]


def test_exact_kernels_and_tables_stay_in_float32(
    shelf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    faster(monkeypatch, "bfloat16")
    learn(tmp_path / "a", shelf / "faces.npy", (*OPEN, "infer.kernel=mala"), stop_at=1)
    learn(tmp_path / "b", shelf / "full.csv", (*TABLE, "run.precision=auto"), stop_at=1)
    assert chosen(tmp_path / "a")[1] == chosen(tmp_path / "b")[1] == "float32"


def rewritten(folder: Path, **run: Any) -> None:
    """The run's recipe with other words about the machine."""
    recipe = on_machine(read_recipe(folder), **run)
    (folder / "recipe.toml").write_text(dumps(recipe), "utf-8")


def test_a_recorded_device_that_is_gone(half: Path, shelf: Path, abprop: Command):
    rewritten(half, device="cuda")
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    words = ("fit", shelf / "faces.npy", "--run", half)
    assert "learned on cuda" in abprop(*words).complaint
    assert "--device auto chooses again" in abprop(*words).complaint
    assert load(half).device.type == "cpu"
    with pytest.raises(UserError, match="--device cuda"):
        load(half, device="cuda")
    done = abprop(*words, "--device", "auto")
    assert done.code == 0 and "run.device was cuda, now cpu" in done.err
    assert chosen(half)[0] == "cpu"


def test_a_run_of_a_larger_machine_is_loaded_with_the_threads_there_are(
    half: Path, monkeypatch: pytest.MonkeyPatch
):
    rewritten(half, threads=64)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    load(half)
    assert torch.get_num_threads() == 2
    assert chosen(half)[2] == 64


def test_a_recipe_that_left_it_open_goes_on_as_it_began(
    half: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    rewritten(half, device="auto", precision="auto", threads=0)
    faster(monkeypatch, "bfloat16")
    assert load(half).model.network.dtype == torch.float32
    said = learn(half, shelf / "faces.npy", ())
    assert chosen(half) == ("cpu", "float32", 1)
    assert not any("bit for bit" in line for line in said)
