"""Results on the screen: errors, facts and checks as tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from abprop.say import counted


def show_errors(result: Mapping[str, Any]) -> None:
    """Errors of the model and its baselines as a table on stdout."""
    from rich.console import Console
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
    Console().print(table)
    if "ratios" in result:
        _show_ratios({"abprop": {**result, **result["ratios"]}, **result["baselines"]})


def _show_ratios(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """How samples compare with the picture, 1 being another piece of it."""
    from rich.console import Console
    from rich.table import Table

    keys = ["sample_ratio", *rows["abprop"]["ratios"], "copy_ratio", "repeat_ratio"]
    table = Table(title="samples beside the picture: 1 is another piece of it, copies have 0")
    for column in ("", *keys):
        table.add_column(column.replace("_", " "), justify="right" if column else "left")
    for name, ratios in rows.items():
        if "sample_ratio" in ratios:
            table.add_row(name, *(f"{ratios[key]:.2f}" for key in keys))
    Console().print(table)


def show_facts(facts: Mapping[str, Any]) -> None:
    """Name and value, a line each."""
    for key, value in facts.items():
        print(f"{key:36} {value:.4g}" if isinstance(value, float) else f"{key:36} {value}")


def show_verified(result: Mapping[str, Any]) -> None:
    """The checks of `verify`, a row for each kernel and case."""
    from rich.console import Console
    from rich.table import Table

    table = Table("check", "kernel", "case", "value", "bound", "seeds", box=None)
    for name, check in result.items():
        for row in check["rows"] if isinstance(check, Mapping) else ():
            seeds = f"{row['seeds_passed']} of {result['seeds']}"
            value, bound = f"{row['value']:.4f}", f"{row['bound']:g}"
            style = "" if row["passed"] else "bold red"
            table.add_row(name, row["kernel"], row["case"], value, bound, seeds, style=style)
    Console().print(table)
    print("passed" if result["passed"] else "FAILED")
