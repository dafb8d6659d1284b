"""What the machine can do, by a clock that is given."""

from __future__ import annotations

from itertools import count

import pytest
import torch

from abprop.bench import rates
from abprop.bench.rates import Machine, Rates

CPU = torch.device("cpu")


def every(seconds: float):
    """A clock by which anything takes so long."""
    ticks = count()
    return lambda: next(ticks) * seconds


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "SIZES", (4, 8, 16))
    monkeypatch.setattr(rates, "COPIED", 1024)


def test_the_best_of_the_two_largest_counts():
    able = Machine(CPU, every(0.25**10))
    assert [*able.products["float32"]] == [*able.products["bfloat16"]] == [8, 16]
    found = able.rates()
    assert found == Rates(2 * 16**3 * 4**10, 2 * 16**3 * 4**10, 2 * 1024 * 4**10)


def test_a_slow_product_is_given_up_while_it_is_small():
    able = Machine(CPU, every(0.5))
    assert [*able.products["float32"]] == [4]
    assert able.rates() == Rates(2 * 4**3 / 0.5, 2 * 4**3 / 0.5, 2 * 1024 / 0.5)


def test_products_and_copies_are_done():
    able = Machine(CPU, every(1e-6))
    for name, dtype in rates.PRODUCTS.items():
        product = able.products[name][16]()
        assert isinstance(product, torch.Tensor)
        assert product.shape == (16, 16) and product.dtype == dtype and product.any()
    copied = able.copy()
    assert copied.shape == (1024,) and (copied == 1).all()


def test_the_peak_is_the_better_product():
    assert Rates(3.0, 2.0, 9.0).peak == 3.0 and Rates(3.0, 5.0, 9.0).peak == 5.0


@pytest.mark.parametrize("tiles", [True, False])
def test_amx_is_what_pytorch_found(tiles: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert rates.has_amx() is tiles
