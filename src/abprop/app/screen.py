"""Results on the screen: errors, facts and checks as tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from abprop.say import counted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDEST = 1000  # columns


def show_errors(result: Mapping[str, Any]) -> None:
    """Errors of the model and its baselines as a table on stdout."""
    from rich.table import Table

    table = Table(
        title=f"{counted(result['n'], 'signal', 'signals')}, d = {result['latent_dim']}, "
        f"{result['scored']} entries"
    )
    keys = ("mse", "error", "rmse_data", "psnr")
    for column in ("", *keys):
        table.add_column(column, justify="right" if column else "left")
    rows = {"abprop": result, **result.get("baselines", {})}
    for name, errors in rows.items():
        if "mse" in errors:
            table.add_row(name, *(f"{errors[key]:.4g}" for key in keys))
    _show(table)
    if "ratios" in result:
        _show_ratios({"abprop": {**result, **result["ratios"]}, **result["baselines"]})


def _show_ratios(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """How samples compare with the picture, 1 being another piece of it."""
    from rich.table import Table

    keys = ["sample_ratio", *rows["abprop"]["ratios"], "copy_ratio", "repeat_ratio"]
    table = Table(title="samples beside the picture: 1 is another piece of it, copies have 0")
    for column in ("", *keys):
        table.add_column(column.replace("_", " "), justify="right" if column else "left")
    for name, ratios in rows.items():
        if "sample_ratio" in ratios:
            table.add_row(name, *(f"{ratios[key]:.2f}" for key in keys))
    _show(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Name and value, a line each."""
    for key, value in facts.items():
        print(f"{key:36} {value:.4g}" if isinstance(value, float) else f"{key:36} {value}")


def show_verified(result: Mapping[str, Any]) -> None:
    """The checks of `verify`, a row for each kernel and case."""
    from rich.table import Table

    table = Table("check", "kernel", "case", "value", "bound", "seeds", box=None)
    for name, check in result.items():
        for row in check["rows"] if isinstance(check, Mapping) else ():
            seeds = f"{row['seeds_passed']} of {result['seeds']}"
            value, bound = f"{row['value']:.4f}", f"{row['bound']:g}"
            style = "" if row["passed"] else "bold red"
            table.add_row(name, row["kernel"], row["case"], value, bound, seeds, style=style)
    _show(table)
    print("passed" if result["passed"] else "FAILED")


def console_of(**kind: Any) -> Console:
    """Rich's console, whose width is never nothing: on none (COLUMNS=0) it would print nothing."""
    from rich.console import Console

    console = Console(highlight=False, **kind)
    if not console.width:
        console.width = 80
    return console


def _show(table: Table) -> None:
    """A table no cell of which is cut: where a terminal is too narrow, its rows as lines."""
    from rich.measure import Measurement

    console = console_of()
    anywhere = console.options.update(max_width=WIDEST)
    wide = Measurement.get(console, anywhere, table).maximum
    if wide > console.width and console.is_terminal:
        _show_lines(console, table)
    else:
        console.width = max(console.width, wide)  # a file has no width
        console.print(table)


def _show_lines(console: Console, table: Table) -> None:
    """Title; then for each row its name, and below it the other columns, a line each."""
    _, *keys = (str(column.header) for column in table.columns)
    width = max(map(len, keys))
    console.soft_wrap = True
    if table.title:
        console.print(table.title, markup=False)
    for name, *cells in zip(*(column.cells for column in table.columns), strict=True):
        console.print(name, style="bold", markup=False)
        for key, cell in zip(keys, cells, strict=True):
            console.print(f"  {key:{width}}  {cell}", markup=False)
