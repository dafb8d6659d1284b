"""A row of the table: what the paper says, what to run, what to show."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
RESULTS, RUNS, PICTURES = HERE / "results", HERE / "runs", HERE.parent / "docs" / "pictures"
ABPROP = Path(sys.executable).parent / "abprop"


@dataclass
class Runner:
    """Runs `abprop` and remembers the commands."""

    data: Path
    commands: list[str] = field(default_factory=list)

    def __call__(self, *words: object) -> dict[str, Any]:
        """One command; its JSON if it was asked for.

        Raises:
            CalledProcessError: it did not end with 0.
        """
        shown = shlex.join(["abprop", *map(str, words)])
        shown = shown.replace(f"{HERE.parent}/", "")
        print(f"$ {shown}", flush=True)
        self.commands.append(shown)
        told = subprocess.run([ABPROP, *map(str, words)], stdout=subprocess.PIPE, check=True)
        return json.loads(told.stdout) if "--json" in words else {}


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        experiment, name: where it stands.
        paper: the paper's figure, in words, with [M] where it is not verified.
        needs: file or folder of the data folder; empty: nothing.
        measure: runs the commands, gives a JSON object.
        show: the measured object in a few words.
    """

    experiment: str
    name: str
    paper: str
    needs: str
    measure: Callable[[Runner], dict[str, Any]]
    show: Callable[[dict[str, Any]], str]

    @property
    def result(self) -> Path:
        """Where the measured object is kept."""
        return RESULTS / f"{self.experiment}-{self.name}.json"


def measured(rows: Iterable[Row]) -> list[tuple[Row, dict[str, Any]]]:
    """Rows that have a result, and what it is."""
    return [(r, json.loads(r.result.read_text("utf-8"))) for r in rows if r.result.exists()]
