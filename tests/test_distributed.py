from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abprop.distributed import ALONE, Group, Part, Shards, exactly, fitting, join
from abprop.errors import UserError
from abprop.noise import Noise
from abprop.whole import HERE

NUMBERS = Noise(0, "numbers")


def parts(count: int, sizes: tuple[int, ...] = (50, 3)) -> list[tuple[torch.Tensor, ...]]:
    """What shards have to give: numbers of many magnitudes."""
    made = []
    for v in range(count):
        draws = [NUMBERS.at(torch.tensor([v]), i).normal((n,))[0] for i, n in enumerate(sizes)]
        made.append(tuple((x * torch.logspace(-6, 6, len(x))).float() for x in draws))
    return made


@pytest.mark.parametrize("count", [1, 2, 7, 16, 61])
def test_an_exact_sum_has_the_same_bits_in_any_order(count: int) -> None:
    some = parts(count)
    one = exactly(some, count=count)
    for order in (some[::-1], some[count // 2 :] + some[: count // 2]):
        for a, b in zip(one, exactly(order, count=count), strict=True):
            assert torch.equal(a, b) and a.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 2, 7, 16, 61])
def test_an_exact_sum_is_the_sum(count: int) -> None:
    some = parts(count)
    for i, found in enumerate(exactly(some, count=count)):
        terms = torch.stack([several[i].double() for several in some])
        wrong = (found - terms.sum(0)).abs()
        # One rounding to float32, and one of each term to 2^-54 of the largest.
        coarse = count * terms.abs().max() * 2.0 ** -(61 - math.ceil(math.log2(count)) - 1)
        assert (wrong <= terms.sum(0).abs() * 2.0**-24 + coarse).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_exact_sum_of_what_is_not_finite_says_so_and_leaves_others(bad: float) -> None:
    some = parts(3)
    some[1][0][4] = bad
    spoilt, whole = exactly(some, count=3)
    assert torch.isnan(spoilt).all() and torch.isfinite(whole).all()


def test_an_exact_sum_of_nothing_but_zeros_is_zero() -> None:
    assert torch.equal(exactly([(torch.zeros(3),)] * 4, count=4)[0], torch.zeros(3))


@given(st.integers(1, 200), st.integers(1, 16), st.integers(1, 16))
def test_every_shard_has_one_owner_and_every_example_one_shard(n: int, v: int, w: int) -> None:
    count = min(n, v)
    size = min(w, count)
    owners = [Shards(n, count, Group(r, size)) for r in range(size)]
    owned = [shard for owner in owners for shard in owner.mine]
    assert owned == list(range(count))
    for r, owner in enumerate(owners):
        assert all(shard * size // count == r for shard in owner.mine) and len(owner.rows)
    assert torch.equal(torch.cat([owner.rows for owner in owners]), torch.arange(n))
    lengths = [b - a for a, b in pairwise(owners[0].bounds)]
    assert sum(lengths) == n and max(lengths) - min(lengths) <= 1


@given(st.integers(1, 300), st.integers(1, 16), st.integers(1, 40))
def test_a_few_of_every_shard_are_its_own(n: int, v: int, most: int) -> None:
    count = min(n, v)
    for size in (1, count):
        owners = [Shards(n, count, Group(r, size)) for r in range(size)]
        rows = torch.cat([owner.some(most)[0] for owner in owners])
        sizes = owners[0].some(most)[1]
        assert len(rows) == sum(sizes) == len(rows.unique()) and min(sizes) >= 1
        assert sum(sizes) <= max(most, count)
        shard = torch.bucketize(rows, torch.tensor(owners[0].bounds[1:]), right=True)
        assert torch.bincount(shard, minlength=count).tolist() == sizes


def test_one_process_sums_as_it_always_did_unless_sums_shall_be_exact() -> None:
    assert Shards(10, 5).whole([2] * 5) is HERE
    exact = Shards(10, 5, exact=True)
    whole = exact.every()
    assert isinstance(whole, Part)
    rows = torch.arange(20.0).reshape(20, 1)  # two chains of each example
    seen: list[int] = []

    def total(rows: torch.Tensor) -> tuple[torch.Tensor, ...]:
        seen.append(len(rows))
        return (rows.sum(0),)

    assert whole.sum(total, rows)[0].item() == 190 and seen == [4] * 5
    assert torch.equal(whole.gather(rows), rows)
    assert whole.gather(rows > 3).dtype == torch.bool
    assert whole.share(99, 7) == 1.0


def test_shards_of_fewer_others_than_there_are_shards_are_everywhere() -> None:
    shards = Shards(100, 10, Group(3, 5), exact=True)
    assert torch.equal(shards.of(7).rows, torch.arange(7)) and shards.of(7).every() is HERE
    assert torch.equal(shards.of(20).rows, torch.arange(12, 16))


@pytest.mark.parametrize(
    ("n", "batch", "per_epoch", "count"),
    [
        (1000, 128, None, 16),
        (1000, 100, None, 10),
        (100, 16, None, 4),  # a shard of 6 would be visited more often than one of 7
        (96, 16, None, 16),
        (60, 60, 1, 16),
        (5, 5, 1, 5),
        (40, 20, 2, 16),
        (1, 1, 1, 1),
        (10_000, 127, None, 1),
    ],
)
def test_how_many_shards_suit(n: int, batch: int, per_epoch: int | None, count: int) -> None:
    assert fitting(n, batch, per_epoch) == count


def test_alone_there_is_nothing_to_agree_about() -> None:
    assert join() is ALONE and ALONE.first
    assert ALONE.any(True, False) == [True, False]
    assert ALONE.same(0.1) == 0.1 and ALONE.text("a") == "a" and ALONE.texts("b") == ["b"]
    with pytest.raises(UserError, match="mine") as caught, ALONE.agreed():
        raise UserError("mine")
    assert not caught.value.told


def test_processes_that_do_not_find_each_other_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "no number"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"the 2 processes do not find each other: .*torchrun"):
        join()
