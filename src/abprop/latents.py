"""The latent table: persistent chains for every training example, found by the example's id."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Self

import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.inference import Metric, State
from abprop.noise import Noise
from abprop.priors import Prior


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
        ids = ids.to(self.ids.device)
        rows = torch.searchsorted(self.ids, ids).clamp_max(len(self.ids) - 1)
        if not torch.equal(self.ids[rows], ids):
            missing = ids[self.ids[rows] != ids][0].item()
            raise AbpropError(f"latents: no example has id {missing}")
        each = torch.arange(self.chains, device=rows.device)
        return (rows[:, None] * self.chains + each).flatten()

    def tensors(self) -> dict[str, Tensor]:
        """Everything needed to rebuild the table, rows in id order."""
        return {**self.part(0, len(self)), **self.shared()}

    def shared(self) -> dict[str, Tensor]:
        """What `tensors` tells of no chain in particular."""
        return {f"metric.{name}": v for name, v in self.metric.tensors().items()}

    def part(self, begin: int, end: int) -> dict[str, Tensor]:
        """What `tensors` tells of the chains of examples begin..end-1."""
        k = self.chains
        states = {name: v[begin * k : end * k] for name, v in self.state._asdict().items()}
        return {"ids": self.ids[begin:end], **states}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Become the table that `tensors` gave; earlier versions kept z and s alone."""
        if "axis" in tensors:
            self.state = State(*(tensors[name] for name in State._fields))
        else:
            self.state = State.begin(tensors["z"], tensors["s"])
        known = "metric.root" in tensors
        self.metric = (
            Metric(tensors["metric.root"], tensors["metric.looks"])
            if known
            else Metric.plain(self.z)
        )

    def adopt(self, tensors: Mapping[str, Tensor], ids: Tensor) -> None:
        """Take on the chains of some examples, and the metric, from what `load` takes.

        Args:
            tensors: of these examples alone, here.
            ids: theirs.
        """
        theirs = copy.copy(self)
        theirs.load(tensors)
        if len(ids) == len(self):
            self.state = theirs.state
        else:
            self[ids] = theirs.state
        self.metric = theirs.metric

    def to(self, device: torch.device | str) -> Self:
        """The same table on another device."""
        moved = copy.copy(self)
        moved.ids, moved.metric = self.ids.to(device), self.metric.to(device)
        moved.state = State(*(v.to(device) for v in self.state))
        return moved


def joined(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """One table of several that follow each other; what is no row is told by the first."""
    first, *others = parts
    if not others:
        return dict(first)
    rows = {n for n in first if not n.startswith("metric.")}
    return {n: torch.cat([part[n] for part in parts]) if n in rows else first[n] for n in first}


def chosen(table: Mapping[str, Tensor], ids: Tensor) -> dict[str, Tensor]:
    """The rows of some examples, all of them there, of what `joined` gives."""
    if torch.equal(table["ids"], ids):
        return dict(table)
    chains = len(table["z"]) // len(table["ids"])
    rows = (
        torch.searchsorted(table["ids"], ids)[:, None] * chains + torch.arange(chains)
    ).flatten()
    whole = {name: v for name, v in table.items() if name.startswith("metric.")}
    states = {n: v[rows] for n, v in table.items() if n not in whole and n != "ids"}
    return {"ids": ids, **states, **whole}


class Rehearsed(Latents):
    """The same chains in a rehearsal: what is written to them comes to nothing.

    All seem to have been looked at: first visits cost more, and happen once. The metric learns, but
    on its own.

    Args:
        table: stays as it is.
    """

    def __init__(self, table: Latents) -> None:
        super().__init__(table.ids, table.state, Metric(table.metric.root, table.metric.looks))
        self.table = table

    def __getitem__(self, ids: Tensor) -> State:
        """Chains of some examples, (B K, ...)."""
        state = self.table[ids]
        return state._replace(axis=torch.ones_like(state.axis))

    def __setitem__(self, ids: Tensor, state: State) -> None:
        """Writes what is there, which takes as long."""
        super().__setitem__(ids, Latents.__getitem__(self, ids))


class Restarted(Latents):
    """Short-run chains: every visit begins at a draw from the prior instead of where it was left.

    Nothing about an example but its step size outlives a visit. (E. Nijkamp, B. Pang, T. Han,
    L. Zhou, S.-C. Zhu, Y. N. Wu: Learning Multi-layer Latent Variable Model via Variational
    Optimization of Short Run MCMC for Approximate Inference, ECCV 2020.)

    Args:
        ids, state, metric: as for `Latents`.
        prior: where visits begin, as it is at the time.
        noise: of these draws.
    """

    def __init__(
        self, ids: Tensor, state: State, metric: Metric | None, prior: Prior, noise: Noise
    ) -> None:
        super().__init__(ids, state, metric)
        self.prior, self.noise = prior, noise

    def __getitem__(self, ids: Tensor) -> State:
        """Chains of some examples, each at a new draw, (B K, ...)."""
        state = super().__getitem__(ids)
        number = torch.arange(self.chains, device=ids.device).repeat(len(ids))
        begin = self.noise.at(ids.repeat_interleave(self.chains), state.age, number)
        return state._replace(z=self.prior.draw_each(begin).to(state.z))
