"""Which precision and which form of each layer are fastest on this machine: measured.

That a processor knows bfloat16 says little, some take it apart and are slower; and what is a good
way to compute a layer (see `networks.stages`) differs by factors between processors, widths and
precisions. What can be computed in several ways is timed in turns, on as many rows as there is time
for, and the best of several times counts: any of them may have been kept waiting by others.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from abprop.networks import ConvGenerator, Generator
from abprop.networks.stages import FORMS

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
TRIAL = 1.0  # seconds at most, about, for all of it
ROUNDS = 8  # of whole passes
SHARE = 0.4  # of the trial, for the layers of one precision
TURNS = 3  # of a layer, in that time
GAIN = 0.05  # of the time that bfloat16, or an unusual form, has to save

Clock = Callable[[], float]
Make = Callable[[torch.dtype], Generator]


@dataclass(frozen=True)
class Choice:
    """What is fastest here.

    Attributes:
        dtype: precision of the convolutions.
        forms: of each layer, see `networks.stages`; () of a network that has none.
    """

    dtype: torch.dtype
    forms: tuple[str, ...] = ()


def rehearsed(
    precision: str,
    forms: Sequence[str] | None,
    where: torch.device,
    make: Make,
    rows: int,
    *,
    clock: Clock = time.perf_counter,
) -> Choice:
    """Precision and forms, those that are left open measured, for about a second.

    Args:
        precision: auto, float32 or bfloat16.
        forms: those of the run; () are the network's own; None leaves them open.
        where: the device.
        make: the run's network on that device, computing in a precision.
        rows: examples in one pass.
        clock: seconds.
    """
    if precision != "auto" and forms is not None:
        return Choice(PRECISIONS[precision], tuple(forms))
    network = make(PRECISIONS.get(precision, torch.float32))
    if not isinstance(network, ConvGenerator) or not network.dims:  # small, and of numbers
        return Choice(PRECISIONS.get(precision, torch.float32))
    if precision == "auto" and _knows_bfloat16(where):
        found = [make(torch.bfloat16), network]
    else:
        found = [network]
    if forms is None or len(found) > 1:
        rows = _rows(network, where, rows, clock)
    for one in found:
        if forms is None:
            one.forms = _fastest(one, where, rows, clock)
        elif forms:
            one.forms = tuple(forms)
    if len(found) > 1:
        coarse, fine = _timed(found, where, rows, clock)
        network = found[0] if coarse <= (1 - GAIN) * fine else found[1]
    return Choice(network.dtype, network.forms)


def _knows_bfloat16(where: torch.device) -> bool:
    """Whether it is worth a try: elsewhere it is emulated, which may take minutes to find out."""
    if where.type == "cuda":
        return torch.cuda.is_bf16_supported()
    if where.type != "cpu" or not torch.backends.mkldnn.is_available():
        return False
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def _rows(network: Generator, where: torch.device, rows: int, clock: Clock) -> int:
    """As many as there is time for; on a GPU a thousand may take no longer than one."""
    began, count, longest = clock(), 1, TRIAL / (2 * ROUNDS)
    while True:
        (seconds,) = _best([_pass(network, where, count)], 4, TRIAL / 4, clock)
        more = min(rows, max(1, int(count * longest / max(seconds, 1e-9))))
        if more <= 2 * count or clock() - began > TRIAL / 4:
            return more
        count = min(more, 8 * count)


def _timed(
    networks: Sequence[Generator], where: torch.device, rows: int, clock: Clock
) -> list[float]:
    """Seconds of one pass of each, forward and back: the best of several, taken in turns."""
    passes = [_pass(network, where, rows) for network in networks]
    for step in passes:
        step()
    return _best(passes, ROUNDS, TRIAL * (1 - SHARE), clock)


def _fastest(
    network: ConvGenerator, where: torch.device, rows: int, clock: Clock
) -> tuple[str, ...]:
    """The form of each layer and direction that takes least on its own."""
    usual, found = network.forms, []
    trials = list(network.trials(_draws(network, where, rows)))
    each = TRIAL * SHARE / max(1, len(trials))
    for usual_form, trial in zip("".join(usual), trials, strict=True):
        ways = {name: _waited(trial(name), where) for name in FORMS}
        for way in ways.values():
            way()
        seconds = dict(zip(ways, _best([*ways.values()], TURNS, each, clock), strict=True))
        best = min(ways, key=lambda name: seconds[name])
        saves = seconds[best] <= (1 - GAIN) * seconds[usual_form]
        found.append(best if saves else usual_form)
    return tuple(up + down for up, down in zip(found[::2], found[1::2], strict=True))


def _best(
    ways: Sequence[Callable[[], object]], rounds: int, seconds: float, clock: Clock
) -> list[float]:
    """The best time of each, measured in turns until the time is over."""
    best, began = [math.inf] * len(ways), clock()
    for _ in range(rounds):
        for i, way in enumerate(ways):
            before = clock()
            way()
            best[i] = min(best[i], clock() - before)
        if clock() - began > seconds:
            break
    return best


def _pass(network: Generator, where: torch.device, rows: int) -> Callable[[], object]:
    frozen, z = network.freeze(), _draws(network, where, rows)

    def step() -> None:
        x, pullback = frozen(z)
        pullback(x)

    return _waited(step, where)


def _draws(network: Generator, where: torch.device, rows: int) -> Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randn(rows, *network.latent_shape, generator=random).to(where)


def _waited(work: Callable[[], object], where: torch.device) -> Callable[[], object]:
    """The same, over when the device is done."""

    def whole() -> None:
        work()
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    return whole
