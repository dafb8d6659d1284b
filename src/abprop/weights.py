"""Learning back-propagation: the gradient of a batch's log joint in the weights.

    d/dW  -(1 / B) sum_i log p(y_i, z_i; W),    a chunk of the batch at a time

An example whose log p is no finite number (its y is damaged, say) would make every weight one of
these, in the very next step: it is left out, and told.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from abprop.inference import chunks
from abprop.model import Model
from abprop.operators import Operator
from abprop.whole import Whole


class Learned(NamedTuple):
    """What came of a step on the weights.

    Attributes:
        loss: -log p(y, z; W), mean over the batch.
        residual: mean squared residual of the numbers measured, before W moved.
        moved: whether there was a finite gradient.
        sound: which chains it is of, bool (B K,); None: all.
    """

    loss: Tensor
    residual: Tensor
    moved: bool
    sound: Tensor | None


def ascend(model: Model, whole: Whole, y: Tensor, z: Tensor, A: Operator, chunk: int) -> Learned:
    """Sets the weights' gradient of -mean log p over the batch.

    Examples whose log p is no number are left out, and weights stay if no gradient is left.
    """
    weights = list(model.network.parameters())

    def summed(y: Tensor, z: Tensor, A: Operator) -> tuple[Tensor, ...]:
        """How many chains; -log p, squares, how many numbers; gradients: a chunk at a time."""
        total, grads = y.new_zeros(3), [torch.zeros_like(w) for w in weights]
        for rows, n in chunks(len(y), chunk, y.device):
            rows = rows[:n]
            joint, count = model.joint(y[rows], z[rows], A[rows]), A[rows].count.sum()
            loss = -joint.log_p.sum()
            torch._foreach_add_(grads, torch.autograd.grad(loss, weights))
            total += torch.stack((loss.detach(), joint.square.detach().sum(), count.to(total)))
        return total.new_full((), len(y)), total, *grads

    found, sound = whole.sum(summed, y, z, A), None
    if not _finite(found):
        sound = _sound(model, y, z, A, chunk)
        found = whole.sum(lambda y, z, A, s: summed(*_chosen(s, y, z, A)), y, z, A, sound)
    chains, (loss, square, measured), *grads = found
    moves = sound is None or (chains.item() > 0 and _finite(found))
    for weight, grad in zip(weights, grads, strict=True):
        weight.grad = grad / chains if moves else None  # the optimizer leaves such weights
    return Learned(loss / chains, square / measured, moves, sound)


def _finite(tensors: Sequence[Tensor]) -> bool:
    return bool(torch.stack(torch._foreach_norm(list(tensors))).isfinite().all())


def _chosen(rows: Tensor, *several: Any) -> list[Any]:
    """Rows that a mask (B,) chooses."""
    index = rows.nonzero()[:, 0]
    return [v[index] for v in several]


@torch.no_grad()
def _sound(model: Model, y: Tensor, z: Tensor, A: Operator, chunk: int) -> Tensor:
    """Whose log p is a finite number, bool (B,)."""
    parts = [
        torch.isfinite(model.joint(y[rows[:n]], z[rows[:n]], A[rows[:n]]).log_p)
        for rows, n in chunks(len(y), chunk, y.device)
    ]
    return torch.cat(parts)
