"""Reading ahead: the same items, one step early, and no thread left behind."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator

import pytest
import torch

from abprop.data import Examples
from abprop.learning import InferSettings, Learning, ModelSettings, Settings, TrainSettings
from abprop.learning import batches as reads
from abprop.learning.batches import ahead
from abprop.operators import Identity


def counting(begun: list[threading.Event]) -> Iterator[int]:
    for i, event in enumerate(begun):
        event.set()
        yield i


def reading() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("ahead")]


def test_the_same_items_in_the_same_order():
    assert list(ahead(iter(range(5)))) == [0, 1, 2, 3, 4]
    assert list(ahead(iter([]))) == []
    assert list(ahead(iter([None, (), None]))) == [None, (), None]


def test_the_next_item_is_begun_while_the_last_is_in_use_and_no_other():
    begun = [threading.Event() for _ in range(4)]
    stream = ahead(counting(begun))
    assert next(stream) == 0 and begun[1].wait(10)
    assert not begun[2].is_set(), "only one is made ahead"
    assert next(stream) == 1 and begun[2].wait(10)
    stream.close()
    assert not begun[3].is_set()


def test_nothing_is_read_before_it_is_asked_for():
    begun = [threading.Event()]
    ahead(counting(begun))
    assert not begun[0].is_set() and not reading()


def test_an_error_comes_where_its_item_would_have_with_its_own_traceback():
    def items() -> Iterator[int]:
        yield 0
        raise ValueError("torn page")

    stream = ahead(items())
    assert next(stream) == 0
    with pytest.raises(ValueError, match="torn page") as told:
        next(stream)
    assert "items" in [frame.name for frame in traceback.extract_tb(told.tb)]
    assert not reading()


def test_closing_early_ends_the_thread():
    stream = ahead(iter(range(5)))
    assert next(stream) == 0 and reading()
    stream.close()
    assert not reading()


def beginning(iterations: int) -> Learning:
    settings = Settings(
        ModelSettings((3,), channels=8, sigma=0.3),
        InferSettings(steps=2, chunk=16),
        TrainSettings(iterations=iterations, batch=16, learning_rate=0.005),
    )
    y = torch.randn(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    ids, shape = torch.arange(40), (1, 8, 8)
    return Learning(settings, Examples(y, Identity(40, shape), ids, shape))


def learned(iterations: int) -> dict[str, torch.Tensor]:
    """What is learned in calls of two iterations, as by a run that is resumed."""
    learning = beginning(iterations)
    for stop in range(2, iterations + 1, 2):
        for _ in learning.steps(stop):
            assert bool(reading()) == reads.aside(learning.device, 1)
    groups = learning.tensors().items()
    return {f"{group}.{name}": v for group, some in groups for name, v in some.items()}


def test_learning_has_the_same_bits_read_ahead_or_not(monkeypatch: pytest.MonkeyPatch):
    inline = learned(6)
    monkeypatch.setattr(reads, "aside", lambda device, numbers: True)
    early = learned(6)
    assert inline.keys() == early.keys()
    assert all(torch.equal(v, early[name]) for name, v in inline.items())


def test_leaving_learning_early_ends_the_thread(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reads, "aside", lambda device, numbers: True)
    for _ in beginning(6).steps(6):
        assert reading()
        break
    assert not reading()


def test_only_a_gpu_is_read_for_aside():
    assert reads.aside(torch.device("cuda"), reads.LARGE)
    assert not reads.aside(torch.device("cuda"), reads.LARGE - 1)
    assert not reads.aside(torch.device("cpu"), reads.LARGE)
