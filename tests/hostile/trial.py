"""Reads hostile files in a process of its own, and tells of each how that ended, as lines of JSON.

Nothing that a decoder does can then be lost: a crash ends the process, what hangs is ended by an
alarm that no code catches, and what fills the memory meets a limit.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from abprop.app import cli
from abprop.errors import UserError
from abprop.run.recipe import load_preset
from abprop.sources import read

SECONDS = 5.0  # of a processor: others may be busy
WAITING = 60.0  # seconds of a clock: what waits for ever needs no processor
LIMIT = 4 << 30  # bytes: well above what is allowed, and below what would hurt a machine
SHOWN = np.zeros((3, 8, 8), np.uint8)
NO_MASKS = (".mp3", ".wav")  # what masks are read from is told by the name alone

Ended = tuple[int, str]


def command(*words: str) -> Ended:
    """How the command line ends, and what it says on stderr."""
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["abprop", *words]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = cli._guarded(cli.app)
    return code, err.getvalue()


def attempts(path: Path) -> Iterator[tuple[str, Callable[[], Ended]]]:
    """What is tried with a file: as data and as masks, or as a recipe."""
    if path.suffix == ".toml":
        yield "recipe", lambda: ended(lambda: load_preset(path))
        return
    yield "data", lambda: command("info", str(path))
    if path.suffix not in NO_MASKS:
        yield "masks", lambda: ended(lambda: read(SHOWN, masks=str(path)))


def ended(work: Callable[[], object]) -> Ended:
    """As the command line would put it."""
    try:
        work()
    except UserError as error:
        return 2, f"abprop: {error}\n"
    return 0, ""


def held() -> int:
    """Bytes at the most so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def tell(**what: object) -> None:
    """A line of JSON."""
    print(json.dumps(what), flush=True)


def tried(name: str, what: str, work: Callable[[], Ended]) -> None:
    """Do it, with an alarm set."""
    tell(begins=name, as_=what)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        code, said = work()
    except BaseException:
        code, said = 1, traceback.format_exc()
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - began
    tell(name=name, as_=what, code=code, said=said, seconds=seconds, held=held())


def main(folder: str, whole: str) -> None:
    """Try every file of a folder, in the order of names, after one with nothing wrong."""
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    for _, work in attempts(Path(whole)):  # what is imported and allocated once
        work()
    tell(held=held())
    for path in sorted(Path(folder).iterdir()):
        for what, work in attempts(path):
            tried(path.name, what, work)


if __name__ == "__main__":
    main(*sys.argv[1:])
