"""CSV: header or none, missing cells, and errors that name row and column."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from abprop.errors import UserError
from abprop.files.tables import save_latents, save_rows
from abprop.sources import read

Refused = Callable[..., str]


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "t.csv"
        path.write_text(text, encoding="utf-8", newline="")
        return path

    return write


@pytest.mark.parametrize(
    ("text", "columns", "values"),
    [
        ("1,2\n3,4\n", ("c1", "c2"), [[1, 2], [3, 4]]),
        ("a, b\n1,2\n3,4", ("a", "b"), [[1, 2], [3, 4]]),
        ("a;b\r\n1;2\r\n", ("a", "b"), [[1, 2]]),
        ("a\tb\n1\t2\n", ("a", "b"), [[1, 2]]),
        ("\ufeffhöhe,b\n\n1e3,-2.5\n\n", ("höhe", "b"), [[1000, -2.5]]),
        ('"a, with comma",b\n"1",2\n', ("a, with comma", "b"), [[1, 2]]),
        ("1\n2\n", ("c1",), [[1], [2]]),
        (",2\n3,NaN\nna,5\n", ("c1", "c2"), [[np.nan, 2], [3, np.nan], [np.nan, 5]]),
    ],
)
def test_tables(table, text: str, columns: tuple[str, ...], values: list):
    signals = read(table(text))
    assert (signals.kind, signals.columns, signals.note) == ("table", columns, "")
    np.testing.assert_array_equal(signals.values, np.array(values, dtype=np.float32))
    expected = np.isnan(np.array(values, dtype=float))
    assert np.array_equal(
        signals.hidden if signals.hidden is not None else False & expected, expected
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n3,x\n", ("row 3", "'b'", "'x'")),
        ("1,2\nx,3\n", ("row 2", "'c1'", "'x'")),
        ("a,b\n1,2\n1,2,3\n", ("row 3", "3 cells", "2")),
        ("a,b\n1,inf\n", ("row 2", "'b'", "infinite")),
        ("a,b\n", ("no rows",)),
        ("\n\n", ("empty",)),
        ('a,"b\nc"\n1,"x\ny"\n', ("row 4", "'b\\nc'", "'x\\ny'")),
    ],
)
def test_tables_that_are_refused(table, text: str, words: tuple[str, ...], refused: Refused):
    refused(table(text), "t.csv", *words)


def test_rows_can_be_selected(table):
    signals = read(table("a\n1\n2\n3\n"), select="1:", range="0:4")
    assert signals.names == ("000001", "000002") and signals.columns == ("a",)
    assert signals.batch([0, 1])[0].tolist() == [[0.0], [0.5]]


# Names, and which columns ---------------------------------------------------------------------


def test_a_first_column_of_names_is_not_learned(table):
    signals = read(table("name,a,b\nAda,1,2\n007,3,\n"), select="1:")
    assert (signals.names, signals.columns) == (("007",), ("a", "b"))
    np.testing.assert_array_equal(signals.values, np.array([[3, np.nan]], np.float32))
    assert read(table("a,name\n1,2\n3,4\n")).columns == ("a", "name")  # only the first


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,a\nAda,1\nBob,2\nAda,3\n", ("row 4", "'Ada'", "row 2")),
        ("name\nAda\n", ("names", "no column of numbers")),
        ("name,a\nAda,x\n", ("row 2", "'a'", "'x'")),
    ],
)
def test_names_that_are_refused(table, text: str, words: tuple[str, ...], refused: Refused):
    refused(table(text), "t.csv", *words)


def test_only_some_columns_are_read(table, refused: Refused):
    path = table('name,age,city,income,"a, b"\nAda,36,London,5,1\nBob,40,Paris,6,2\n')
    signals = read(path, columns='income, age,"a, b"')
    assert (signals.columns, signals.names) == (("income", "age", "a, b"), ("Ada", "Bob"))
    np.testing.assert_array_equal(signals.values, np.float32([[5, 36, 1], [6, 40, 2]]))
    refused(path, "column", "'incom'", "'income'", columns="age,incom")
    refused(path, "'age'", "twice", columns="age,age")
    refused(path, "row 2", "'city'", "'London'", columns="age,city")
    plain = read(table("1,2,3\n4,5,6\n"), columns="c3,c1")
    np.testing.assert_array_equal(plain.values, np.float32([[3, 1], [6, 4]]))
    assert plain.columns == ("c3", "c1")


def test_only_some_columns_of_an_array(refused: Refused):
    values = np.arange(12.0).reshape(4, 3)
    signals = read(values, columns="c3")
    np.testing.assert_array_equal(signals.values, values[:, 2:])
    assert signals.columns == ("c3",)
    refused(values, "'c4'", columns="c4")
    refused(np.zeros((3, 9, 9), np.uint8), "data.columns", "images", columns="c1")


# What is said of columns ----------------------------------------------------------------------


def test_odd_columns_are_named(table):
    rows = [f",7,{i},{16777217 if i == 3 else 2 * i}" for i in range(40)]
    rows[5] = ",7,99999,4"
    note = read(table("gone,same,far,long\n" + "\n".join(rows))).note
    assert "column 'gone' was never observed: what is filled in there is invented" in note
    assert "column 'same' is constant" in note
    assert "'far'" in note and "range" in note and note.isprintable()
    assert "column 'long'" in note and "2^24" in note
    assert "'far'" not in read(table("far\n" + "\n".join(map(str, range(40))))).note


def test_what_is_hidden_is_not_said(table):
    hidden = np.zeros((9, 2), bool)
    hidden[:, 0] = True
    note = read(table("a,b\n" + "\n".join(f"5,{i}" for i in range(9))), masks=hidden).note
    assert "'a' was never observed" in note and "constant" not in note


# Writing --------------------------------------------------------------------------------------


def test_numbers_are_written_as_they_were(table, tmp_path: Path):
    text = "name,age,share\nAda,36,0.1\nBob,20000000,1e-07\nEve,-3,2.5\n"
    signals = read(table(text))
    save_rows(tmp_path / "x.csv", signals.columns, signals.values, signals.names)
    assert (tmp_path / "x.csv").read_text("utf-8") == text


HOSTILE = {
    "=cmd|' /C calc'!A0": "'=cmd|' /C calc'!A0",
    "+1": "'+1",
    "-a": "'-a",
    "@SUM(A1)": "'@SUM(A1)",
    "\tx": "'?x",
    "\rx": "'?x",
    "up\x1b[2Jup": "up?[2Jup",
    "two\nlines": "two?lines",
    "caf\udce9": "caf\\udce9",
    "über, \"so\"": "über, \"so\"",
    "": "",
}  # fmt: skip


@pytest.mark.parametrize(("name", "written"), HOSTILE.items())
def test_hostile_names(name: str, written: str, tmp_path: Path):
    path = save_rows(tmp_path / "x.csv", ["-z0"], np.float32([[-1]]), [name])
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [["name", "'-z0"], [written, "-1"]]
    again = read(path)
    assert again.values.tolist() == [[-1]] and again.columns == ("-z0",)
    if name in ("+1", "-a", "@SUM(A1)", "=cmd|' /C calc'!A0"):
        assert again.names == (name,)
    save_latents(path, [name], np.float32([[1, 2]]))
    assert read(path).columns == ("z0", "z1")


@pytest.mark.parametrize("suffix", ["csv", "npy", "npz"])
def test_a_failed_write_leaves_the_old_file(suffix: str, tmp_path: Path, monkeypatch):
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(b"old")

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.replace", full)
        with pytest.raises(UserError, match=r"x.*No space left"):
            save_rows(path, ["a"], np.zeros((2, 1)), None)
        if suffix != "npy":
            with pytest.raises(UserError, match=r"x.*No space left"):
                save_latents(path, ["a", "b"], np.zeros((2, 1)))
    assert path.read_bytes() == b"old" and [p.name for p in tmp_path.iterdir()] == [path.name]
