"""Arrays and tables: shapes beyond counting, dtypes of anything, headers that are programs."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np

from hostile import whole


def npy(
    header: str | bytes, data: bytes = b"", version: int = 1, length: int | None = None
) -> bytes:
    """A .npy of any header."""
    text = header.encode() if isinstance(header, str) else header
    size = struct.pack("<H" if version == 1 else "<I", len(text) if length is None else length)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text + data


def told(shape: str = "(3, 8, 8)", descr: str = "'|u1'", fortran: str = "False") -> str:
    """A header's text."""
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


SHAPES = ("()", "(0,)", "(-1,)", "(-3, 8, 8)", "(4611686018427387904,)", "(4294967296, 4294967296)",
          "(4294967296, 4294967296, 4294967296)", "(3, 8, 8, 1, 1, 1, 1, 1)", "(" + "1," * 70 + ")",
          "(3.0, 8)", "('3', 8)", "[3, 8, 8]", "None", "(True, 8, 8)", "(9" + "9" * 5000 + ",)",
          "(3, 0, 8)", "(2000000000,)", "(1, 100000, 100000)", "192", "(192, -1)")  # fmt: skip
DESCRS = ("'|O'", "'|V8'", "'<f8'", "'<c16'", "'|S10'", "'<U5'", "'<M8[ns]'", "'>i4'", "'|b1'",
    "'<f2'", "'<f16'", "'<i3'", "'f99'", "''", "None", "3", "[('a', '<f4')]", "[('a', '|O')]",
    "[('a', '<f4', (100000, 100000))]", "[" + "('a', '<f4')," * 300 + "]", "'|V2147483647'",
    "{'names': ['a'], 'formats': ['O']}", "('<f4', (1000,))", "'|S2147483647'",
    "[('a', [('b', [('c', '<f4')])])]")  # fmt: skip
PROGRAMS = ("__import__('os').system('exit 1')", "(lambda: 1)()", "[" * 3000, "(" * 5000,
    "9" * 9000, "{**{}}", "print", "'a' * 10**9", "-" * 3000 + "1", "{'descr': __import__('os')}",
    "9**9**9", "\0", "{}", "[]", "{'descr': '|u1'}", told()[:-4], "{'a':" * 1000,
    told().replace("}", "'more': 1}"), "\ud800".encode("utf-8",
    "surrogatepass").decode("latin-1"), " " * 20_000, "[i for i in range(10**9)]")  # fmt: skip
CELLS = ("inf", "-inf", "1e999", "1_000", "0x10", "\u0661", "nan(1)",
    "1e-999", "=1+1", "+-1", "1,5", "\u221e", "True", "1j", "--1", "1e", " ", "'1", "NaN ",
    "N/A")  # fmt: skip
HEADS = ("", ",", "a,a", "name", "name,name", "name,a", '"a\nb",c',
    "\ufeffa,b", "\x1b[2J,b", "=cmd|' /C calc'!A0,b", "\u202ea,b", "a\0,b", "<script>,b",
    "a" * 200_000 + ",b")  # fmt: skip


def numbers() -> Iterator[tuple[str, bytes]]:
    """All of them."""
    for i, shape in enumerate(SHAPES):
        yield f"shape-{i}.npy", npy(told(shape), bytes(192))
        yield f"shape-{i}.npz", whole.zipped({"x.npy": npy(told(shape), bytes(192))})
    for i, descr in enumerate(DESCRS):
        yield f"descr-{i}.npy", npy(told(descr=descr), bytes(1536))
        yield f"descr-{i}.npz", whole.zipped({"x.npy": npy(told(descr=descr), bytes(1536))})
    for i, program in enumerate(PROGRAMS):
        yield f"program-{i}.npy", npy(program)
        yield f"program-{i}.npz", whole.zipped({"x.npy": npy(program)})
    yield from _more_arrays()
    yield from _archives()
    yield from _tables()


def _more_arrays() -> Iterator[tuple[str, bytes]]:
    yield "fortran.npy", npy(told(fortran="True"), bytes(192))
    yield "fortran-word.npy", npy(told(fortran="'yes'"), bytes(192))
    for version in (0, 2, 3, 4, 255):
        yield f"version-{version}.npy", npy(told(), bytes(192), version)
    yield "header-length.npy", npy(told(), bytes(192), 2, length=2**32 - 1)
    yield "short.npy", npy(told(), bytes(191))
    yield "long.npy", npy(told(), bytes(5000))
    yield "pickle.npy", npy(told("(1,)", "'|O'"), b"\x80\x04cos\nsystem\n(X\x04\0\0\0exittR.")
    yield "bare-pickle.npy", b"\x80\x04cos\nsystem\n(X\x04\0\0\0exittR."
    file = io.BytesIO()
    np.save(file, np.array([np.nan, np.inf, -np.inf] * 64).reshape(3, 8, 8))
    yield "infinite.npy", file.getvalue()
    file = io.BytesIO()
    np.save(file, np.full((3, 8, 8), np.nan))
    yield "missing.npy", file.getvalue()


def _archives() -> Iterator[tuple[str, bytes]]:
    fine = npy(told(), bytes(192))
    zeros = npy(told("(110000000,)"), bytes(11 * 10**7))
    yield "bomb.npz", whole.zipped({"x.npy": zeros})
    yield "claim.npz", whole.zipped({"x.npy": npy(told("(900000000,)"), bytes(100))})
    yield "no-npy.npz", whole.zipped({"x": fine, "x.txt": b"?"})
    yield "empty.npz", whole.zipped({})
    yield "directory.npz", whole.zipped({"x.npy/": b""})
    yield "away.npz", whole.zipped({"../../x.npy": fine})
    yield "nested.npz", whole.zipped({"x.npy": whole.npz()})
    yield (
        "odd-names.npz",
        whole.zipped({"\x1b[2J\n.npy": fine, "\u202egpj.npy": fine, ".npy": fine}),
    )
    yield "many.npz", whole.zipped({f"{i}.npy": b"" for i in range(5000)} | {"x.npy": fine})
    yield "stored.npz", whole.zipped({"x.npy": fine}, zipfile.ZIP_STORED)


def _tables() -> Iterator[tuple[str, bytes]]:
    wide = 100_000
    yield "columns.csv", b",".join([b"1"] * wide) + b"\n" + b",".join([b"2"] * wide) + b"\n"
    yield "named-columns.csv", ",".join(f"c{i}" for i in range(2 * wide)).encode() + b"\n1\n"
    yield "rows.csv", b"1\n" * 500_000
    yield "line.csv", b"1" * 3_000_000
    yield "commas.csv", b"," * 3_000_000
    yield "blank.csv", b"\n" * 3_000_000
    yield "cell.csv", b'a,b\n1,"' + b"x" * 3_000_000
    yield "quote.csv", b'a,b\n1,"2\n3,4\n5,6\n'
    yield "quotes.csv", b'"' * 100_001
    yield "digits.csv", b"a\n" + b"9" * 100_000 + b"\n"
    for i, cell in enumerate(CELLS):
        yield f"cell-{i}.csv", f"a;b\n1;2\n3;{cell}\n".encode()
    for i, head in enumerate(HEADS):
        yield f"head-{i}.csv", head.encode() + b"\n1,2\n3,4\n"
    yield "latin.csv", b"caf\xe9,b\n1,2\n"
    yield "utf-16.csv", "a,b\n1,2\n".encode("utf-16")
    yield "surrogates.csv", b"a,b\n\xed\xa0\x80,2\n"
    yield "nul.csv", bytes(10_000)
    yield "ragged.csv", b"a,b\n1,2\n1\n1,2,3\n"
    yield "returns.csv", b"a,b\r1,2\r3,4\r"
    yield "names.csv", b"name,a\nx,1\nx,2\n"
    yield "hollow.csv", b"a,b\n,\n,\n"
