"""What every test shares: one thread, no network, a run directory of its own, a device."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

# Before anything imports torch or matplotlib: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import pytest
import torch
from hypothesis import settings

# The same examples on every machine and in every run; no data base, no clock.
settings.register_profile("abprop", derandomize=True, deadline=None, database=None, max_examples=25)
settings.load_profile("abprop")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """One thread per worker; a test about bits sets its own number and finds this one after."""
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(1)


def _is_loopback(address: object) -> bool:
    if not isinstance(address, tuple):  # a Unix socket
        return True
    host = str(address[0])
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any connection that leaves this machine raises. (Child processes are on their honour.)"""

    def guarded(method):
        def connect(self, address):
            if not _is_loopback(address):
                self.close()
                raise RuntimeError(f"a test tried to reach the network: {address!r}")
            return method(self, address)

        return connect

    monkeypatch.setattr(socket.socket, "connect", guarded(socket.socket.connect))
    monkeypatch.setattr(socket.socket, "connect_ex", guarded(socket.socket.connect_ex))


@pytest.fixture
def run_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run directory that does not exist yet; the working directory is its parent."""
    monkeypatch.chdir(tmp_path)
    return tmp_path / "run"


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device in turn; one that this machine lacks is skipped, and says so."""
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    return torch.device(request.param)
