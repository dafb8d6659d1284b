"""Examples with stable ids, and the affine map between their units and the model's [-1, 1].

    x = (value - low) / unit - 1,    unit = (high - low) / 2

Example i of a `Signals` is `values[i]` for ever: batches are pure functions of the ids, so a
latent factor that belongs to an id always meets the same data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from abprop.errors import UserError

# What a veil says of an entry.
OBSERVED, MISSING, SECRET, ASIDE = 0, 1, 2, 3

_BLOCK = 1024  # examples hashed at once

Ids = Tensor | np.ndarray | Iterable[int]


@dataclass(frozen=True, eq=False)
class Scale:
    """An affine map between data units and model units.

    Attributes:
        low: the data value that becomes -1; a number, or an array that broadcasts over the values.
        high: the data value that becomes +1.
        dtype: what `to_data` gives back, "uint8", "uint16", "float32", ...
    """

    low: float | np.ndarray
    high: float | np.ndarray
    dtype: str

    def __post_init__(self) -> None:
        if not np.all(np.isfinite(self.low) & np.isfinite(self.high) & (self.low < self.high)):
            raise UserError(f"data range {self.low}:{self.high} is not low:high with low < high")

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Scale)
            and self.dtype == other.dtype
            and np.array_equal(self.low, other.low)
            and np.array_equal(self.high, other.high)
        )

    @property
    def unit(self) -> float | np.ndarray:
        """Data units per model unit."""
        return (self.high - self.low) / 2

    @property
    def middle(self) -> float | np.ndarray:
        """The data value that becomes 0."""
        return self.low + self.unit

    def to_model(self, values: np.ndarray) -> np.ndarray:
        """Data units to model units, float32 of the same shape."""
        values = np.asarray(values)
        if values.dtype == np.uint8 and values.size > 256 and np.ndim(self.low) == 0:
            return self.to_model(np.arange(256, dtype=np.uint8))[values]  # 3 times as fast
        wide = np.asarray(values, dtype=np.float64)  # 16-bit data survive the round trip exactly
        return ((wide - self.low) / self.unit - 1).astype(np.float32)

    def to_data(self, x: np.ndarray, rounded: bool = True) -> np.ndarray:
        """Model units to data units.

        Args:
            x: any shape that broadcasts with `low` and `high`.
            rounded: give `dtype` back, integers rounded and clipped to what it holds; otherwise
                float32 as it comes.
        """
        values = (np.asarray(x, dtype=np.float64) + 1) * self.unit + self.low
        if not rounded:
            return values.astype(np.float32)
        dtype = np.dtype(self.dtype)
        if dtype.kind in "iu":
            values = np.clip(np.rint(values), *_bounds(dtype))
        return values.astype(dtype)


@dataclass(frozen=True, eq=False)
class Signals:
    """What the learner sees: N examples, their names and their scale. Make one with `Signals.of`.

    Attributes:
        kind: a name of `kinds.KINDS`.
        values: (N, C, *size) in the data's own dtype; a table is (N, C). Floats are float32. May
            lie in a file, and with channels last: only blocks of them are for looking at.
        veil: uint8 (N, 1 or C, *size), what is known of each entry; None if all was observed.
            OBSERVED; MISSING: no one knows it (NaN, alpha 0); SECRET: hidden by a mask or a rule,
            while `values` holds the truth; ASIDE: observed, but kept from learning to check
            uncertainty with.
        names: one per example: a file's stem, or its number as "000017".
        scale: the map to model units; `scale.dtype` is the dtype of `values`.
        source: where they came from.
        columns: names of a table's columns.
        note: one sentence about what was chosen on the user's behalf, or "".
        about: plain values that writing such signals needs: the rate of a sound.
    """

    kind: str
    values: np.ndarray
    veil: np.ndarray | None
    names: tuple[str, ...]
    scale: Scale
    source: str
    columns: tuple[str, ...] = ()
    note: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rate(self) -> int:
        """Samples a second of a sound; 0 of all else, and of its spectra."""
        return int(self.about.get("rate", 0))

    @classmethod
    def of(
        cls,
        kind: str,
        values: np.ndarray,
        hidden: np.ndarray | None,
        names: Iterable[str],
        scale: Scale,
        source: str,
        *,
        columns: tuple[str, ...] = (),
        note: str = "",
        about: Mapping[str, Any] | None = None,
    ) -> Signals:
        """Signals, their veil in one form.

        Args:
            hidden: codes of a veil, or bool with True for MISSING; one that hides nothing is None.
        """
        names = tuple(names)
        veil = hidden.astype(np.uint8) if hidden is not None and hidden.any() else None
        return cls(kind, values, veil, names, scale, source, columns, note, about or {})

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of values, what is hidden, and names; computed once, when it is asked for."""
        return fingerprint(self.values, self.veil, self.names)

    @property
    def hidden(self) -> np.ndarray | None:
        """Bool (N, 1 or C, *size), True where learning sees nothing; None if it sees all."""
        return None if self.veil is None else self.veil > OBSERVED

    def __len__(self) -> int:
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """(C, *size) of one example."""
        return self.values.shape[1:]

    @property
    def dims(self) -> int:
        """Number of axes of `size`: 0 for a table, 2 for pictures."""
        return self.values.ndim - 2

    def batch(self, ids: Ids) -> tuple[Tensor, Tensor | None]:
        """The examples `ids`: (B, C, *size) float32 in model units, 0 where hidden; and the mask.

        Returns:
            y, and hidden as bool (B, 1 or C, *size) or None.
        """
        rows = as_rows(ids)
        y = self.scale.to_model(self.values_of(rows))
        if self.veil is None:
            return torch.from_numpy(y), None
        hidden = self.veil[rows] > OBSERVED
        return torch.from_numpy(np.where(hidden, np.float32(0), y)), torch.from_numpy(hidden)

    def take(self, ids: Ids) -> Signals:
        """Some of the examples, on the same scale, in the order of `ids`."""
        rows = as_rows(ids)
        names = [self.names[row] for row in rows]
        return self.become(self.values_of(rows), self.codes(rows), names)

    def values_of(self, ids: Ids) -> np.ndarray:
        """Some of the examples in data units, (B, C, *size)."""
        return np.ascontiguousarray(self.values[as_rows(ids)])

    def codes(self, ids: Ids) -> np.ndarray | None:
        """The veil of the examples `ids`, uint8 (B, 1 or C, *size), or None."""
        return None if self.veil is None else self.veil[as_rows(ids)]

    def unveiled(self, code: int) -> Signals:
        """The same with the entries of one code observed."""
        if self.veil is None:
            return self
        return self.become(
            self.values, np.where(self.veil == code, np.uint8(OBSERVED), self.veil), self.names
        )

    def become(self, values: np.ndarray, veil: np.ndarray | None, names: Iterable[str]) -> Signals:
        """Other examples of the same kind, scale and source."""
        changed = (self.kind, values, veil, names, self.scale, self.source)
        return Signals.of(*changed, columns=self.columns, note=self.note, about=self.about)


def fingerprint(values: np.ndarray, veil: np.ndarray | None, names: tuple[str, ...]) -> str:
    """SHA-256 over shape, dtype and bytes of values, mask and names (hexadecimal).

    What is behind the mask has no part in it. What is set aside counts as observed.
    """
    digest = hashlib.sha256()
    some = None if veil is None else lambda b: (veil[b] == MISSING) | (veil[b] == SECRET)
    blocks = [slice(i, i + _BLOCK) for i in range(0, len(values), _BLOCK)]
    if some is not None and not any(some(b).any() for b in blocks):
        some = None
    nothing = np.asarray(np.nan if values.dtype.kind == "f" else 0, dtype=values.dtype)
    _update(digest, values, (
        values[b] if some is None else np.where(some(b), nothing, values[b]) for b in blocks
    ))  # fmt: skip
    if some is not None and veil is not None:
        _update(digest, veil.view(np.bool_), map(some, blocks))
    digest.update(json.dumps(names).encode())
    return digest.hexdigest()


def _update(digest: Any, whole: np.ndarray, parts: Iterable[np.ndarray]) -> None:
    """Adds an array that comes in parts, as if it were one."""
    digest.update(f"{whole.dtype.name} {whole.shape}\n".encode())
    for part in parts:
        little = np.ascontiguousarray(part, dtype=part.dtype.newbyteorder("<"))
        digest.update(little.reshape(-1).view(np.uint8).data)


def choose_scale(
    values: np.ndarray,
    hidden: np.ndarray | None,
    *,
    each_column: bool = False,
    given: tuple[float, float] | None = None,
) -> Scale:
    """The data range: what was given, what the dtype or the values suggest, or what they span.

    Args:
        values: (N, C, *size).
        hidden: bool, broadcastable to values, or None.
        each_column: span of each column on its own (a table).
        given: (low, high).
    """
    dtype = values.dtype
    if given is not None:
        return Scale(*given, dtype.name)
    if each_column:
        return Scale(*_span(values, hidden, axis=0), dtype.name)
    if dtype in (np.uint8, np.uint16):
        return Scale(0.0, float(np.iinfo(dtype).max), dtype.name)
    low, high = (float(end) for end in _span(values, hidden, axis=None))
    if dtype.kind == "f":
        for usual in ((0.0, 1.0), (-1.0, 1.0)):
            if usual[0] <= low and high <= usual[1]:
                return Scale(*usual, dtype.name)
    return Scale(low, high, dtype.name)


def _span(
    values: np.ndarray, hidden: np.ndarray | None, axis: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Least and largest observed value, float64; a constant gets a span of one."""
    shown = True if hidden is None else np.broadcast_to(~hidden, values.shape)
    top = np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).max
    bottom = -np.inf if values.dtype.kind == "f" else np.iinfo(values.dtype).min
    low = np.min(values, axis=axis, where=shown, initial=top).astype(np.float64)
    high = np.max(values, axis=axis, where=shown, initial=bottom).astype(np.float64)
    low = np.where(low <= high, low, 0.0)  # nothing was observed here
    return low, np.where(high > low, high, low + np.maximum(1.0, np.spacing(np.abs(low))))


def _bounds(dtype: np.dtype) -> tuple[float, float]:
    """What an integer dtype holds, as floats that convert back without overflow."""
    info = np.iinfo(dtype)
    high = float(info.max)
    return float(info.min), high if int(high) == info.max else float(np.nextafter(high, 0))


def as_rows(ids: Ids) -> np.ndarray:
    """Numbers of examples as an index, int64."""
    return np.asarray(ids if isinstance(ids, Tensor | np.ndarray) else list(ids), dtype=np.int64)
