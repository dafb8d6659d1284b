"""Measurements that someone else wrote.

Function        y = g(x) for any callable g,    (dg/dx)^T v by autograd
from_physics    y = physics.A(x),               A^T v = physics.A_adjoint(v)

What comes back is checked at every call: a fault in code that is not ours is told in one line.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.operators.base import Alike, Pullback, times


class Function(Alike):
    """Any callable that autograd can differentiate, linear or not.

    Args:
        fn: x (b, C, *size) -> y (b, ...) for any number b of examples, each by itself. A module is
            moved by `to`.
        shape: shape of one signal, (C, *size).
        batch: number of examples.

    Raises:
        UserError: `fn` raises, returns no real tensor, another number of examples or shapes that
            change, or autograd finds no way through it.
    """

    linear: bool = False

    def __init__(self, fn: Callable[[Tensor], Tensor], shape: tuple[int, ...], batch: int) -> None:
        self.fn, self.name = fn, f"operator {getattr(fn, '__name__', type(fn).__name__)}"
        y = _probe(self._run, self.name, shape, _home(fn))
        super().__init__(batch, y, prod(y), device=_home(fn))
        self.vjp(torch.zeros(2, *shape, device=_home(fn)))

    def __call__(self, x: Tensor) -> Tensor:
        return _checked(self._run(x), x, self.name, self.shape)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """g(x) and its pullback at x, through autograd."""
        with torch.enable_grad():
            leaf = x.detach().requires_grad_()
            y = self(leaf)
        if not y.requires_grad:
            raise UserError(
                f"{self.name} cannot be differentiated by autograd; write it with torch functions "
                "only, without detach, numpy or rounding to integers"
            )

        def pullback(v: Tensor) -> Tensor:
            grads = torch.autograd.grad(y, leaf, v, retain_graph=True, materialize_grads=True)
            return grads[0]

        return y.detach(), pullback

    def to(self, device: torch.device | str) -> Function:
        """The same function on another device; of a module a copy, for others may hold it here."""
        moved = super().to(device)
        moved.fn = _moved(self.fn, device)
        return moved

    def _run(self, x: Tensor) -> Tensor:
        # A copy, so that a callable that works in place spoils neither x nor its gradient.
        return _call(self.fn, x.clone(), self.name)


class _Physics(Alike):
    """A pair of a linear map and its adjoint; see `from_physics`."""

    def __init__(self, physics: Any, shape: tuple[int, ...], batch: int) -> None:
        self.physics, self.signal = physics, shape
        self.name = f"operator {type(physics).__name__}"
        y = _probe(self._run, self.name, shape, _home(physics))
        super().__init__(batch, y, prod(y), device=_home(physics))
        self.adjoint(torch.zeros(2, *y, device=_home(physics)))

    def __call__(self, x: Tensor) -> Tensor:
        # Learning then differentiates through the same adjoint as inference does.
        return _WithAdjoint.apply(x, self)

    def vjp(self, x: Tensor) -> tuple[Tensor, Pullback]:
        """A(x) and the adjoint."""
        with torch.no_grad():
            return self.forward(x), self.adjoint

    def to(self, device: torch.device | str) -> _Physics:
        """The same physics on another device; of a module a copy, for others may hold it here."""
        moved = super().to(device)
        moved.physics = _moved(self.physics, device)
        return moved

    def forward(self, x: Tensor) -> Tensor:
        """physics.A(x), checked."""
        return _checked(self._run(x), x, self.name, self.shape)

    def adjoint(self, v: Tensor) -> Tensor:
        """physics.A_adjoint(v), checked."""
        # An adjoint may itself be made by autograd, which a caller's no_grad must not stop.
        with torch.enable_grad():
            x = _call(self.physics.A_adjoint, v.detach(), f"{self.name}.A_adjoint")
        return _checked(x, v, f"{self.name}.A_adjoint", self.signal).detach()

    def _run(self, x: Tensor) -> Tensor:
        return _call(self.physics.A, x, self.name)


class _WithAdjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: _Physics) -> Tensor:
        ctx.operator = operator
        return operator.forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return ctx.operator.adjoint(grads[0]), None


def from_physics(physics: Any, shape: tuple[int, ...], batch: int) -> _Physics:
    """The linear operator of a deepinv `LinearPhysics`, or of anything with its two methods.

    Only `A(x)` and `A_adjoint(y)` are used: calling a physics itself would add its noise. Where
    its parameters differ from example to example, put one for each into `Each`.

    Args:
        physics: has A: (b, C, *size) -> (b, ...) and A_adjoint, its transpose, for any b.
        shape: shape of one signal, (C, *size).
        batch: number of examples.

    Raises:
        UserError: a method is missing, raises, or returns something else than that.
    """
    for method in ("A", "A_adjoint"):
        if not callable(getattr(physics, method, None)):
            raise UserError(
                f"{type(physics).__name__} has no method {method}; a linear physics has A and "
                "A_adjoint, anything else can be given as a function"
            )
    return _Physics(physics, shape, batch)


def _call(fn: Callable[[Tensor], Any], x: Tensor, name: str) -> Any:
    try:
        return fn(x)
    except UserError:
        raise
    except Exception as error:
        what = (str(error).strip() or "no message").splitlines()[0]
        raise UserError(
            f"{name} raised {type(error).__name__} for signals of {times(x.shape)}: {what}"
        ) from error


def _checked(y: Any, x: Tensor, name: str, shape: tuple[int, ...] | None) -> Tensor:
    """y in x's precision, if it is a real tensor with one row, of that shape, for each row of x."""
    if not isinstance(y, Tensor) or not y.is_floating_point():
        what = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise UserError(f"{name} returned {what}; it must return a tensor of real numbers")
    if y.ndim < 1 or len(y) != len(x):
        raise UserError(
            f"{name} returned {times(y.shape)} for {len(x)} examples; it must return one row for "
            "each, whatever their number"
        )
    if shape is not None and y.shape[1:] != shape:
        raise UserError(
            f"{name} returned {times(y.shape[1:])} for an example; {times(shape)} was expected"
        )
    return y.to(x.dtype)


def _probe(
    run: Callable[[Tensor], Tensor], name: str, shape: tuple[int, ...], device: torch.device
) -> tuple[int, ...]:
    """The shape of one y. Two numbers of examples, lest a fixed one goes unnoticed."""
    found = None
    for count in (2, 3):
        x = torch.zeros(count, *shape, device=device)
        with torch.no_grad():
            found = tuple(_checked(run(x), x, name, found).shape[1:])
    assert found is not None
    return found


def _home(thing: Any) -> torch.device:
    """Where a module keeps its tensors; the processor for anything else."""
    if isinstance(thing, nn.Module):
        for tensor in (*thing.parameters(), *thing.buffers()):
            return tensor.device
    return torch.device("cpu")


def _moved(thing: Any, device: torch.device | str) -> Any:
    if not isinstance(thing, nn.Module) or _home(thing) == torch.device(device):
        return thing
    return copy.deepcopy(thing).to(device)
