"""Devices, memory and what a container leaves."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch

from abprop import machine
from abprop.errors import UserError

CPU = torch.device("cpu")

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
