"""What every test shares: one thread, no network, a run directory of its own, a device."""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

# Before anything imports torch or matplotlib: they read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MPLBACKEND", "Agg")

import numpy as np
import pytest
import torch
from checkpoints import saved_in
from hypothesis import settings
from PIL import Image
from tiny import (
    FACES,
    TABLE,
    TEXTURE,
    TWICE,
    Command,
    Done,
    blobs,
    learned,
    rows,
    waves,
    write_table,
)

from abprop.app.cli import main
from abprop.checkpoint import Checkpoint
from abprop.errors import UserError
from abprop.sources import read

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


# Pictures to read -----------------------------------------------------------------------------


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def colours(random: np.random.Generator) -> np.ndarray:
    """Five RGB pictures, uint8 (5, 12, 16, 3)."""
    return random.integers(0, 256, (5, 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path, colours: np.ndarray) -> Path:
    """The five pictures as PNG."""
    path = tmp_path / "pictures"
    path.mkdir()
    for i, picture in enumerate(colours):
        Image.fromarray(picture).save(path / f"p{i}.png")
    return path


@pytest.fixture
def refused() -> Callable[..., str]:
    """Reads a source that must be refused: one line that holds each of the given words."""

    def check(source: object, *words: str, **options: object) -> str:
        with pytest.raises(UserError) as caught:
            read(source, **options)  # type: ignore[arg-type]
        message = str(caught.value)
        assert message.isprintable(), message  # no newline, no escape sequence
        assert [word for word in words if word not in message] == [], message
        return message

    return check


# Runs, and the command line -------------------------------------------------------------------


@pytest.fixture
def abprop(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`abprop("info", run)`: the command line in this process."""

    def call(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["abprop", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        return Done(int(stopped.value.code or 0), out, err)

    return call


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with faces.npy, other.npy, texture.npy, table.csv and full.csv."""
    folder = tmp_path_factory.mktemp("shelf")
    np.save(folder / "faces.npy", blobs(60))
    np.save(folder / "other.npy", blobs(12, seed=5))
    np.save(folder / "texture.npy", waves())
    write_table(folder / "table.csv", rows())
    write_table(folder / "full.csv", rows(gaps=0))
    return folder


@pytest.fixture(scope="session")
def faces(shelf: Path) -> Path:
    """A run of 60 pictures of 8x8; only to be read."""
    return learned(shelf / "run-faces", shelf / "faces.npy", (*FACES, "model.latent=4"))


@pytest.fixture(scope="session")
def veiled(shelf: Path) -> Path:
    """A run of 24 pictures with 40 % hidden by a rule, a tenth set aside; only to be read."""
    sets = (*FACES, "model.latent=4", "data.limit=24", "data.hide=P.4", "data.aside=0.1")
    return learned(shelf / "run-veiled", shelf / "faces.npy", sets)


@pytest.fixture(scope="session")
def twice(shelf: Path) -> Path:
    """A run of two iterations, saved after each; only to be read."""
    return learned(shelf / "run-twice", shelf / "other.npy", TWICE)


@pytest.fixture(scope="session")
def plane(shelf: Path) -> Path:
    """A run of the same with two latent factors; only to be read."""
    return learned(shelf / "run-plane", shelf / "faces.npy", (*FACES, "model.latent=2"))


@pytest.fixture(scope="session")
def texture(shelf: Path) -> Path:
    """A run of one picture of 32x32; only to be read."""
    return learned(shelf / "run-texture", shelf / "texture.npy", TEXTURE)


@pytest.fixture(scope="session")
def table(shelf: Path) -> Path:
    """A run of 60 rows of 5 columns with gaps; only to be read."""
    return learned(shelf / "run-table", shelf / "table.csv", TABLE)


@pytest.fixture
def states(twice: Path) -> list[Checkpoint]:
    """What a small run saved."""
    return saved_in(twice)
