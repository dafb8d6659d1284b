"""What many examples cost: time for each of them in an iteration, memory in a whole fit.

    python benchmarks/examples.py iterations   # table, reader and rest, 1,000 to 1,000,000 examples
    python benchmarks/examples.py memory       # a fit on 100,000 pictures of 64x64

The data are synthetic. `iterations` reads a sparse .npy of black pictures, half as many as there
are examples: the others are their mirror images, as in a fit on faces. What is read is therefore a
hole in the file, gone through once; a disk that must seek is not measured. `memory` has a thousand
different pictures, each a hundred times.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from abprop import machine
from abprop.data import Examples, mirrored, sensor, whole
from abprop.inference import State
from abprop.latents import Latents
from abprop.learning import InferSettings, Learning, ModelSettings, Settings, TrainSettings, parts
from abprop.sources import read

RESULTS = Path(__file__).parent / "results"
SIDE, LATENT, BATCH = 64, 100, 128
WARM = 2  # iterations that are not counted
DIFFERENT = 1000  # pictures
FIT = ("train.iterations=3", "train.scores=1", "model.channels=8", "train.batch=64")


# Iterations -----------------------------------------------------------------------------------


class Timed(Latents):
    """A table that counts the seconds spent in it."""

    def __init__(self, table: Latents) -> None:
        super().__init__(table.ids, table.state, table.metric)
        self.seconds: list[float] = []

    def __getitem__(self, ids: torch.Tensor) -> State:
        return self._counted(lambda: Latents.__getitem__(self, ids))

    def __setitem__(self, ids: torch.Tensor, state: State) -> None:
        self._counted(lambda: Latents.__setitem__(self, ids, state))

    def _counted(self, work: Callable[[], Any]) -> Any:
        wait(self.z.device)
        began = time.perf_counter()
        found = work()
        wait(self.z.device)
        self.seconds.append(time.perf_counter() - began)
        return found


def wait(where: torch.device) -> None:
    """Until what was asked of a GPU is done."""
    if where.type == "cuda":
        torch.cuda.synchronize()


def timed(items: Iterator[Any], seconds: list[float], where: torch.device) -> Iterator[Any]:
    """The same items, and how long each was waited for."""
    while True:
        wait(where)
        began = time.perf_counter()
        item = next(items, None)
        wait(where)
        if item is None:
            return
        seconds.append(time.perf_counter() - began)
        yield item


def faces(folder: Path, count: int) -> Examples:
    """So many synthetic examples, of which half are mirror images."""
    path = folder / f"{count}.npy"
    shape = (count // 2, SIDE, SIDE, 3)
    np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
    signals = read(path, kind="images")
    assert signals.fingerprint  # a fit has gone through all of it too
    views = mirrored(whole(signals))
    return sensor(signals).examples(views, torch.arange(len(views)))


def iterations(folder: Path, count: int, steps: int, channels: int, name: str) -> dict[str, Any]:
    """Medians in milliseconds for so many examples."""
    where, train = machine.device(name), faces(folder, count)
    dtype = torch.bfloat16 if where.type == "cuda" else torch.float32
    settings = Settings(
        ModelSettings((LATENT,), channels=channels, sigma=0.3),
        InferSettings(steps=5, chunk=64),
        TrainSettings(iterations=10**6, batch=BATCH, learning_rate=1e-4),
    )
    began = time.perf_counter()
    learning = Learning(settings, train, device=where, dtype=dtype)
    begin, waited, laps = time.perf_counter() - began, list[float](), list[float]()
    learning.latents = table = Timed(learning.latents)
    own = parts.batches
    parts.batches = lambda *given: timed(own(*given), waited, where)  # type: ignore[assignment]
    last = time.perf_counter()
    for _ in learning.steps(WARM + steps):
        wait(where)
        laps.append(time.perf_counter() - last)
        last = time.perf_counter()
    parts.batches = own
    visits = [sum(pair) for pair in zip(table.seconds[::2], table.seconds[1::2], strict=True)]
    order, alone = parts.Orders(1, count, BATCH), list[float]()
    for t in range(WARM + 20):
        before = time.perf_counter()
        train.read(order[t].sort().values)
        alone.append(time.perf_counter() - before)
    lap, spent, late, apart = (
        1e3 * statistics.median(told[WARM:]) for told in (laps, visits, waited, alone)
    )
    return {
        "examples": count, "iteration": lap, "table": spent, "waited": late, "reader": apart,
        "rest": lap - spent - late, "share": (spent + late) / lap, "begin_us": 1e6 * begin / count,
    }  # fmt: skip


# Memory ---------------------------------------------------------------------------------------


def pictures() -> np.ndarray:
    """Soft spots, uint8 (DIFFERENT, SIDE, SIDE, 3)."""
    random = np.random.default_rng(0)
    centres = random.uniform(16, 48, (DIFFERENT, 2, 1, 1))
    widths, colours = (
        random.uniform(4, 16, (DIFFERENT, 1, 1)),
        random.uniform(0, 255, (DIFFERENT, 3)),
    )
    y, x = np.mgrid[:SIDE, :SIDE]
    spots = np.exp(-((y - centres[:, 0]) ** 2 + (x - centres[:, 1]) ** 2) / (2 * widths**2))
    return (spots[..., None] * colours[:, None, None]).astype(np.uint8)


def as_npy(folder: Path, count: int) -> Path:
    """A .npy of so many pictures."""
    path, some = folder / "pictures.npy", pictures()
    values = np.lib.format.open_memmap(path, "w+", np.uint8, (count, *some.shape[1:]))
    for begin in range(0, count, len(some)):
        values[begin : begin + len(some)] = some[: count - begin]
    values.flush()
    return path


def encoded() -> list[bytes]:
    """The pictures as PNG."""
    from PIL import Image

    files = [io.BytesIO() for _ in range(DIFFERENT)]
    for file, picture in zip(files, pictures(), strict=True):
        Image.fromarray(picture).save(file, "PNG")
    return [file.getvalue() for file in files]


def as_zip(folder: Path, count: int) -> Path:
    """A zip of so many PNG."""
    path, files = folder / "pictures.zip", encoded()
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(count):
            archive.writestr(f"{i:07d}.png", files[i % len(files)])
    return path


def as_folder(folder: Path, count: int) -> Path:
    """A folder of so many PNG."""
    path, files = folder / "pictures", encoded()
    path.mkdir()
    for i in range(count):
        (path / f"{i:07d}.png").write_bytes(files[i % len(files)])
    return path


SOURCES = {"npy": as_npy, "zip": as_zip, "folder": as_folder}


def memory(folder: Path, kind: str, count: int) -> dict[str, Any]:
    """Peaks in GB of a whole `abprop fit`, its report included."""
    source = SOURCES[kind](folder, count)
    command = [sys.executable, "-m", "abprop", "fit", str(source), "--run", str(folder / "run")]
    command += [word for key in FIT for word in ("--set", key)]
    began, most = time.perf_counter(), {"RssAnon": 0, "RssFile": 0}
    with open(folder / "said", "wb") as said:
        child = subprocess.Popen(command, stdout=said, stderr=said)
        while True:
            done, status, used = os.wait4(child.pid, os.WNOHANG)
            if done:
                break
            for name, now in resident(child.pid).items():
                most[name] = max(most[name], now)
            time.sleep(0.05)
    if status:
        raise SystemExit((folder / "said").read_text("utf-8"))
    return {
        "source": kind, "pictures": count, "seconds": time.perf_counter() - began,
        "peak": used.ru_maxrss / 2**20, "own": most["RssAnon"] / 2**20,
        "mapped": most["RssFile"] / 2**20,
    }  # fmt: skip


def resident(process: int) -> dict[str, int]:
    """KiB that a process holds itself, and of files that the system takes back as it likes."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("utf-8").splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.startswith(("RssAnon", "RssFile")))
    return {name: int(rest.split()[0]) for name, rest in pairs}


# Telling --------------------------------------------------------------------------------------


def tell(rows: list[dict[str, Any]], heads: dict[str, str]) -> None:
    """A markdown table of some of the columns."""
    print("| " + " | ".join(heads.values()) + " |")
    print("|" + " --- |" * len(heads))
    for row in rows:
        print("| " + " | ".join(shown(row[key]) for key in heads) + " |", flush=True)


def shown(value: object) -> str:
    """A number with as many digits as it deserves."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


COLUMNS = {
    "iterations": {
        "examples": "examples", "table": "table, ms", "waited": "waited for reader, ms",
        "rest": "rest, ms", "share": "table and reader, share", "reader": "reader alone, ms",
        "begin_us": "to begin, us an example",
    },
    "memory": {
        "source": "source", "pictures": "pictures", "peak": "peak, GiB", "own": "own, GiB",
        "mapped": "mapped files, GiB", "seconds": "seconds",
    },
}  # fmt: skip


def main() -> None:
    ask = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    ask.add_argument("what", choices=COLUMNS)
    ask.add_argument("--sizes", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    ask.add_argument("--steps", type=int, default=8, help="iterations that are timed")
    ask.add_argument("--channels", type=int, default=64)
    ask.add_argument("--device", default="auto")
    ask.add_argument("--pictures", type=int, default=100_000)
    ask.add_argument("--sources", nargs="+", default=list(SOURCES), choices=SOURCES)
    ask.add_argument("--out", type=Path, default=RESULTS)
    asked = ask.parse_args()
    where, rows = machine.device(asked.device), list[dict[str, Any]]()
    threads = machine.set_threads(0)
    cases = asked.sizes if asked.what == "iterations" else asked.sources
    for case in cases:
        with tempfile.TemporaryDirectory() as folder:
            if asked.what == "iterations":
                given = Path(folder), case, asked.steps, asked.channels, asked.device
                rows.append(iterations(*given))
            else:
                rows.append(memory(Path(folder), case, asked.pictures))
    tell(rows, COLUMNS[asked.what])
    card = torch.cuda.get_device_name() if where.type == "cuda" else where.type
    told = {"device": card, "threads": threads, "channels": asked.channels, "rows": rows}
    asked.out.mkdir(parents=True, exist_ok=True)
    suffix = f"{asked.channels}-{where.type}" if asked.what == "iterations" else where.type
    path = asked.out / f"examples-{asked.what}-{suffix}.json"
    path.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
