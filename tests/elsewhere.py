"""A device that is not there: CPU tensors that say they are elsewhere, and refuse what GPUs refuse.

Within `elsewhere()` the device "lazy" exists. What is made on it, or moved to it, keeps its numbers
in this machine's memory, so that answers can be compared bit for bit; but meeting a tensor of the
CPU is an error there, as it is on CUDA, except where CUDA allows it (numbers without axes, copies,
indices from the CPU). With `doubles=False` there are no 64-bit floats on it, as on MPS.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

AWAY = torch.device("lazy")
CROSSING = ("copy_", "_to_copy")  # between devices
STRICT = ("lerp", "lerp_", "cat", "stack")  # not even with a number without axes
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")


class Away(Tensor):
    """A tensor elsewhere; `here` has its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Away:
        made = torch.Tensor._make_wrapper_subclass(
            cls, here.shape, strides=here.stride(), dtype=here.dtype, device=AWAY,
            storage_offset=here.storage_offset(),
        )  # fmt: skip
        made.here = here
        return made

    def __repr__(self, **_: Any) -> str:
        return f"Away({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise RuntimeError(f"{func} outside of the mode")

    def tolist(self) -> Any:
        """Its numbers."""
        return self.here.tolist()

    __torch_function__ = torch._C._disabled_torch_function_impl


def brought(value: Any) -> Any:
    """The numbers of what is elsewhere; anything else as it is."""
    return tree_map(lambda v: v.here if isinstance(v, Away) else v, value)


class Made(TorchFunctionMode):
    """What is made of Python's numbers is made here, and moved."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func not in (torch.tensor, torch.as_tensor):
            return func(*args, **kwargs)
        device = kwargs.pop("device", None)
        if device is None and isinstance(args[0], Away):
            device = AWAY
        made = args[0] if isinstance(args[0], Tensor) else func(*args, **kwargs)
        return made.to(device=device, dtype=kwargs.get("dtype"))


@contextmanager
def elsewhere(doubles: bool = True) -> Iterator[None]:
    """Where the device "lazy" exists, with or without 64-bit floats."""
    with Elsewhere(doubles), Made():
        yield


class Elsewhere(TorchDispatchMode):
    """What happens to tensors; see `elsewhere`."""

    def __init__(self, doubles: bool = True) -> None:
        super().__init__()
        self.doubles = doubles

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        inputs = [v for v in tree_flatten((args, kwargs))[0] if isinstance(v, Tensor)]
        away = self._checked(name, args, inputs)
        if "device" in kwargs and kwargs["device"] is not None:
            away = torch.device(kwargs["device"]).type == AWAY.type
            kwargs["device"] = torch.device("cpu")
        out = func(*brought(args), **brought(kwargs))
        known = {id(v.here): v for v in inputs if isinstance(v, Away)}
        if name == "copy_":
            away = isinstance(args[0], Away)
        return tree_map(lambda v: self._sent(v, known) if away else v, out)

    def _checked(self, name: str, args: Any, inputs: list[Tensor]) -> bool:
        """Whether the answer is elsewhere."""
        away = [v for v in inputs if isinstance(v, Away)]
        if name in CROSSING:
            return bool(away) and (name == "_to_copy")
        if name in INDEXING:
            assert isinstance(args[0], Away) or not away, "a CPU tensor meets indices elsewhere"
            if len(args) > 2:  # what is put there; no longer a number without axes
                assert isinstance(args[2], Away) == isinstance(args[0], Away) or not args[2].ndim
            return bool(away)
        here = [v for v in inputs if not isinstance(v, Away) and (v.ndim or name in STRICT)]
        assert not (away and here), f"{name}: tensors here and elsewhere meet"
        return bool(away)

    def _sent(self, value: Any, known: dict[int, Away]) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) in known:
            return known[id(value)]
        assert self.doubles or value.dtype != torch.float64, "there are no doubles elsewhere"
        return Away(value.resolve_conj())


def moved(module: nn.Module) -> nn.Module:
    """A module whose weights and buffers are elsewhere, in place."""
    for part in module.modules():
        for name, weight in list(part._parameters.items()):
            if weight is not None:
                part._parameters[name] = nn.Parameter(weight.detach().to(AWAY))
        for name, buffer in list(part._buffers.items()):
            if buffer is not None:
                part._buffers[name] = buffer.to(AWAY)
    return module
