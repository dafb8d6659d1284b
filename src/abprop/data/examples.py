"""What learning sees of data: observations, operators and ids, read a batch at a time.

    y_i = A_i(x_i) + noise,    i one of the ids

`y` and `A` are anything that gives its rows: a tensor and an operator as they are, or readers that
compute a batch from what is stored when it is asked for. So copies and crops take no room, and
learning knows neither files nor kinds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from abprop.alternate import Batch
from abprop.data.signals import OBSERVED, Ids
from abprop.errors import AbpropError
from abprop.networks.stages import channels_last
from abprop.operators import Identity, Mask, Operator, for_many


class Observations(Protocol):
    """A tensor, or what reads one row by row."""

    def __getitem__(self, rows: Tensor, /) -> Tensor: ...


class Operators(Protocol):
    """An operator, or what makes one for some of the examples."""

    def __getitem__(self, rows: Tensor) -> Operator: ...


class Source(Protocol):
    """Stored signals or views of them."""

    def __len__(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    def batch(self, ids: Ids) -> tuple[Tensor, Tensor | None]: ...
    def codes(self, ids: Ids) -> np.ndarray | None: ...


@dataclass(frozen=True, eq=False)
class Examples:
    """N examples.

    Args:
        y: `y[rows]` gives observations (B, ...), float32 in model units, 0 behind a mask.
        A: `A[rows]` gives their operator.
        ids: ascending, int64 (N,); what keys noise and finds latents.
        signal_shape: (C, *size) of a signal x.
        places: where each begins in the one signal that all were cut from, int64 (N, axes).

    Raises:
        AbpropError: ids that are not ascending.
    """

    y: Observations
    A: Operators
    ids: Tensor
    signal_shape: tuple[int, ...]
    places: Tensor | None = None

    def __post_init__(self) -> None:
        if not len(self.ids) or not (self.ids[1:] > self.ids[:-1]).all():
            raise AbpropError("examples: ids must ascend, one for each example")

    def __len__(self) -> int:
        return len(self.ids)

    def batch(self, rows: Tensor | None = None, device: torch.device | str = "cpu") -> Batch:
        """Some of the examples, or all of them, on a device; see `read`."""
        return self.read(torch.arange(len(self)) if rows is None else rows).to(device)

    def read(self, rows: Tensor) -> Batch:
        """Some of the examples, where they are kept.

        Channels are last in memory, as the network makes them.
        """
        return Batch(self.ids[rows], channels_last(self.y[rows]), self.A[rows])

    def first(self, count: int) -> Examples:
        """The first so many of them."""
        places = None if self.places is None else self.places[:count]
        return Examples(self.y, self.A, self.ids[:count], self.signal_shape, places)


@dataclass(frozen=True)
class Seen:
    """Reads what a source shows of some examples."""

    source: Source

    def __getitem__(self, rows: Tensor) -> Tensor:
        return self.source.batch(rows)[0]


@dataclass(frozen=True)
class Veils:
    """Makes the masks of some examples of a source; nothing hidden is the identity."""

    source: Source

    def __getitem__(self, rows: Tensor) -> Operator:
        codes = self.source.codes(rows)
        if codes is None:
            return Identity(len(rows), self.source.shape)
        return Mask(torch.from_numpy(codes > OBSERVED).expand(-1, *self.source.shape))


@dataclass(frozen=True)
class Same:
    """One operator for all examples."""

    operator: Operator

    def __getitem__(self, rows: Tensor) -> Operator:
        return for_many(self.operator, len(rows))
