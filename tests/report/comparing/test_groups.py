"""What is one row: runs that differ in chance, places, machine or what a budget became."""

from __future__ import annotations

from typing import Any

import pytest
from made_up import one

from abprop.report.comparing.groups import differing, grouped, names_of, unlike

SAME: dict[str, dict[str, Any]] = {
    "seed": {"seed": 3},
    "places": {"data__source": "/b/faces.npy"},
    "machine": {"run__device": "cuda", "run__precision": "bfloat16", "run__threads": 4},
    "saving": {"checkpoint__every": "5m", "checkpoint__keep": 9},
    "sharing": {"distributed__shards": 4, "distributed__reduce": "exact"},
}


@pytest.mark.parametrize("what", SAME)
def test_one_row(what: str):
    (group,) = grouped([one("r/a"), one("r/b", **SAME[what])])
    assert len(group.runs) == 2


@pytest.mark.parametrize(
    "keys",
    [
        {"model__latent": "20"},
        {"model__prior": "standard"},
        {"infer__wait": 2},
        {"train__iterations": 12},
        {"data__fingerprint": "0" * 64},
        {"data__operator": "down:4"},
    ],
)
def test_another_row(keys: dict[str, Any]):
    groups = grouped([one("r/a"), one("r/b", **keys)])
    assert [len(group.runs) for group in groups] == [1, 1]
    assert differing(groups) == [key.replace("__", ".") for key in keys]


def planned(folder: str, iterations: int, budget: str = "5m", **more: Any):
    made = one(folder, **more)
    train = made.recipe.train.model_copy(
        update={"iterations": iterations, "budget": budget, "scores": iterations // 9}
    )
    infer = made.recipe.infer.model_copy(update={"wait": iterations // 3, **more.get("infer", {})})
    recipe = made.recipe.model_copy(update={"train": train, "infer": infer})
    object.__setattr__(made, "recipe", recipe)
    return made


def test_what_a_budget_became_is_no_other_recipe():
    assert len(grouped([planned("a", 90), planned("b", 117, seed=1)])) == 1
    apart = grouped([planned("a", 90), planned("b", 90, "9m")])
    assert differing(apart) == ["train.budget"]


def test_a_wait_that_was_asked_for_is_another_recipe():
    made = planned("b", 90)
    infer = made.recipe.infer.model_copy(update={"wait": 7})
    object.__setattr__(made, "recipe", made.recipe.model_copy(update={"infer": infer}))
    assert differing(grouped([planned("a", 90), made])) == ["infer.wait"]


def test_what_a_rule_hides_follows_the_seed():
    hidden = {"data__hide": "P.5", "data__fingerprint": "1" * 64}
    again = {**hidden, "seed": 1, "data__fingerprint": "2" * 64}
    assert len(grouped([one("a", **hidden), one("b", **again)])) == 1
    other = {**hidden, "data__source": "/b/others.npy"}
    assert unlike(grouped([one("a", **hidden), one("b", **other)])) == ["data.fingerprint"]


def test_data_that_differ_are_told():
    alike = [one("a"), one("b", model__latent="20")]
    assert unlike(grouped(alike)) == []
    assert unlike(grouped([*alike, one("c", data__range="0:1")])) == ["data.range"]


def names(*folders: str) -> list[str]:
    """Of rows of two runs each."""
    ones = [one(folder, model__latent=str(i // 2 + 2)) for i, folder in enumerate(folders)]
    return [group.name for group in grouped(ones)]


def test_names_are_short_and_mean_their_own_runs():
    assert names("runs/d20-s0", "runs/d20-s1", "runs/d60-s0", "runs/d60-s1") == [
        "d20-s*", "d60-s*",
    ]  # fmt: skip
    assert names("d20/s0", "d20/s1", "d60/s0", "d60/s1") == ["d20/s*", "d60/s*"]
    assert names("a1", "a2", "a3", "a4") == ["a{1,2}", "a{3,4}"]  # a* would mean all
    assert names("d2-s0", "d2-s1", "d2-std-s0", "d2-std-s1") == ["d2-s{0,1}", "d2-std-s*"]
    assert names("x/old", "x/new", "x/one", "x/two") == ["old, new", "one, two"]
    assert [g.name for g in grouped([one(f"r/{n}", seed=i) for i, n in enumerate("wxyz")])] == [
        "w and 3 more"
    ]


def test_names_are_what_is_not_common_to_all(tmp_path):
    assert names_of([tmp_path / "a" / "s0", tmp_path / "b"]) == ["a/s0", "b"]
