"""The commands that need no run. Heavy imports wait inside them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from abprop.app.commands.options import Json, print_json, say


def keys(
    prefix: Annotated[str, typer.Argument(help="only keys that begin so, e.g. train.")] = "",
) -> None:
    """Every key of a recipe, for --set: its default and what it means."""
    from abprop.errors import unknown
    from abprop.run.recipe import KEYS

    found = {key: field for key, field in KEYS.items() if key.startswith(prefix)}
    if not found:
        raise unknown("key", prefix, KEYS)
    for key, field in found.items():
        default = "" if field.default is None else str(field.default)
        print(f"{key:22} {default:8} {field.description}")


def demo(
    run: Annotated[Path, typer.Option(help="where the runs go")] = Path("runs/demo"),
) -> None:
    """Learn digits and a texture in a few minutes; ends with a report to look at."""
    from abprop.app.demo import demo as show

    show(run, say)


def bench(
    as_json: Json = False,
    runs: Annotated[int, typer.Option(min=1, help="interleaved runs; medians are told")] = 5,
    net: Annotated[
        list[str] | None,
        typer.Option(help="only face64, texture, sound, video or spacetime; may be repeated"),
    ] = None,
) -> None:
    """How fast this machine learns, against what it can do and the textbook way; a minute."""
    from abprop.app.screen import show_bench
    from abprop.bench import bench as measure

    result = measure(net or (), runs, say)
    if as_json:
        print_json(result)
    else:
        show_bench(result)


def verify(
    as_json: Json = False,
    seeds: Annotated[int, typer.Option(min=1, help="how many, from 0")] = 5,
    out: Annotated[
        Path | None, typer.Option("-o", "--out", help="a picture of the calibration")
    ] = None,
) -> None:
    """Whether chains sample what they say, on this machine, against known answers; minutes."""
    from abprop.app.screen import show_verified
    from abprop.machine import cores
    from abprop.report.calibration import check_picture, draw_ranks
    from abprop.verify import summary
    from abprop.verify import verify as check

    if out is not None:
        check_picture(out)
    result = summary(check(range(seeds), processes=cores(), say=say))
    if as_json:
        print_json(result)
    else:
        show_verified(result)
    if out is not None:
        draw_ranks(out, seeds)
        say(f"calibration: {out}")
    if not result["passed"]:
        raise typer.Exit(1)
