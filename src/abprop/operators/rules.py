"""Measurements by name: "projection:1000", "blur:2", "down:4", "grey", and chains "grey+down:2"."""

from __future__ import annotations

import math
from collections.abc import Callable
from math import prod
from typing import NamedTuple

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.operators.base import Measurement, Operator, times
from abprop.operators.chains import Compose
from abprop.operators.linear import Blur, Downsample, Grey, Projection, WhiteProjection, white

HELD = 2**28  # numbers of a projection's matrix that are held: a GiB


class Rule(NamedTuple):
    """One name of the table below."""

    example: str
    takes: str  # what follows the colon, in words; empty for nothing
    number: Callable[[str], float | None]  # None if the text is no such number
    build: Callable[[float, tuple[int, ...], int, int], Measurement]  # number, shape, batch, seed


def measure(rule: str, shape: tuple[int, ...], batch: int, seed: int) -> Measurement:
    """The operator that a rule names.

    Args:
        rule: names with their numbers, joined by "+", the first applied first; see MEASURES.
        shape: shape of one signal, (C, *size).
        batch: number of examples.
        seed: of what is drawn (the images of a projection).

    Raises:
        UserError: the rule does not exist, or does not fit such signals.
    """
    chain: list[Measurement] = []
    for name, number in _parsed(rule):
        now = chain[-1].shape if chain else shape
        chain.append(MEASURES[name].build(number, now, batch, seed))
    return chain[0] if len(chain) == 1 else Compose(*chain)


def check_measure(rule: str) -> None:
    """Refuse a rule that `measure` could not read, before any signal is there.

    Raises:
        UserError: as `measure`, as far as it can be told without the signals' shape.
    """
    _parsed(rule)


def check_measured(y: Tensor, A: Operator, x0: Tensor) -> None:
    """Refuse observations that are not of the shape which an operator returns.

    Args:
        y: what was observed, (B, ...).
        A: the operator it is said to come from.
        x0: any signals of the right shape, (B, C, *size).

    Raises:
        UserError: A(x0) and y differ in shape.
    """
    with torch.no_grad():
        returned = A(x0).shape
    if returned != y.shape:
        raise UserError(
            f"operator returns {times(returned)}, but y is {times(y.shape)} (examples first); "
            "give the operator that y was measured with"
        )


def _parsed(rule: str) -> list[tuple[str, float]]:
    if not isinstance(rule, str):
        raise UserError(f"measure {rule!r} is no text; use {_examples()}")
    parts = [part.strip() for part in rule.split("+")]
    names = [part.partition(":")[0] for part in parts]
    if "projection" in names[:-1]:
        raise UserError(
            f"measure {rule!r}: a projection leaves no picture to go on with; write it last"
        )
    return [(name, _number(rule, part)) for name, part in zip(names, parts, strict=True)]


def _number(rule: str, part: str) -> float:
    name, colon, text = part.partition(":")
    if name not in MEASURES:
        raise UserError(f"measure {rule!r}: unknown rule {name!r}; use {_examples()}")
    example, takes, number, _ = MEASURES[name]
    value = number(text) if bool(colon) == bool(takes) else None
    if value is None:
        what = f"a colon and {takes} after it" if takes else "nothing after it"
        raise UserError(f"measure {rule!r}: {part!r} is not right; {name} takes {what}: {example}")
    return value


def _examples() -> str:
    examples = ", ".join(rule.example for rule in MEASURES.values())
    return f"{examples}, or a chain of them such as grey+down:2"


def _whole(least: int) -> Callable[[str], float | None]:
    def number(text: str) -> float | None:
        known = text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= least
        return int(text) if known else None

    return number


def _positive(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value > 0 and "_" not in text else None


def _projection(number: float, shape: tuple[int, ...], batch: int, seed: int) -> Measurement:
    if number > prod(shape):
        raise UserError(
            f"projection:{number} measures more numbers than signals of {times(shape)} have; "
            f"use at most projection:{prod(shape)}"
        )
    if number * prod(shape) > HELD:
        return WhiteProjection(int(number), shape, batch, seed)
    return Projection(white(int(number), shape, seed), batch)


MEASURES = {
    "projection": Rule("projection:1000", "how many numbers (at least 1)", _whole(1), _projection),
    "blur": Rule(
        "blur:2",
        "a standard deviation in pixels (above 0)",
        _positive,
        lambda width, shape, batch, seed: Blur(width, shape, batch),
    ),
    "down": Rule(
        "down:4",
        "a whole factor (at least 2)",
        _whole(2),
        lambda factor, shape, batch, seed: Downsample(int(factor), shape, batch),
    ),
    "grey": Rule(
        "grey", "", lambda text: 0.0, lambda number, shape, batch, seed: Grey(shape, batch)
    ),
}
