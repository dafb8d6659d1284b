"""Many processes that learn one model: who owns which examples, and sums over all of them.

    shard v of V     examples n v / V .. n (v + 1) / V - 1, for the life of a run
    process r of W   owns the shards v with floor(v W / V) = r, their latents and all that is of
                     their chains; no latent leaves its owner
    a sum            fast: each process sums its rows, then they add up: rounded otherwise for
                     every W. exact: each shard is summed by itself, and shards add up as whole
                     numbers q = round(2^e x), e of all shards' largest |x|: in any order, so the
                     bits are those of every W

Processes are started and found by torchrun; what crosses between them goes through
torch.distributed. V does not change with W, so a run goes on with any W up to V.
"""

from abprop.distributed.group import (
    ALONE,
    Elsewhere,
    Gone,
    Group,
    beside,
    by_turns,
    join,
    leave,
)
from abprop.distributed.shards import Part, Shards, exactly, fitting

__all__ = [
    "ALONE",
    "Elsewhere",
    "Gone",
    "Group",
    "Part",
    "Shards",
    "beside",
    "by_turns",
    "exactly",
    "fitting",
    "join",
    "leave",
]
