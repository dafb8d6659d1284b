"""Precision and forms by measurement, with a clock that is given."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor

from abprop import rehearsal
from abprop.networks import ConvGenerator, Frozen, LinearGenerator, Pullback
from abprop.networks.stages import FORMS
from abprop.rehearsal import rehearsed

CPU = torch.device("cpu")


class Clock:
    """A processor on which passes take as long as one says; and how many there were."""

    def __init__(self, **seconds: float) -> None:
        self.seconds, self.now, self.passes = seconds, 0.0, 0
        self.held: set[int] = set()  # passes that another program keeps waiting
        self.rows = 0  # of the largest

    def __call__(self) -> float:
        return self.now

    def network(self, signal: tuple[int, ...]) -> Callable[[torch.dtype], ConvGenerator]:
        """Networks whose passes this clock knows."""

        def make(dtype: torch.dtype) -> ConvGenerator:
            return Timed(self, (3,), signal, channels=4, dtype=dtype)

        return make


class Timed(ConvGenerator):
    def __init__(self, clock: Clock, *shapes, **options) -> None:
        super().__init__(*shapes, **options)
        self.clock = clock

    def freeze(self) -> Frozen:
        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            self.clock.passes += 1
            self.clock.rows = max(self.clock.rows, len(z))
            self.clock.now += 0.1 * (self.clock.passes in self.clock.held)
            self.clock.now += self.clock.seconds[str(self.dtype).removeprefix("torch.")]
            return torch.zeros(len(z), *self.signal_shape), lambda v: z

        return run


@pytest.fixture
def knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A processor that knows bfloat16."""
    monkeypatch.setattr(rehearsal, "_knows_bfloat16", lambda where: True)


@pytest.mark.parametrize(
    ("coarse", "chosen"),
    [(0.5, torch.bfloat16), (0.94, torch.bfloat16), (0.96, torch.float32), (2.0, torch.float32)],
)
def test_auto_takes_what_is_faster_here(coarse: float, chosen: torch.dtype, knows: None) -> None:
    clock = Clock(float32=0.01, bfloat16=0.01 * coarse)
    found = rehearsed("auto", (), CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found.dtype == chosen and clock.passes > 6
    assert clock.now <= 1.2 * rehearsal.TRIAL


def test_a_trial_of_slow_passes_ends(knows: None) -> None:
    clock = Clock(float32=0.4, bfloat16=0.1)
    found = rehearsed("auto", (), CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found.dtype == torch.bfloat16
    assert clock.passes <= 7


def test_a_pass_that_was_kept_waiting_does_not_count(knows: None) -> None:
    clock = Clock(float32=0.001, bfloat16=0.0005)
    clock.held = {1, 2, 7}
    found = rehearsed("auto", (), CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found.dtype == torch.bfloat16 and clock.rows == 8


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_what_is_given_is_not_measured(name: str, knows: None) -> None:
    def never(dtype: torch.dtype) -> ConvGenerator:
        raise AssertionError("a network was made")

    assert rehearsed(name, ("dd",), CPU, never, 8).dtype == getattr(torch, name)


def test_tables_and_linear_networks_stay_in_float32(knows: None) -> None:
    clock = Clock(float32=1.0, bfloat16=0.1)
    assert rehearsed("auto", (), CPU, clock.network((5,)), 8, clock=clock).dtype == torch.float32
    linear = lambda dtype: LinearGenerator((2,), (1, 8, 8))
    assert rehearsed("auto", (), CPU, linear, 8, clock=clock).dtype == torch.float32
    assert clock.passes == 0


def test_where_bfloat16_is_unknown_nothing_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "_knows_bfloat16", lambda where: False)
    clock = Clock(float32=1.0, bfloat16=0.1)
    found = rehearsed("auto", (), CPU, clock.network((1, 16, 16)), 8, clock=clock)
    assert found.dtype == torch.float32 and clock.passes == 0


# Forms ----------------------------------------------------------------------------------------


class Slow(ConvGenerator):
    """A network whose layers take as long as one says, by form and precision."""

    def __init__(self, clock: Clock, seconds: dict[str, float], dtype: torch.dtype) -> None:
        super().__init__((3,), (1, 16, 16), channels=8, dtype=dtype)
        self.clock, self.seconds = clock, seconds

    def trials(self, z: Tensor) -> Iterator[Callable[[str], Callable[[], Tensor]]]:
        """See `ConvGenerator.trials`."""

        def layer(number: int, form: str) -> Tensor:
            self.clock.now += self.seconds[f"{form}{number}"]
            return z

        for number in range(2 * len(self.layers)):
            yield lambda form, number=number: partial(layer, number, form)

    def freeze(self) -> Frozen:
        """See `Generator.freeze`: as long as its layers in their forms."""

        def run(z: Tensor) -> tuple[Tensor, Pullback]:
            for number, form in enumerate("".join(self.forms)):
                self.clock.now += self.seconds[f"{form}{number}"]
            return torch.zeros(len(z), *self.signal_shape), lambda v: z

        return run


def test_each_layer_has_its_fastest_form(knows: None) -> None:
    usual = {f"{form}{n}": 0.002 for form in FORMS for n in range(4)}
    fine = usual | {"f1": 0.001, "d3": 0.00196, "s0": 0.00199, "s2": 0.001}
    coarse = {key: 2 * value for key, value in usual.items()}
    clock = Clock()
    make = lambda dtype: Slow(clock, fine if dtype == torch.float32 else coarse, dtype)
    assert make(torch.float32).forms == ("dd", "sd")
    found = rehearsed("auto", None, CPU, make, 8, clock=clock)
    assert found.dtype == torch.float32 and found.forms == ("df", "sd")
    assert clock.now <= 1.3 * rehearsal.TRIAL


def test_bfloat16_is_compared_in_its_own_best_forms(knows: None) -> None:
    fine = {f"{form}{n}": 0.002 for form in FORMS for n in range(4)}
    coarse = {f"{form}{n}": 0.0002 if form == "f" else 0.004 for form in FORMS for n in range(4)}
    clock = Clock()
    make = lambda dtype: Slow(clock, fine if dtype == torch.float32 else coarse, dtype)
    found = rehearsed("auto", None, CPU, make, 8, clock=clock)
    assert found.dtype == torch.bfloat16 and found.forms == ("ff", "ff")
    assert rehearsed("auto", (), CPU, make, 8, clock=clock).dtype == torch.float32
    given = rehearsed("auto", ("ff", "ff"), CPU, make, 8, clock=clock)
    assert given.dtype == torch.bfloat16 and given.forms == ("ff", "ff")


def test_trials_are_of_the_layers_sizes() -> None:
    network = ConvGenerator((3, 5, 5), (2, 30, 34), channels=4)
    network.reset(lambda size: torch.randn(size))
    trials = list(network.trials(torch.randn(2, 3, 5, 5)))
    assert len(trials) == 2 * len(network.layers) and len(network.layers) > 1
    for up, down in zip(trials[::2], trials[1::2], strict=True):
        made, back = up("d")(), down("d")()
        torch.testing.assert_close(up("s")(), made, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(down("f")(), back, rtol=1e-3, atol=1e-3)
        assert made.shape[2] in (2 * back.shape[2] - 2, 2 * back.shape[2])


def test_on_this_machine_forms_are_found() -> None:
    def make(dtype: torch.dtype) -> ConvGenerator:
        network = ConvGenerator((4,), (3, 16, 16), channels=8, dtype=dtype)
        network.reset(lambda size: torch.randn(size))
        return network

    found = rehearsed("float32", None, CPU, make, 16)
    assert found.dtype == torch.float32 and len(found.forms) == len(make(torch.float32).layers)
    assert all(len(word) == 2 and set(word) <= set(FORMS) for word in found.forms)
