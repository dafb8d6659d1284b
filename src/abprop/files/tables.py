"""Tables of numbers: read from .csv, a header if there is one, empty cells missing; and written."""

from __future__ import annotations

import array
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from abprop.errors import UserError, unknown
from abprop.files.entries import regular
from abprop.files.limits import check_memory, quoted, reason
from abprop.files.write import put
from abprop.say import plain, shown

MISSING = frozenset(("", "na", "nan", "n/a", "null"))
NAME = "name"  # heads a first column that names the rows, as in what is written here
_RUN = ("=", "+", "-", "@", "\t", "\r")  # what begins so, a spreadsheet takes for a formula
_WIDEST = 1e15  # larger whole numbers are better read as powers of ten
COLUMNS = 100_000
_SHORTEST_CELL = 2  # a digit and a comma become a float64 while reading


class Rows(NamedTuple):
    """A table: float64 (N, C) with NaN where missing, the columns, the rows' names if it has any.

    Whoever learns from it makes it float32, and can see what that loses.
    """

    values: np.ndarray
    columns: tuple[str, ...]
    names: tuple[str, ...] | None


def load(path: Path, only: str | None = None) -> Rows:
    """The numbers of a CSV file.

    The delimiter is the commonest of comma, semicolon and tab in the first line. That line is a
    header if one of its cells is neither a number nor missing; else columns are c1, c2, ...
    A first column headed "name" names the rows.

    Args:
        path: of the file.
        only: these columns, "age,income"; what other columns hold need not be numbers.

    Raises:
        UserError: unreadable, empty, ragged, a name twice, no such column, or a cell that is no
            number, by row and column.
    """
    where = quoted(path)
    try:
        check_memory(regular(path).stat().st_size // _SHORTEST_CELL, (1,), 8, where)
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            delimiter = max(",;\t", key=first.count)
            return _parse(_rows(csv.reader(file, delimiter=delimiter)), only, where)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{where} cannot be read as a table ({reason(error)}); save it as CSV in UTF-8"
        ) from error


def places(only: str, columns: Sequence[str], where: str) -> list[int]:
    """Where the columns are that are asked for as "age,income".

    Raises:
        UserError: there is no such column, or it is asked for twice.
    """
    found = []
    for name in next(csv.reader([only], skipinitialspace=True), []):
        if (name := name.strip()) not in columns:
            raise unknown(f"column of {where}", name, map(plain, columns))
        if (place := columns.index(name)) in found:
            raise UserError(f"data.columns: {name!r} is there twice; name each column once")
        found.append(place)
    if not found:
        raise UserError("data.columns is empty; name columns, e.g. age,income, or leave it out")
    return found


def numbered(count: int) -> tuple[str, ...]:
    """c1, c2, ...: the names of columns without a header."""
    return tuple(f"c{column}" for column in range(1, count + 1))


def _rows(reader) -> Iterator[tuple[int, list[str]]]:
    """(line of the file, its cells) of each line that is not blank."""
    for cells in reader:
        if any(cell.strip() for cell in cells) or len(cells) > 1:
            yield reader.line_num, cells


def _parse(rows: Iterator[tuple[int, list[str]]], only: str | None, where: str) -> Rows:
    line, cells = next(rows, (0, []))
    if not cells:
        raise UserError(f"{where} is empty; give rows of numbers")
    if len(cells) > COLUMNS:
        raise UserError(
            f"{where} has {len(cells):,} columns, more than {COLUMNS:,}; "
            "is that an array? then save it as .npy"
        )
    header = any(_number(cell) is None for cell in cells)
    columns = tuple(_name_of(cell.strip()) for cell in cells) if header else numbered(len(cells))
    named = header and columns[0].lower() == NAME
    kept = list(range(named, len(columns)))
    if not kept:
        raise UserError(f"{where} has names but no column of numbers; add one")
    if only is not None:
        kept = [named + place for place in places(only, columns[named:], where)]
    numbers, names = array.array("d"), dict[str, int]()
    if not header:
        numbers.extend(_numbers(cells, columns, kept, line, where))
    for line, cells in rows:
        numbers.extend(_numbers(cells, columns, kept, line, where))
        if named:
            _add_name(names, cells[0], line, where)
    if not numbers:
        raise UserError(f"{where} has a header but no rows of numbers")
    table = np.frombuffer(numbers, dtype=np.float64).reshape(-1, len(kept))
    return Rows(table, tuple(columns[k] for k in kept), tuple(names) if named else None)


def _add_name(names: dict[str, int], cell: str, line: int, where: str) -> None:
    name = _name_of(cell.strip())
    if name in names:
        raise UserError(
            f"{where}, row {line}: the name {name[:40]!r} is that of row {names[name]} already; "
            "give each row its own"
        )
    names[name] = line


def _numbers(
    cells: list[str], columns: tuple[str, ...], kept: list[int], line: int, where: str
) -> list[float]:
    if len(cells) != len(columns):
        raise UserError(
            f"{where}, row {line}: {len(cells)} cells, but the first has {len(columns)}; mend it"
        )
    numbers = [_number(cells[k]) for k in kept]
    for k, number in zip(kept, numbers, strict=True):
        if number is None:
            raise UserError(
                f"{where}, row {line}, column {columns[k]!r}: {cells[k][:40]!r} is not a number; "
                f"leave the cell empty if it is missing"
            )
        if number in (float("inf"), float("-inf")):
            raise UserError(
                f"{where}, row {line}, column {columns[k]!r}: infinite; leave the cell empty"
            )
    return numbers  # type: ignore[return-value]


def _number(cell: str) -> float | None:
    """The cell's number, NaN if it is missing, None if it is neither."""
    cell = cell.strip()
    if cell.lower() in MISSING:
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        return None


# Writing --------------------------------------------------------------------------------------


def save_rows(
    path: Path, columns: Sequence[str], rows: np.ndarray, names: Sequence[str] | None
) -> Path:
    """Rows of numbers to a file; without an extension it becomes a .csv.

    Args:
        path: .csv, .npy or .npz.
        columns: their names, for a header.
        rows: (N, C).
        names: of the rows; None writes no such column.

    Raises:
        UserError: another extension, or the disk refuses.
    """
    path = path if path.suffix else path.with_suffix(".csv")
    if path.suffix not in (".csv", ".npz", ".npy"):
        raise UserError(f"{path}: rows are written as .csv, .npy or .npz")
    if path.suffix == ".csv":
        return put(path, lambda file: file.write(_csv(columns, rows, names).encode("utf-8")))
    if path.suffix == ".npy":
        return put(path, lambda file: np.save(file, rows, allow_pickle=False))
    return put(path, lambda file: np.savez(file, values=rows))


def _csv(columns: Sequence[str], rows: np.ndarray, names: Sequence[str] | None) -> str:
    file = io.StringIO(newline="")
    writer = csv.writer(file, lineterminator="\n")
    header = [_name_cell(column) for column in columns]
    writer.writerow(header if names is None else [NAME, *header])
    for i, row in enumerate(rows):
        cells = list(map(_number_cell, row.tolist(), row.astype(str).tolist()))
        writer.writerow(cells if names is None else [_name_cell(names[i]), *cells])
    return file.getvalue()


def _number_cell(number: float, text: str) -> str:
    """A whole number as one, others by the shortest text of their own precision."""
    whole = abs(number) < _WIDEST and number == int(number)
    return str(int(number)) if whole else text


def _name_cell(name: str) -> str:
    """A name that a spreadsheet does not run; `_name_of` takes it back."""
    return ("'" if name.startswith(_RUN) else "") + shown(name)


def _name_of(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and cell[1:].startswith(_RUN) else cell


def save_latents(path: Path, names: Sequence[str], z: np.ndarray) -> None:
    """Latents with their examples' names, as .csv or .npz.

    Args:
        path: where to.
        names: of the examples.
        z: (N, *latent_shape).

    Raises:
        UserError: another extension, or the disk refuses.
    """
    rows = z.reshape(len(z), -1)
    if path.suffix == ".npz":
        put(path, lambda file: np.savez(file, names=np.asarray(names), z=z))
    elif path.suffix == ".csv":
        save_rows(path, [f"z{i}" for i in range(rows.shape[1])], rows, names)
    else:
        raise UserError(f"{path}: latents are written as .csv or .npz")
