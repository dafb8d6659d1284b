"""A visit recorded once and replayed.

On a GPU a step is some hundred kernels; for small batches starting them one by one takes many times
as long as they do. A CUDA graph starts them all at once. It is recorded for a kind of visit
(kernel, steps, shapes and the places of the model's tensors) and reads everything that changes
between two visits, weights included, from where it lay when it was recorded.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from abprop.noise import Ahead, Keyed
from abprop.operators import Operator

KEPT = 4  # recordings of a model
PLAIN = (int, float, bool, str, tuple, torch.dtype, torch.Size, type(None))

Work = Callable[..., Sequence[Tensor]]


class Recording:
    """work(*inputs) as a graph.

    Args:
        work: of tensors alone; waits for nothing on the host.
        inputs: like those of later calls.
    """

    def __init__(self, work: Work, inputs: Sequence[Tensor]) -> None:
        self.inputs = [v.clone() for v in inputs]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):  # what happens once must not be recorded
            for _ in range(2):
                work(*self.inputs)
        torch.cuda.current_stream().wait_stream(aside)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):  # a reader pins
            self.outputs = work(*self.inputs)

    def __call__(self, *inputs: Tensor) -> list[Tensor]:
        for mine, new in zip(self.inputs, inputs, strict=True):
            mine.copy_(new)
        self.graph.replay()
        return [v.clone() for v in self.outputs]


_recordings: WeakKeyDictionary[nn.Module, dict[Any, Recording]] = WeakKeyDictionary()


def replayed(model: nn.Module, key: object, work: Work, inputs: Sequence[Tensor]) -> list[Tensor]:
    """work(*inputs), from a recording of it where there is one, else recorded now.

    Args:
        model: what work reads besides, where it lies.
        key: all else that work depends on, hashable.
        work, inputs: see `Recording`.
    """
    held = [v.data_ptr() for v in (*model.parameters(), *model.buffers())]
    like = [(tuple(v.shape), v.stride(), v.dtype) for v in inputs]
    known, whole = _recordings.setdefault(model, {}), (key, tuple(held), tuple(like))
    if whole not in known:
        while len(known) >= KEPT:
            del known[next(iter(known))]
        known[whole] = Recording(work, inputs)
    return known[whole](*inputs)


def possible(y: Tensor) -> bool:
    """Whether work on tensors like y can be recorded."""
    return y.is_cuda


# Taking apart and putting together --------------------------------------------------------------


def parts_of(A: Operator) -> tuple[object, dict[str, Tensor]] | None:
    """What an operator is besides its tensors, hashable, and these; None if it holds more."""
    tensors = {name: v for name, v in vars(A).items() if isinstance(v, Tensor)}
    rest = tuple((name, v) for name, v in vars(A).items() if name not in tensors)
    if not all(isinstance(v, PLAIN) for _, v in rest):
        return None
    return (type(A), rest, tuple(tensors)), tensors


def with_parts(A: Operator, tensors: dict[str, Tensor]) -> Operator:
    """The same operator with other tensors."""
    made = copy.copy(A)
    vars(made).update(tensors)
    return made


def noise_of(noise: Keyed) -> tuple[object, list[Tensor]]:
    """What noise is besides its tensors, and these."""
    count = noise.count if isinstance(noise, Ahead) else 0
    return (noise.key, count), [noise.ids, noise.t, noise.chain]


def with_noise(rest: Any, tensors: Sequence[Tensor]) -> Keyed:
    """The inverse of `noise_of`."""
    key, count = rest
    plain = Keyed(key, *tensors)
    return plain.ahead(count) if count else plain
