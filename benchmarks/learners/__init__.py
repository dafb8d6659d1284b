"""Other learners on the same network, data and minutes; see `benchmarks/learners.py`."""

from __future__ import annotations

from dataclasses import dataclass

from learners import glo, ours, ppca, vae
from learners.harness import Learn

__all__ = ["LEARNERS", "Learner"]


@dataclass(frozen=True)
class Learner:
    """One row of the table.

    Attributes:
        learn: learns the weights of a session's network.
        sets: recipe keys by which its runs differ from the default for pictures.
        rates: learning rates that were tried, ascending; empty: it has none.
        rate: the one that was chosen.
    """

    learn: Learn
    sets: tuple[str, ...] = ()
    rates: tuple[float, ...] = ()
    rate: float | None = None

    def keys(self, rate: float | None = None) -> tuple[str, ...]:
        """Its recipe keys, learning rate included; another rate than the chosen one to try it."""
        rate = rate or self.rate
        return (*self.sets, f"train.learning_rate={rate}") if rate else self.sets


RATES = 0.002, 0.008, 0.03
LEARNERS = {
    "abp": Learner(ours.learn, (), RATES, 0.008),
    "short-run": Learner(ours.learn, ours.SHORT, RATES, 0.008),
    "pgd": Learner(ours.learn, ours.PGD, RATES, 0.002),
    "vae": Learner(vae.learn, vae.SETS, (0.0005, *RATES), 0.002),
    "glo": Learner(glo.learn, glo.SETS, (0.0005, 0.002, 0.008), 0.002),
    "ppca": Learner(ppca.learn, ppca.SETS),
}
