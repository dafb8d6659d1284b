"""The command's measurement: nets and machine in turns, in several runs, and medians of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch

from abprop import machine
from abprop.bench import flops, textbook
from abprop.bench.nets import NETS, USUAL, Fitting, Net, network
from abprop.bench.rates import Machine, Rates, has_amx
from abprop.bench.timing import Clock, peak, seconds
from abprop.errors import UserError, unknown
from abprop.rehearsal import Choice, rehearsed
from abprop.say import Say

GIGA = 1e9
FIRST = "face64"  # whose step was all that earlier versions measured


class Lap(NamedTuple):
    """One run of one net: seconds, and the machine's rates in between.

    Attributes:
        textbook, step: of one Langevin step.
        iteration: of a learning iteration.
        rates: of the machine.
    """

    textbook: float
    step: float
    iteration: float
    rates: Rates


@dataclass
class Entrant:
    """A net that is measured.

    Attributes:
        name, net, choice: which, and what was found to be fastest for it.
        memory: bytes that the process grew by at most, from nothing to the first iteration's end.
        fitting: ours.
        textbook: one step of the textbook's.
        operations: FLOPs of a step and of an iteration, of the whole batch.
        laps: one for each run.
    """

    name: str
    net: Net
    choice: Choice
    memory: int
    fitting: Fitting
    textbook: Callable[[], object]
    operations: tuple[int, int]
    laps: list[Lap] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, where: torch.device, clock: Clock) -> Entrant:
        """Ready to run: what happens once has happened."""
        net = NETS[name]
        rows = net.settings(where).train.batch
        choice = rehearsed(
            "auto", None, where, lambda dtype: network(net, where, dtype), rows, clock=clock
        )
        fitting, memory = peak(lambda: Fitting(net, where, choice), where)
        f, z = network(net, where, torch.float32), fitting.learning.latents.z.clone()
        plain = textbook.langevin(f, fitting.batch.y, z)
        plain()
        operations = rows * flops.step(f), rows * flops.iteration(f, fitting.steps)
        return cls(name, net, choice, memory, fitting, plain, operations)

    def run(self, able: Machine) -> None:
        """One more lap."""
        where, clock = able.where, able.clock
        plain = seconds(self.textbook, where, clock)
        rates = able.rates()  # in the middle: what a busy program does does not last
        visit = seconds(self.fitting.visit, where, clock)
        whole = seconds(self.fitting.iterate, where, clock)
        self.laps.append(Lap(plain, visit / self.fitting.steps, whole, rates))

    def told(self) -> dict[str, Any]:
        """Medians over the laps; ratios are those within a lap."""
        laps, (one, whole) = self.laps, self.operations
        return {
            "batch": len(self.fitting.batch.ids),
            "latent": self.net.latent,
            "shape": list(self.net.shape),
            "precision": _name(self.choice.dtype),
            "forms": " ".join(self.choice.forms),
            "steps": self.fitting.steps,
            "memory_bytes": self.memory,
            "textbook": _timed([lap.textbook for lap in laps], one),
            "step": _timed([lap.step for lap in laps], one)
            | {
                "share_of_peak": _median(one / lap.step / lap.rates.peak for lap in laps),
                "over_textbook": _median(lap.textbook / lap.step for lap in laps),
            },
            "iteration": _timed([lap.iteration for lap in laps], whole)
            | {
                "share_of_peak": _median(whole / lap.iteration / lap.rates.peak for lap in laps),
                "passes": _median(lap.iteration / lap.step for lap in laps),
            },
        }


def bench(
    names: Sequence[str], runs: int, say: Say, *, clock: Clock = time.perf_counter
) -> dict[str, Any]:
    """Medians of interleaved runs.

    Args:
        names: of NETS; the usual ones if empty.
        runs: how many, at least 1.
        say: told what is measured.
        clock: seconds.

    Raises:
        UserError: no such net, or no run.
    """
    chosen = _chosen(names)
    if runs < 1:
        raise UserError(f"--runs {runs}: give at least 1")
    where, threads = machine.device("auto"), machine.set_threads(0)
    able = Machine(where, clock)
    entrants = []
    for name in chosen:
        say(f"preparing {name}")
        entrants.append(Entrant.of(name, where, clock))
    for i in range(runs):
        say(f"run {i + 1} of {runs}")
        for entrant in entrants:
            entrant.run(able)
    rates = [lap.rates for entrant in entrants for lap in entrant.laps]
    return {
        "device": where.type,
        "threads": threads,
        "precision": _name(entrants[0].choice.dtype),
        "runs": runs,
        "has_amx": has_amx(),
        "peak_float32": _median(r.float32 for r in rates) / GIGA,
        "peak_bf16": _median(r.bfloat16 for r in rates) / GIGA,
        "peak": _median(r.peak for r in rates) / GIGA,
        "copy": _median(r.copy for r in rates) / GIGA,
        "nets": {entrant.name: entrant.told() for entrant in entrants},
        **_as_before(entrants),
    }


def _chosen(names: Sequence[str]) -> list[str]:
    """Nets that were asked for, each once and in the table's order."""
    for name in names:
        if name not in NETS:
            raise unknown("net", name, NETS)
    return [name for name in NETS if name in (names or USUAL)]


def _as_before(entrants: Sequence[Entrant]) -> dict[str, Any]:
    """The keys of earlier versions, which knew one net."""
    for entrant in entrants:
        if entrant.name == FIRST:
            told, ratios = entrant.told(), [lap.textbook / lap.step for lap in entrant.laps]
            return {
                "textbook_ms": told["textbook"]["ms"],
                "ours_ms": told["step"]["ms"],
                "ratio": told["step"]["over_textbook"],
                "ratio_min": min(ratios),
                "ratio_max": max(ratios),
                "gflops": told["step"]["gflops"],
            }
    return {}


def _timed(times: Sequence[float], operations: int) -> dict[str, float]:
    middle = _median(times)
    return {"ms": 1e3 * middle, "gflops": operations / middle / GIGA}


def _median(values: Iterable[float]) -> float:
    return statistics.median([*values])


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
