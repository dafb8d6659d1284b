"""Devices, precision by measurement, memory and what a container leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import torch
from torch import Tensor

from abprop import machine
from abprop.errors import UserError
from abprop.networks import ConvGenerator, Frozen, LinearGenerator, Pullback

CPU = torch.device("cpu")

# Precision ------------------------------------------------------------------------------------


class Clock:
    """A processor on which passes take as long as one says; and how many there were."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.now, self.passes = seconds, 0.0, 0
        self.held: set[int] = set()  # passes that another program keeps waiting
        self.rows = 0  # of the largest

    def __call__(self) -> float:
        return self.now

    def network(self, signal: tuple[int, ...]) -> Callable[[torch.dtype], ConvGenerator]:
        """Networks whose passes this clock knows."""

        def make(dtype: torch.dtype) -> ConvGenerator:
            return Timed(self, (3,), signal, channels=4, dtype=dtype)

        return make


class Timed(ConvGenerator):
    def __init__(self, clock: Clock, *shapes, **options) -> None:
        super().__init__(*shapes, **options)
        self.clock = clock

    def freeze(self) -> Frozen:
        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            self.clock.passes += 1
            self.clock.rows = max(self.clock.rows, len(z))
            self.clock.now += 0.1 * (self.clock.passes in self.clock.held)
            self.clock.now += self.clock.seconds[str(self.dtype).removeprefix("torch.")]
            return torch.zeros(len(z), *self.signal_shape), lambda v: z

        return run


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that knows bfloat16."""
    monkeypatch.setattr(machine, "_knows_bfloat16", lambda where: True)


@pytest.mark.parametrize(
    ("coarse", "chosen"),
    [(0.5, torch.bfloat16), (0.94, torch.bfloat16), (0.96, torch.float32), (2.0, torch.float32)],
)
def test_auto_takes_what_is_faster_here(coarse: float, chosen: torch.dtype, knows: None) -> None:
    clock = Clock(float32=0.01, bfloat16=0.01 * coarse)
    found = machine.precision("auto", CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found == chosen and clock.passes > 6
    assert clock.now <= 1.2 * machine.TRIAL


def test_a_trial_of_slow_passes_ends(knows: None) -> None:
    clock = Clock(float32=0.4, bfloat16=0.1)
    assert machine.precision("auto", CPU, clock.network((1, 16, 16)), 8, clock=clock) == (
        torch.bfloat16
    )
    assert clock.passes <= 7


def test_a_pass_that_was_kept_waiting_does_not_count(knows: None) -> None:
    clock = Clock(float32=0.001, bfloat16=0.0005)
    clock.held = {1, 2, 7}
    found = machine.precision("auto", CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found == torch.bfloat16 and clock.rows == 8


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_given_is_not_measured(name: str, knows: None) -> None:
    def never(dtype: torch.dtype) -> ConvGenerator:
        raise AssertionError("a network was made")

    assert machine.precision(name, CPU, never, 8) == getattr(torch, name)


def test_tables_and_linear_networks_stay_in_float32(knows: None) -> None:
    clock = Clock(float32=1.0, bfloat16=0.1)
    assert machine.precision("auto", CPU, clock.network((5,)), 8, clock=clock) == torch.float32
    linear = lambda dtype: LinearGenerator((2,), (1, 8, 8))
    assert machine.precision("auto", CPU, linear, 8, clock=clock) == torch.float32
    assert clock.passes == 0


def test_where_bfloat16_is_unknown_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_knows_bfloat16", lambda where: False)
    clock = Clock(float32=1.0, bfloat16=0.1)
    found = machine.precision("auto", CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found == torch.float32 and clock.passes == 0


# Devices --------------------------------------------------------------------------------------


@pytest.fixture
def careless() -> Iterator[list[tuple[object, str]]]:
    """Switches of CUDA, all set the wrong way; put back afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    wrong = [(matmul, "allow_tf32", True), (cudnn, "allow_tf32", True),
             (cudnn, "deterministic", False), (cudnn, "benchmark", True)]  # fmt: skip
    before = [getattr(place, name) for place, name, _ in wrong]
    for place, name, value in wrong:
        setattr(place, name, value)
    yield [(place, name) for place, name, _ in wrong]
    for (place, name, _), value in zip(wrong, before, strict=True):
        setattr(place, name, value)


def test_cuda_computes_in_float32_and_repeats_itself(
    careless: list[tuple[object, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert machine.device("cpu").type == "cpu" and torch.backends.cuda.matmul.allow_tf32
    assert machine.device("auto").type == "cuda"
    assert [getattr(*switch) for switch in careless] == [False, False, True, False]


def test_a_device_that_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert machine.has("cpu") and not machine.has("cuda:0")
    with pytest.raises(UserError, match="--device cuda:0: no such device here; use --device auto"):
        machine.device("cuda:0")


# Memory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("without", [True, False])
def test_peak_memory_is_known_without_resource(
    without: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without:
        monkeypatch.setitem(sys.modules, "resource", None)
    assert 10 << 20 < machine.peak_memory(CPU) < 1 << 40


def test_available_memory_is_known_here() -> None:
    assert 1 << 20 < machine.available_memory() <= psutil.virtual_memory().total


# Containers -----------------------------------------------------------------------------------

Files = dict[str, str]


def system(root: Path, files: Files) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


TWO = {"proc/self/cgroup": "0::/pod/own\n"}
ONE = {"proc/self/cgroup": "4:memory:/pod/own\n1:cpu,cpuacct:/pod/own\n"}
GROUP = "sys/fs/cgroup"


@pytest.mark.parametrize(
    ("files", "count"),
    [
        ({}, 8),
        (TWO, 8),
        ({**TWO, f"{GROUP}/pod/own/cpu.max": "250000 100000\n"}, 3),
        ({**TWO, f"{GROUP}/pod/own/cpu.max": "50000 100000\n"}, 1),
        ({**TWO, f"{GROUP}/pod/own/cpu.max": "max 100000\n"}, 8),
        ({**TWO, f"{GROUP}/pod/own/cpu.max": "max 100000\n",
          f"{GROUP}/pod/cpu.max": "200000 100000\n"}, 2),
        ({**TWO, f"{GROUP}/cpu.max": "1600000 100000\n"}, 8),
        ({"proc/self/cgroup": "0::/../..\n", f"{GROUP}/cpu.max": "100000 50000\n"}, 2),
        ({**ONE, f"{GROUP}/cpu/pod/own/cpu.cfs_quota_us": "150000\n",
          f"{GROUP}/cpu/pod/own/cpu.cfs_period_us": "100000\n"}, 2),
        ({**ONE, f"{GROUP}/cpu/cpu.cfs_quota_us": "100000\n",
          f"{GROUP}/cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({**ONE, f"{GROUP}/cpu/pod/own/cpu.cfs_quota_us": "-1\n",
          f"{GROUP}/cpu/pod/own/cpu.cfs_period_us": "100000\n"}, 8),
        *(({**TWO, f"{GROUP}/pod/own/cpu.max": text}, 8)
          for text in ("", "many few", "100000", "100000 0", "-5 100000", "1e5 x\n\n")),
        ({"proc/self/cgroup": "rubbish\n::\n\n7"}, 8),
    ],
)  # fmt: skip
def test_processors_of_a_container(
    files: Files, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    assert machine.cores(system(tmp_path, files)) == count


@pytest.mark.parametrize(
    ("files", "left"),
    [
        (TWO, None),
        ({**TWO, f"{GROUP}/pod/own/memory.max": "5000\n",
          f"{GROUP}/pod/own/memory.current": "2000\n"}, 3000),
        ({**TWO, f"{GROUP}/pod/own/memory.max": "5000\n",
          f"{GROUP}/pod/own/memory.current": "2000\n",
          f"{GROUP}/pod/memory.max": "4000\n", f"{GROUP}/pod/memory.current": "3000\n"}, 1000),
        ({**TWO, f"{GROUP}/pod/own/memory.max": "5000\n",
          f"{GROUP}/pod/own/memory.current": "4000\n",
          f"{GROUP}/pod/own/memory.stat": "anon 9\ninactive_file 1500\nbad line x\n"}, 2500),
        ({**TWO, f"{GROUP}/memory.max": "5000\n", f"{GROUP}/memory.current": "6000\n"}, 0),
        ({**TWO, f"{GROUP}/pod/own/memory.max": "max\n",
          f"{GROUP}/pod/own/memory.current": "2000\n"}, None),
        ({**ONE, f"{GROUP}/memory/pod/own/memory.limit_in_bytes": "5000\n",
          f"{GROUP}/memory/pod/own/memory.usage_in_bytes": "1000\n"}, 4000),
        ({**TWO, f"{GROUP}/memory.max": "lots\n", f"{GROUP}/memory.current": "6\n"}, None),
        ({**TWO, f"{GROUP}/memory.max": "500\n", f"{GROUP}/memory.current": "\xff"}, None),
    ],
)  # fmt: skip
def test_memory_of_a_container(
    files: Files, left: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Free:
        available = 10_000

    monkeypatch.setattr(psutil, "virtual_memory", Free)
    found = machine.available_memory(system(tmp_path, files))
    assert found == (10_000 if left is None else left)
