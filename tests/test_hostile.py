"""Malformed and hostile files: accepted, or refused in one line; no crash, no hang, no full memory.

A part of the corpus in every run of the tests, the rest of it among the slow ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from hostile import SETS, trial, whole

from abprop.checkpoint import manifest
from abprop.explore import UPLOAD
from abprop.files import limits, sounds
from abprop.files.tables import COLUMNS
from abprop.report.page import LIMIT

TESTS = Path(__file__).parent
COUNT = 1668  # in all; docs/security.md says so
PART = 3  # of so many one is tried each time
MOST = 1 << 30  # bytes that reading any of them may take
LONGEST = 1200  # letters of a line: where a name is unknown, all keys are listed


@cache
def sets() -> dict[str, dict[str, bytes]]:
    """Each set's, by name."""
    return {name: dict(made()) for name, made in SETS.items()}


@cache
def inputs() -> dict[str, bytes]:
    """All, by name; no two have one."""
    named = [name for some in sets().values() for name in some]
    assert [name for name, count in Counter(named).items() if count > 1] == []
    return {name: data for some in sets().values() for name, data in some.items()}


def test_there_are_as_many_as_the_page_says():
    """And as large, and as many of each kind; the same bytes each time."""
    assert len(inputs()) == COUNT and whole.files.__wrapped__() == whole.files()
    page = " ".join((TESTS.parent / "docs" / "security.md").read_text("utf-8").split())
    counts = {name: len(some) for name, some in sets().items()}
    for words in (
        f"{COUNT:,} malformed and hostile files",
        f"{counts['damaged']} whole files of {len(whole.files())} kinds",
        f"{counts['pictures']} pictures, {counts['sounds']} sounds and {counts['videos']} videos",
        f"{counts['numbers']} arrays and tables; {counts['archives']} zips",
        f"{counts['recipes']} recipes",
        f"{limits.PIXELS:,} pixels of {limits.PIXEL_BYTES} bytes",
        f"{limits.FILE_BYTES >> 30} GiB |",
        f"{limits.EXAMPLES:,} (`data.select`",
        f"{limits.TEXT_BYTES >> 20} MiB; whole numbers",
        f"{COLUMNS:,} columns",
        f"{sounds.FASTEST:,} samples a second",
        f"{manifest.MANIFEST_BYTES >> 20} MiB |",
        f"{UPLOAD // 10**6} MB |",
        f"{LIMIT // 10**6} MB |",
    ):
        assert words in page, words


def tried(names: list[str], folder: Path) -> list[dict]:
    """How each ended."""
    files = folder / "in"
    files.mkdir()
    (folder / "a.png").write_bytes(whole.picture("PNG"))
    for name in names:
        (files / name).write_bytes(inputs()[name])
    paths = os.pathsep.join((str(TESTS.parent / "src"), str(TESTS)))
    command = [sys.executable, "-m", "hostile.trial", str(files), str(folder / "a.png")]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=570,
        env={**os.environ, "PYTHONPATH": paths},
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"ended by {done.returncode} in {lines[-1:]}: {done.stderr[-999:]}"
    return lines


def faults(lines: list[dict]) -> list[str]:
    """Of each attempt that did not end as it must: which, and how."""
    before, found = lines[0]["held"], []
    for told in (line for line in lines if "code" in line):
        said, wrong = told["said"], []
        line = said.removeprefix("abprop: ").removesuffix("\n")
        refused = line != said and line.isprintable() and len(line) <= LONGEST
        if told["code"] != 0 and not (told["code"] == 2 and refused):
            wrong.append(f"code {told['code']}: {said[-500:]!r}")
        elif told["code"] == 2 and told["as_"] != "masks" and told["name"] not in line:
            wrong.append(f"does not say which file: {line!r}")
        if told["seconds"] > trial.SECONDS:
            wrong.append(f"{told['seconds']:.1f} s of a processor")
        if told["held"] - before > MOST:
            wrong.append(f"{(told['held'] - before) >> 20} MiB")
        found += [f"{told['name']} as {told['as_']}: {', '.join(wrong)}"] * bool(wrong)
    return found


def test_a_part_of_them(tmp_path: Path):
    names = sorted(inputs())[::PART]
    assert len(names) > 500
    lines = tried(names, tmp_path)
    assert {line["name"] for line in lines if "code" in line} == set(names)
    assert faults(lines) == []


@pytest.mark.slow
def test_the_rest_of_them(tmp_path: Path):
    names = sorted(set(inputs()) - set(sorted(inputs())[::PART]))
    assert faults(tried(names, tmp_path)) == []
