"""What several commands take, and how they speak."""

from __future__ import annotations

import json
import os
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
Data = Annotated[
    list[str] | None,
    typer.Option(help="where the run's data are now; again for each source that was added"),
]
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
Against = Annotated[
    str | None,
    typer.Option(help="baselines: mean,pca,biharmonic; tiles,phase; minnorm,lasso,tv,bicubic"),
]
Likelihood = Annotated[
    bool, typer.Option("--likelihood", help="also log p(y), by annealed importance sampling")
]
Temperatures = Annotated[
    int | None, typer.Option(help="of --likelihood; 50 from near, 1000 from the prior")
]
Chains = Annotated[int | None, typer.Option(help="of --likelihood, of each example; 8")]
Examples = Annotated[
    int | None, typer.Option(help="of --likelihood, at most so many; 128, fewer if large")
]
Course = Annotated[
    str | None, typer.Option(help="of --likelihood: near (each example's mode), or from the prior")
]
Simulated = Annotated[
    int | None, typer.Option(help="of --likelihood: bound its error on so many simulated signals")
]
Processes = Annotated[int, typer.Option(min=1, help="processes that work together here")]
Json = Annotated[bool, typer.Option("--json", help="one JSON object on stdout")]


def tell(line: str) -> None:
    """Tell the user something; stdout is for results. No file's name can command the terminal."""
    print(shown(line), file=sys.stderr, flush=True)


def speaks() -> bool:
    """Whether this process speaks and writes for all that torchrun started."""
    return os.environ.get("RANK", "0") == "0"


def say(line: str) -> None:
    """Tell the user something, once for all processes."""
    if speaks():
        tell(line)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout."""
    if speaks():
        print(json.dumps(value))


def share_out(processes: int) -> None:
    """Run this command as several processes instead, if this is not one of them already."""
    if processes > 1 and "WORLD_SIZE" not in os.environ:
        from abprop.app.launching import launched

        raise typer.Exit(launched(processes, sys.argv[1:], say))


def placed(data: list[str] | None) -> str | tuple[str, ...] | None:
    """Where a run's data are, as `load` takes it."""
    return data[0] if data is not None and len(data) == 1 else tuple(data or ()) or None


def opened(run: Path, data: list[str] | None, device: str | None) -> Any:
    """A run that all processes of this command answer for together."""
    from abprop.app.api import load
    from abprop.distributed import join

    group = join()
    with group.agreed():
        fitted = load(run, data=placed(data), device=device, say=say)
    fitted.group = group
    return fitted
