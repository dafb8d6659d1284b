"""The latent table: one persistent chain for every training example, found by the example's id."""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import AbpropError
from abprop.inference import State


class Latents:
    """Latents and step sizes of N examples; `latents[ids]` reads, `latents[ids] = state` writes.

    Args:
        ids: the examples' ids, ascending, int64 (N,).
        z: latents (N, *latent_shape).
        s: step sizes (N,).
    """

    def __init__(self, ids: Tensor, z: Tensor, s: Tensor) -> None:
        if not len(ids) == len(z) == len(s):
            raise AbpropError(f"latents: {len(ids)} ids, {len(z)} z's and {len(s)} step sizes")
        self.ids, self.z, self.s = ids, z, s

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, ids: Tensor) -> State:
        rows = self._rows(ids)
        return State(self.z[rows], self.s[rows])

    def __setitem__(self, ids: Tensor, state: State) -> None:
        rows = self._rows(ids)
        self.z[rows], self.s[rows] = state.z, state.s

    def _rows(self, ids: Tensor) -> Tensor:
        rows = torch.searchsorted(self.ids, ids).clamp_max(len(self.ids) - 1)
        if not torch.equal(self.ids[rows], ids):
            missing = ids[self.ids[rows] != ids][0].item()
            raise AbpropError(f"latents: no example has id {missing}")
        return rows

    def tensors(self) -> dict[str, Tensor]:
        """Everything needed to rebuild the table, rows in id order."""
        return {"ids": self.ids, "z": self.z, "s": self.s}

    def to(self, device: torch.device | str) -> Latents:
        """A table on another device."""
        return Latents(self.ids.to(device), self.z.to(device), self.s.to(device))
