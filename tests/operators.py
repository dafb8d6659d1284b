"""Every operator, by name, with the shapes of signals that it measures."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.operators import (
    Blur,
    Compose,
    Downsample,
    Each,
    Function,
    Grey,
    Identity,
    Mask,
    Measurement,
    Projection,
    WhiteProjection,
    from_physics,
    measure,
    white,
)

TABLE, SOUND, IMAGE, VIDEO = (7,), (1, 18), (3, 8, 6), (2, 4, 4, 6)


EVERYWHERE = [TABLE, SOUND, IMAGE, VIDEO]


AXES = [SOUND, IMAGE, VIDEO]


COLOURS = [(3, 18), IMAGE, (3, 4, 4, 6)]


class Physics:
    """A linear physics as deepinv has them; calling it would add noise, and nobody should."""

    def A(self, x: Tensor, **kwargs: object) -> Tensor:
        return x[..., 1:] - 2 * x[..., :-1]

    def A_adjoint(self, y: Tensor, **kwargs: object) -> Tensor:
        return F.pad(y, (1, 0)) - 2 * F.pad(y, (0, 1))

    def __call__(self, x: Tensor) -> Tensor:
        raise AssertionError("this adds noise")


def hidden(batch: int, shape: tuple[int, ...]) -> Tensor:
    return torch.rand(batch, *shape) < 0.4


def mixed(shape: tuple[int, ...], batch: int) -> Measurement:
    """Every third example a mask of its own, the others an identity."""
    alone = [Mask(hidden(1, shape)) if i % 3 == 0 else Identity(1, shape) for i in range(batch)]
    return Each(alone)


def projected(shape: tuple[int, ...], batch: int) -> Measurement:
    return Each([Projection(white(5, shape, seed=i), 1) for i in range(batch)])


def hidden_projection(shape: tuple[int, ...], batch: int) -> Measurement:
    return Compose(Projection(white(10, shape, 0), batch), Mask(hidden(batch, (10,))))


class Case(NamedTuple):
    make: Callable[[tuple[int, ...], int], Measurement]
    shapes: list[tuple[int, ...]]


LINEAR = {
    "identity": Case(lambda shape, n: Identity(n, shape), EVERYWHERE),
    "mask": Case(lambda shape, n: Mask(hidden(n, shape)), EVERYWHERE),
    "projection": Case(lambda shape, n: Projection(white(3, shape, 0), n), EVERYWHERE),
    "projections": Case(lambda shape, n: Projection(white(33, shape, 0), n), EVERYWHERE),
    "drawn": Case(lambda shape, n: WhiteProjection(70, shape, n, 0), EVERYWHERE),
    "blur": Case(lambda shape, n: Blur(1.3, shape, n), AXES),
    "down": Case(lambda shape, n: Downsample(2, shape, n), AXES),
    "grey": Case(lambda shape, n: Grey(shape, n), COLOURS),
    "chain": Case(lambda shape, n: measure("blur:1.5+grey+down:2", shape, n, 0), COLOURS),
    "hidden projection": Case(hidden_projection, EVERYWHERE),
    "each": Case(mixed, EVERYWHERE),
    "each projected": Case(projected, EVERYWHERE),
    "physics": Case(lambda shape, n: from_physics(Physics(), shape, n), EVERYWHERE),
}


NONLINEAR = {
    "function": Case(lambda shape, n: Function(lambda x: x[:, :1] ** 3, shape, n), EVERYWHERE),
    "bent chain": Case(
        lambda shape, n: Compose(Blur(1.0, shape, n), Function(torch.tanh, shape, n)), AXES
    ),
}


def listed(cases: dict[str, Case]):
    names = [(name, shape) for name, case in cases.items() for shape in case.shapes]
    return pytest.mark.parametrize(
        ("name", "shape"), names, ids=[f"{n}-{'x'.join(map(str, s))}" for n, s in names]
    )


def build(name: str, shape: tuple[int, ...], batch: int = 4) -> Measurement:
    torch.manual_seed(0)
    return {**LINEAR, **NONLINEAR}[name].make(shape, batch)
