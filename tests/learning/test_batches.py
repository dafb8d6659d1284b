from __future__ import annotations

import pytest
import torch

from abprop.distributed import Group, Shards
from abprop.errors import UserError
from abprop.learning.batches import Batches, check_shards, largest_batch, shard_count

CASES = [
    (100, 10, 5),
    (103, 12, 4),
    (60, 60, 16),
    (61, 20, 16),
    (40, 13, 7),
    (7, 0, 7),
    (96, 16, 1),
]


@pytest.mark.parametrize(("n", "batch", "count"), CASES)
def test_an_epoch_visits_every_example_of_every_shard_once(n: int, batch: int, count: int) -> None:
    shards = Shards(n, count)
    order = Batches(0, shards, batch)
    epochs, visits = 6, torch.zeros(n, dtype=torch.int64)
    whole = batch or n
    steps = epochs * (n // whole if n >= 3 * whole else max(1, round(n / whole)))
    for t in range(steps):
        rows = order[t]
        assert torch.equal(rows, rows.unique())  # ascending, each once
        sizes, owner = (
            order.sizes(t),
            torch.bucketize(rows, torch.tensor(shards.bounds[1:]), right=True),
        )
        assert torch.bincount(owner, minlength=count).tolist() == sizes
        assert len(rows) <= largest_batch(n, batch)
        visits[rows] += 1
    for a, b in zip(shards.bounds, shards.bounds[1:], strict=False):
        assert visits[a:b].max() - visits[a:b].min() <= 1
    assert visits.max() - visits.min() <= 2


@pytest.mark.parametrize(("n", "batch", "count"), CASES)
def test_a_batch_is_the_same_on_any_number_of_processes(n: int, batch: int, count: int) -> None:
    alone = Batches(3, Shards(n, count), batch)
    for size in {1, 2, 3, count} & set(range(1, count + 1)):
        parted = [Batches(3, Shards(n, count, Group(r, size)), batch) for r in range(size)]
        for t in range(9):
            assert torch.equal(torch.cat([part[t] for part in parted]), alone[t])
            assert all(part.sizes(t) == alone.sizes(t) for part in parted)


def test_shards_have_orders_of_their_own() -> None:
    order = Batches(0, Shards(40, 2), 4)
    rows = torch.cat([order[t] for t in range(5)])
    assert not torch.equal(rows[rows < 20], rows[rows >= 20] - 20)


@pytest.mark.parametrize(
    ("n", "batch"), [(1000, 128), (100, 16), (60, 0), (40, 13), (3, 2), (1, 9)]
)
def test_what_suits_is_allowed(n: int, batch: int) -> None:
    check_shards(n, batch, shard_count(n, batch))


@pytest.mark.parametrize(("n", "batch", "count"), [(1000, 128, 5), (60, 20, 31), (5, 5, 6)])
def test_shards_that_cannot_give_equally_are_refused(n: int, batch: int, count: int) -> None:
    with pytest.raises(UserError, match=r"use distributed\.shards=") as caught:
        check_shards(n, batch, count)
    advised = int(str(caught.value).rpartition("=")[2])
    check_shards(n, batch, advised)
