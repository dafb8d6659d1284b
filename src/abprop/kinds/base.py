"""What every kind of signal offers; a kind that says nothing of its own is like this.

A kind is one file: what it recognises and reads, what it chooses by default, how a source becomes
examples, what the report shows of it and how it is written. It sees no recipe: what was asked comes
as plain values by dotted key, what it chooses goes back in the same form.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from abprop import starts
from abprop.data import Examples, Signals, Views, whole
from abprop.data.masks import Mask, codes
from abprop.errors import UserError
from abprop.files.arrays import in_place, native
from abprop.files.tables import save_rows
from abprop.grammar import parse_latent
from abprop.say import Say, counted, quiet
from abprop.spectra import Colour

FEWEST_TO_HOLD_OUT = 50
Asked = Mapping[str, Any]


@dataclass(frozen=True)
class Request:
    """What the user asked of the data; see `sources.read`."""

    kind: str
    size: tuple[int, int] | None
    channels: str
    select: str | int | None
    limit: int | None
    masks: object = None
    columns: str | None = None
    rate: int | None = None
    seconds: float | None = None
    say: Say = quiet


@dataclass(frozen=True)
class Raw:
    """What was read, not yet checked or scaled. Fields as in `Signals`."""

    kind: str
    values: np.ndarray
    veil: np.ndarray | None
    names: list[str]
    columns: tuple[str, ...] = ()
    note: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)


class Kind:
    """A kind of signal.

    Attributes:
        name: as in `data.kind`.
        one, many: what an example is called.
        preset: what suits it: the name of a preset, or its keys.
        cuts: whether its examples are cut from one source, which itself is the only "example" read.
        several: what more than one of these are.
        moves: whether it is a video.
        judge: against what samples of it are held, see `evaluate.judging`; "" for nothing.
        by_column: whether each column has a scale of its own.
        figures: what a report shows, by name (see `report.figures`).
    """

    name: ClassVar[str] = "array"
    one: ClassVar[str] = "example"
    many: ClassVar[str] = "examples"
    preset: ClassVar[str | Mapping[str, Any]] = "table"
    cuts: ClassVar[bool] = False
    several: ClassVar[str] = "array"
    moves: ClassVar[bool] = False
    judge: ClassVar[str] = ""
    by_column: ClassVar[bool] = False
    figures: ClassVar[tuple[str, ...]] = (
        "reconstructions", "samples", "plane", "interpolation", "nearest",
    )  # fmt: skip

    def counted(self, count: int) -> str:
        """So many of its examples, in words."""
        return counted(count, self.one, self.many)

    # Recognising and reading -----------------------------------------------------------------

    def likely(self, shape: tuple[int, ...], dtype: np.dtype) -> bool:
        """Whether an array of this shape most likely holds this; the first to say so has it."""
        return True

    def arrange(self, values: np.ndarray) -> np.ndarray | None:
        """The array as (N, C, *size), or (N, C) for a table, a view; None if it cannot be."""
        if values.ndim == 2:
            return values[:, None]
        return values if 3 <= values.ndim <= 5 else None

    def reads(self, path: Path) -> bool:
        """Whether this kind reads such a file or folder itself; arrays and tables of numbers
        anyone can read."""
        return False

    def takes(self, path: Path) -> bool:
        """Whether it reads such a file or folder where data.kind names it."""
        return self.reads(path)

    def read(self, path: Path, request: Request) -> Raw:
        """Read what `reads` or `takes` said yes to.

        Raises:
            UserError: unreadable, or of another kind than was asked.
        """
        raise NotImplementedError

    def stacked(
        self,
        arranged: np.ndarray,
        rows: np.ndarray,
        where: str,
        request: Request,
        mask: Mask | None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The chosen rows of an arranged array and their veil, (n, C, *size) each.

        Raises:
            UserError: sizes or channels that this kind does not have.
        """
        if request.size is not None or request.channels != "keep":
            raise UserError(
                f"{where} is {self.name}, no pictures; leave out data.size and data.channels"
            )
        return native_rows(arranged, rows, where, mask)

    def span(self, values: np.ndarray) -> tuple[float, float] | None:
        """The data range that becomes [-1, 1], if this kind has one of its own."""
        return None

    def check_veil(self, veil: np.ndarray | None, where: str) -> None:
        """Refuse what such signals cannot have hidden.

        Raises:
            UserError: they must be complete.
        """

    def told(self, request: Request) -> dict[str, Any]:
        """`Signals.about` of an array.

        Raises:
            UserError: something that writing needs was not said.
        """
        return {}

    def loss(self, values: np.ndarray, columns: Sequence[str]) -> str:
        """What keeping the chosen rows as examples loses of them, for a note; "" for nothing."""
        return ""

    def remarks(self, values: np.ndarray, hidden: np.ndarray | None, columns: Sequence[str]) -> str:
        """What is odd about what is not hidden of the examples, for a note; "" for nothing."""
        return ""

    # Choosing ---------------------------------------------------------------------------------

    def choices(self, asked: Asked, seen: Examples) -> dict[str, Any]:
        """Every `auto` decided by looking at the data; dotted keys of a recipe.

        Args:
            asked: the recipe so far, by dotted key.
            seen: all that learning may see.
        """
        n, chosen = len(seen), dict[str, Any]()
        numbers = seen.y[torch.arange(1)].numel()
        if asked["data.mirror"] == "auto":
            chosen["data.mirror"] = "no"
        if asked["data.shift"] is None:
            chosen["data.shift"] = 0
        if asked["model.latent"] == "auto":
            d = min(100, max(2, n // 10), max(1, numbers // 4))
            chosen["model.latent"] = str(d)
        latent = parse_latent(chosen.get("model.latent", asked["model.latent"]))
        if asked["infer.start"] == "auto":
            chosen["infer.start"] = "pca" if len(latent) == 1 and n >= 20 else "prior"
        if asked["model.prior"] == "auto":
            chosen["model.prior"] = "gaussian"
        if n < FEWEST_TO_HOLD_OUT:
            chosen["data.holdout"] = 0.0
        if asked["model.sigma"] is None:
            chosen["model.sigma"] = starts.hot_sigma(seen, math.prod(latent))
        return chosen

    def windows(self, signals: Signals, asked: Asked) -> Sequence[int]:
        """Windows of spectra that may suit a sound, to be tried; none where it is known."""
        return ()

    def colour(self, signals: Signals, asked: Asked) -> Colour | None:
        """That of a sound which is learned by the variance of its bands; None for all else.

        Raises:
            UserError: silence, or too short for a window.
        """
        return None

    def views(self, signals: Signals, asked: Asked) -> Views:
        """The examples that a source gives, without copies."""
        return whole(signals)

    # Showing and writing ----------------------------------------------------------------------

    def tiles(self, x: np.ndarray) -> np.ndarray | None:
        """Signals in model units (n, C, *size) as pictures to look at, uint8 (n, 1 or 3, H, W);
        None where there is no such picture."""
        return None

    def suffix(self, shape: Sequence[int], dtype: str) -> str:
        """The extension of a file that can hold such signals."""
        return ".csv"

    def write(
        self, x: np.ndarray, path: Path, names: Sequence[str] | None, about: Mapping[str, Any]
    ) -> str:
        """Write signals where the user asked, and say where.

        Args:
            x: (n, C, *size) in data units.
            path: a file, or a folder without an extension.
            names: of the examples.
            about: see `Signals`; and the columns of a table.

        Raises:
            UserError: an extension that cannot hold such signals, or the disk refuses.
        """
        columns = about["columns"] or [f"c{i}" for i in range(x[0].size)]
        path = save_rows(path, columns, x.reshape(len(x), -1), names)
        return f"{self.counted(len(x))}: {path}"


def native_rows(
    arranged: np.ndarray, rows: np.ndarray, where: str, mask: Mask | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Some rows as they are, and their veil; large ones stay in the file that they are in."""
    found = in_place(arranged, rows)
    if found is None:
        whole = not isinstance(arranged, np.memmap) and np.array_equal(rows, range(len(arranged)))
        found = np.ascontiguousarray(arranged if whole else arranged[rows])
    values = native(found, where).view(np.ndarray)
    if mask is None:
        return values, None
    masks = (mask(i, r, f"{r:06d}", values.shape[1:]) for i, r in enumerate(rows.tolist()))
    return values, np.stack([codes(values, None, hidden) for hidden in masks])
