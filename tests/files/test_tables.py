"""CSV: header or none, missing cells, and errors that name row and column."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

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
