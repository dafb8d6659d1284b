"""How a run is shared out among processes: its shards, and each one's threads."""

from __future__ import annotations

from typing import Any

from abprop import machine
from abprop.distributed import Group, beside
from abprop.errors import UserError
from abprop.learning.batches import check_shards, shard_count
from abprop.run.recipe import Recipe, compose


def sharded(recipe: Recipe, n: int, group: Group) -> Recipe:
    """The recipe with its number of shards.

    Args:
        recipe: complete but for that.
        n: examples, copies included.
        group: the processes.

    Raises:
        UserError: the shards do not fit the examples, or are fewer than the processes.
    """
    count, batch = recipe.distributed.shards, recipe.train.batch
    if count == "auto":  # draws are compared with all chains
        count = 1 if recipe.train.draws else shard_count(n, batch)
        chosen: dict[str, Any] = {"distributed.shards": count}
        recipe = compose(recipe, **chosen)
    check_shards(n, batch, count)
    if group.size > count:
        raise UserError(
            f"{group.size} processes, but this run has {count} shards (distributed.shards), each "
            f"kept by one process; use --processes {count} or fewer"
        )
    return recipe


def cut_anew(recipe: Recipe, n: int) -> Recipe:
    """The recipe with its shards as they are, if they suit so many examples; else others."""
    try:
        check_shards(n, recipe.train.batch, int(recipe.distributed.shards))
    except UserError:
        other: dict[str, Any] = {"distributed.shards": shard_count(n, recipe.train.batch)}
        return compose(recipe, **other)
    return recipe


def threads_for(recipe: Recipe) -> int:
    """Processor threads of this process; 0: as many as there are, or as it was told."""
    if recipe.distributed.reduce == "exact":  # more would round otherwise
        return 1
    if beside() == 1:
        return recipe.run.threads
    most = max(1, machine.cores() // beside())
    return min(recipe.run.threads or most, most)
