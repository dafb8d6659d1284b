"""Results in the user's hands: latents and tables as files, errors as a table on the screen."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from abprop.app.run import Run
from abprop.data import save_images
from abprop.errors import UserError


def write_signals(run: Run, x: np.ndarray, path: Path, names: Sequence[str] | None) -> str:
    """Write signals where the user asked, and say where.

    Args:
        run: whose signals they are.
        x: (n, C, *size) in data units.
        path: a file, or a folder without an extension.
        names: of the files in a folder.

    Raises:
        UserError: an extension that cannot hold such signals, or the disk refuses.
    """
    if x.ndim == 4:
        files = save_images(x, path, names=names)
        where = files[0] if len(files) == 1 else path
        return f"{len(x)} pictures of {x.shape[3]}x{x.shape[2]}: {where}"
    columns = run.meta["data"]["columns"] or [f"c{i}" for i in range(x[0].size)]
    path = path if path.suffix else path.with_suffix(".csv")
    if path.suffix not in (".csv", ".npz", ".npy"):
        raise UserError(f"{path}: rows are written as .csv, .npy or .npz")
    _write_rows(path, columns, x.reshape(len(x), -1), names)
    return f"{len(x)} rows: {path}"


def suffix(run: Run) -> str:
    """The extension of a file that can hold this run's signals."""
    if len(run.shape) != 3:
        return ".csv"
    eight_bits = run.scale.dtype == "uint8" and run.shape[0] in (1, 3)
    return ".png" if eight_bits else ".tif"


def write_latents(path: Path, names: Sequence[str], z: np.ndarray) -> None:
    """Latents with their examples' names, as .csv or .npz.

    Raises:
        UserError: another extension, or the disk refuses.
    """
    rows = z.reshape(len(z), -1)
    if path.suffix == ".npz":
        _make_room(path)
        np.savez(path, names=np.asarray(names), z=z)
    elif path.suffix == ".csv":
        _write_rows(path, [f"z{i}" for i in range(rows.shape[1])], rows, names)
    else:
        raise UserError(f"{path}: latents are written as .csv or .npz")


def _write_rows(
    path: Path, columns: Sequence[str], rows: np.ndarray, names: Sequence[str] | None
) -> None:
    _make_room(path)
    if path.suffix in (".npz", ".npy"):
        np.save(path, rows) if path.suffix == ".npy" else np.savez(path, values=rows)
        return
    partial = path.with_name(f".{path.name}.part")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["name", *columns] if names is not None else columns)
        for i, row in enumerate(rows.tolist()):
            writer.writerow([names[i], *row] if names is not None else row)
    os.replace(partial, path)


def _make_room(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent} cannot be made ({error.strerror})") from error


def show_errors(result: Mapping[str, Any]) -> None:
    """Errors of the model and its baselines as a table on stdout."""
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"{result['n']} signals, d = {result['latent_dim']}, {result['scored']} entries"
    )
    keys = ("mse", "error", "rmse_data", "psnr")
    for column in ("", *keys):
        table.add_column(column, justify="right" if column else "left")
    rows = {"abprop": result, **result.get("baselines", {})}
    for name, errors in rows.items():
        table.add_row(name, *(f"{errors[key]:.4g}" for key in keys))
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
