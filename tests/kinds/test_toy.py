"""A new kind of signal is one file and one row: fitted, sampled, scored and reported."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny import TINY, Command, keys

from abprop import kinds
from abprop.data import Examples
from abprop.kinds import KINDS
from abprop.kinds.base import Asked, Kind

STEP = 0.25


class Steps(Kind):
    """Walks: rows of whole steps, recognised by their length, drawn as pictures of their path."""

    name, one, many = "steps", "walk", "walks"
    preset = {"data": {"kind": "steps"}, "model": {"sigma": "learned"}, "infer": {"steps": 2}}
    figures = ("reconstructions", "samples", "nearest")

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        return len(shape) == 2 and shape[1] == 24

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        return values[:, None] if values.ndim == 2 else None

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        return {**super().choices(asked, seen), "model.latent": "3"}

    def tiles(self, x: np.ndarray) -> np.ndarray | None:
        heights = np.linspace(1, -1, 16)[:, None]
        return np.where(heights < x, np.uint8(40), np.uint8(220))[:, None]

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        return ".npy"


@pytest.fixture
def walks(tmp_path: Path) -> Iterator[Path]:
    """Sixty walks, while there is a row for them. The order of the rows matters: it is put back."""
    known = dict(KINDS)
    KINDS.clear()
    KINDS.update({"steps": Steps(), **known})
    values = np.random.default_rng(0).choice([-STEP, STEP], (60, 24)).cumsum(1)
    np.save(tmp_path / "walks.npy", np.clip(values, -1, 1).astype(np.float32))
    yield tmp_path / "walks.npy"
    KINDS.clear()
    KINDS.update(known)


def test_a_toy_kind(walks: Path, run_dir: Path, abprop: Command):
    sets = keys(*TINY[1:], "train.iterations=6")
    done = abprop("fit", walks, "--run", run_dir, *sets)
    assert done.code == 0 and "57 walks, 3 held out" in done.err, done.err
    told = json.loads(abprop("info", run_dir, "--json").out)
    assert (told["kind"], told["shape"], told["latent"]) == ("steps", [1, 24], [3])
    done = abprop("sample", run_dir, "-n", 5, "-o", run_dir / "five.npy")
    assert done.code == 0 and "5 walks" in done.err
    assert np.load(run_dir / "five.npy").shape == (5, 24)
    scores = json.loads(abprop("evaluate", run_dir, "--against", "pca", "--json").out)
    assert scores["scored"] == "all" and scores["baselines"]["pca"]["mse"] > 0
    page = (run_dir / "report.html").read_text("utf-8")
    assert "A generator of walks" in page and page.count("data:image/png") == 3


def test_what_a_signal_is_is_asked_in_the_table_alone():
    source = Path(kinds.__file__).parents[1]
    question = re.compile(r"""kind(\.name)? (==|!=|in) .*["'](images|texture|table|array)""")
    asked = [
        f"{path.relative_to(source)}:{i}"
        for path in source.rglob("*.py")
        for i, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if question.search(line)
    ]
    assert asked == []
