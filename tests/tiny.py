"""Tiny data, settings that learn them in moments, and how a command ended."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abprop.run import Layers, fit

# A precision that is given: which one is faster is measured, and need not be the same twice.
TINY = (
    "run.precision=float32",
    "infer.steps=2",
    "infer.chunk=16",
    "model.channels=8",
    "train.batch=20",
)
FACES = (*TINY, "train.iterations=8", "checkpoint.every=3", "model.sigma=learned")
TEXTURE = (*TINY, "train.iterations=6", "data.crop=16", "data.crops=12", "checkpoint.every=3")
TEXTURE += ("model.sigma=learned",)
TWICE = (*TINY, "train.iterations=2", "checkpoint.every=1", "model.latent=2", "infer.steps=1")
TWICE += ("model.channels=2", "data.holdout=0")
TABLE = (*TINY, "train.iterations=6", "model.latent=3", "checkpoint.every=3")


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def complaint(self) -> str:
        """The one line of an error the user can mend; what the run told before it is no part."""
        assert self.code == 2, (self.code, self.err)
        assert "Traceback" not in self.err and self.out == ""
        lines = [line for line in self.err.splitlines() if line.startswith("abprop: ")]
        assert len(lines) == 1 and self.err.endswith(lines[0] + "\n"), self.err
        return lines[0]


Command = Callable[..., Done]


def keys(*texts: str) -> list[str]:
    """--set for each key=value."""
    return [word for text in texts for word in ("--set", text)]


def blobs(count: int, side: int = 8, seed: int = 0) -> np.ndarray:
    """A bright spot at a place and of a width of its own: uint8 (count, side, side)."""
    random = np.random.default_rng(seed)
    axis = np.arange(side)
    y, x = random.uniform(1, side - 2, (2, count, 1, 1))
    width = random.uniform(1, side / 3, (count, 1, 1))
    squared = (axis[:, None] - y) ** 2 + (axis[None] - x) ** 2
    return np.rint(255 * np.exp(-squared / (2 * width**2))).astype(np.uint8)


def waves(side: int = 32) -> np.ndarray:
    """A texture: uint8 (side, side)."""
    random = np.random.default_rng(1)
    axis = np.arange(side)
    stripes = np.sin(axis[:, None] / 2) * np.cos(axis[None] / 3)
    return np.rint(127 + 90 * stripes + random.normal(0, 8, (side, side))).astype(np.uint8)


def rows(count: int = 60, gaps: float = 0.1) -> np.ndarray:
    """A table of columns in different units, NaN where missing: float32 (count, 5)."""
    random = np.random.default_rng(2)
    table = random.normal(size=(count, 2)) @ random.normal(size=(2, 5)) * [1, 10, 100, 1, 0.01]
    table[random.random(table.shape) < gaps] = np.nan
    return table.astype(np.float32)


def write_table(path: Path, table: np.ndarray) -> Path:
    """As CSV with a header, empty cells where missing."""
    cells = [["" if np.isnan(v) else repr(float(v)) for v in row] for row in table]
    path.write_text("\n".join(map(",".join, [["a", "b", "c", "d", "e"], *cells])) + "\n", "utf-8")
    return path


def learned(folder: Path, source: Path, sets: Sequence[str]) -> Path:
    """A run of a source with some keys set; its folder."""
    fit(folder, Layers(None, sets, {"data.source": str(source)}))
    return folder
