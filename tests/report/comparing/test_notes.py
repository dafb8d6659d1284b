"""Sentences: the best and by how much, and every reason to doubt it."""

from __future__ import annotations

from dataclasses import replace

from made_up import UNITS, one

from abprop.report.comparing.columns import filled, ranked
from abprop.report.comparing.groups import grouped
from abprop.report.comparing.notes import notes


def said(*runs) -> str:
    groups = ranked(grouped(runs))
    return "\n".join(notes(groups, filled(groups)))


def seeds(name: str, error: float, **keys):
    return [one(f"r/{name}-{s}", {"heldout_mse": error + s / 100}, seed=s, **keys) for s in (0, 1)]


def test_a_difference_larger_than_the_spread():
    told = said(*seeds("a", 0.1), *seeds("b", 0.15, model__latent="3"))
    assert "Best by held-out mse: a-*, 0.1050 ± 0.0071. Next: b-*, 48% more, which is" in told
    assert "Each seed holds out other examples" in told and "One run" not in told
    assert "Next: b-*, 3.1 times as much" in said(
        *seeds("a", 0.1), *seeds("b", 0.32, model__latent="3")
    )


def test_a_tie_is_called_one():
    told = said(*seeds("a", 0.1), *seeds("b", 0.105, model__latent="3"))
    assert "Not to be told from it by the spread over seeds: b-*." in told and "Next" not in told


def test_one_run_each_tells_no_spread():
    told = said(
        one("r/a", {"heldout_mse": 0.1}), one("r/b", {"heldout_mse": 0.2}, model__latent="3")
    )
    assert "One run each: what another seed would change is not known" in told
    assert "more than the spread" not in told and "Each seed" not in told
    mixed = said(*seeds("a", 0.1), one("r/b", {"heldout_mse": 0.2}, model__latent="3"))
    assert "One run of b:" in mixed


def test_data_that_differ():
    told = said(*seeds("a", 0.1), *seeds("b", 0.2, data__fingerprint="0" * 64))
    assert "The data differ (data.fingerprint), so held-out errors are not comparable" in told
    assert "Best" not in told


def test_signals_in_other_units():
    one_, other = one("r/a", {"on_mse": 0.1}), one("r/b", {"on_mse": 0.2}, model__latent="3")
    assert "Best by mse on SOURCE: a" in said(one_, other)
    told = said(one_, replace(other, units=("images", (1, 4, 4), UNITS[2])))
    assert "other sizes or units" in told and "Best" not in told


def test_runs_that_have_not_ended_and_chains_that_do_not_mix():
    told = said(
        one("r/a", {"iterations": 4, "rhat": 1.3}), one("r/b", {"rhat": 1.0}, model__latent="3")
    )
    assert "1 run has not ended: a (4 of 9)." in told
    assert "R-hat above 1.1, so chains do not mix yet: a (1.30)." in told
