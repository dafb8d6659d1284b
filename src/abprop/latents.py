"""The latent table: persistent chains for every training example, found by the example's id."""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.inference import Metric, State


class Latents:
    """The chains of N examples; `latents[ids]` reads, `latents[ids] = state` writes.

    Args:
        ids: the examples' ids, ascending, int64 (N,).
        state: K chains of each example, those of one example in a row, (N K, ...).
        metric: the coordinates in which they move; z's own if None.
    """

    def __init__(self, ids: Tensor, state: State, metric: Metric | None = None) -> None:
        lengths = {name: len(v) for name, v in state._asdict().items()}
        if len(set(lengths.values())) > 1 or not len(ids) or len(state.z) % len(ids):
            found = ", ".join(f"{n} of {name}" for name, n in lengths.items())
            raise AbpropError(f"latents: {len(ids)} ids, but {found}")
        self.ids, self.state = ids, state
        self.metric = Metric.plain(state.z) if metric is None else metric

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def chains(self) -> int:
        """K, chains of each example."""
        return len(self.state.z) // len(self.ids)

    @property
    def z(self) -> Tensor:
        """Latents of all chains, (N K, *latent_shape)."""
        return self.state.z

    def __getitem__(self, ids: Tensor) -> State:
        """Chains of some examples, (B K, ...)."""
        rows = self._rows(ids)
        return State(*(v[rows] for v in self.state))

    def __setitem__(self, ids: Tensor, state: State) -> None:
        rows = self._rows(ids)
        for mine, new in zip(self.state, state, strict=True):
            mine[rows] = new

    def _rows(self, ids: Tensor) -> Tensor:
        rows = torch.searchsorted(self.ids, ids).clamp_max(len(self.ids) - 1)
        if not torch.equal(self.ids[rows], ids):
            missing = ids[self.ids[rows] != ids][0].item()
            raise AbpropError(f"latents: no example has id {missing}")
        each = torch.arange(self.chains, device=rows.device)
        return (rows[:, None] * self.chains + each).flatten()

    def tensors(self) -> dict[str, Tensor]:
        """Everything needed to rebuild the table, rows in id order."""
        metric = {f"metric.{name}": v for name, v in self.metric.tensors().items()}
        return {"ids": self.ids, **self.state._asdict(), **metric}

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Latents:
        """The table that `tensors` gave; earlier versions kept z and s alone."""
        begun = State.begin(tensors["z"], tensors["s"])
        state = State(*(tensors.get(name, v) for name, v in zip(State._fields, begun, strict=True)))
        known = "metric.root" in tensors
        metric = Metric(tensors["metric.root"], tensors["metric.looks"]) if known else None
        return cls(tensors["ids"], state, metric)

    def to(self, device: torch.device | str) -> Latents:
        """A table on another device."""
        state = State(*(v.to(device) for v in self.state))
        return Latents(self.ids.to(device), state, self.metric.to(device))
