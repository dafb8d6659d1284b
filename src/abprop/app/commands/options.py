"""What several commands take, and how they speak."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from abprop.say import shown

Source = Annotated[str | None, typer.Argument(help="folder, zip or file; default: the run's data")]
RunDir = Annotated[
    Path, typer.Argument(metavar="RUN", help="a run directory, or hf://NAMESPACE/NAME")
]
Out = Annotated[Path | None, typer.Option("-o", "--out", help="one file, or a folder")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="recipe key")]
Data = Annotated[str | None, typer.Option(help="where the run's data are now")]
Device = Annotated[
    str | None, typer.Option(help="auto, cuda, mps or cpu; if not given, what it was learned on")
]
Masks = Annotated[
    str | None, typer.Option(help="what is hidden (white, True): a folder, file or file.npz:key")
]
Hide = Annotated[str | None, typer.Option(metavar="RULE", help="hide by a rule: P.5, M20, ...")]
Measure = Annotated[
    str | None,
    typer.Option(metavar="RULE", help="seen through measurements: down:4, blur:2, ..."),
]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]


def say(line: str) -> None:
    """Tell the user something; stdout is for results. No file's name can command the terminal."""
    print(shown(line), file=sys.stderr, flush=True)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    print(json.dumps(value))
