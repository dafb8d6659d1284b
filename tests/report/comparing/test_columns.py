"""Columns: what some run has, in one order, the best marked where numbers can be compared."""

from __future__ import annotations

from made_up import one

from abprop.report.comparing.columns import MOST_KEYS, differences, filled, foremost, ranked
from abprop.report.comparing.groups import grouped


def three(*errors: float, **keys: str):
    """Groups of two seeds, .01 apart, each with such a held-out error."""
    return grouped([
        one(f"r/g{i}-s{s}", {"heldout_mse": error + s / 100}, seed=s, model__latent=str(i + 2),
            **(keys if i else {}))
        for i, error in enumerate(errors) for s in (0, 1)
    ])  # fmt: skip


def test_only_what_some_run_has():
    keys = [numbers.column.key for numbers in filled(three(0.3, 0.2))]
    assert keys == ["heldout_mse", "sigma", "iterations", "minutes", "parameters"]
    alone = grouped([one("a", {"training_mse": 0.1}), one("b", model__latent="3")])
    assert filled(alone)[0].column.key == "training_mse"
    assert filled(alone)[0].found[1] is None


def test_best_first_and_marked():
    groups = ranked(three(0.3, 0.1, 0.105))
    assert [group.name for group in groups] == ["g1-s*", "g2-s*", "g0-s*"]
    assert list(filled(groups)[0].marks) == ["best", "tie", ""]


def test_nothing_is_marked_where_the_data_differ():
    groups = ranked(three(0.3, 0.1, data__fingerprint="0" * 64))
    assert [group.name for group in groups] == ["g0-s*", "g1-s*"]  # as given
    assert list(filled(groups)[0].marks) == ["", ""]


def test_named_signals_are_compared_before_held_out_ones():
    runs = [
        one("a", {"on_mse": 0.2, "heldout_mse": 0.1}),
        one("b", {"on_mse": 0.1, "heldout_mse": 0.2, "on_against_pca": 0.3}, model__latent="3"),
    ]
    groups = ranked(grouped(runs))
    assert [group.name for group in groups] == ["b", "a"]
    titles = [numbers.column.title for numbers in filled(groups)]
    assert titles[0] == "mse on SOURCE" and titles[-1] == "pca: mse on SOURCE"


def test_of_many_keys_those_of_the_model_are_foremost():
    groups = grouped([
        one("a"),
        one("b", model__latent="3", model__prior="standard", infer__steps=2, infer__chains=2,
            train__batch=7, data__holdout=0.2, data__fingerprint="0" * 64, data__limit=9),
    ])  # fmt: skip
    assert len(differences(groups)) == 8 and len(foremost(groups)) == MOST_KEYS
    assert {"model.latent", "infer.steps", "train.batch"} < {key for key, _ in foremost(groups)}
    words = dict(differences(groups))
    assert words["data.fingerprint"] == ["ffffffff…", "00000000…"]
    assert words["data.limit"] == ["–", "9"]
