"""log p(y) of a run's signals: which are scored, in what company, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tiny import Command, blobs, keys

import abprop
from abprop.errors import UserError
from abprop.evaluate.likelihood import FEWEST, MOST, usual

KEYS = {
    "scored", "n", "of", "nats", "nats_per_number", "se", "low_by", "se_examples", "ess",
    "ess_least", "numbers", "accepted", "chains", "temperatures", "from",
}  # fmt: skip
FEW = ("--likelihood", "--temperatures", "4", "--chains", "3")


def test_held_out_examples_are_scored_where_own_data_are_meant(faces: Path):
    run, told = abprop.load(faces), []
    found = run.log_likelihood(temperatures=4, chains=3, progress=told.append)
    assert (found.which, found.of) == ("held-out", 3) and "held-out" in told[0]
    assert found.rows.tolist() == [0, 1, 2] and np.isfinite(found.nats).all()
    assert (found.numbers == 64).all() and (found.se >= 0).all()
    assert ((found.ess >= 1) & (found.ess <= 3)).all()
    again = abprop.load(faces).evaluate(likelihood={"temperatures": 4, "chains": 3})["likelihood"]
    assert set(again) == KEYS
    assert again["nats"] == found.nats.mean() and again["numbers"] == 64
    assert again["nats_per_number"] == pytest.approx(found.nats.sum() / (3 * 64))
    assert again["se"] == pytest.approx(math.sqrt((found.se**2).sum()) / 3)


def test_training_examples_are_called_so(twice: Path, table: Path):
    found = abprop.load(twice).log_likelihood(temperatures=3, chains=2, examples=5)
    assert (found.which, found.of, len(found.nats)) == ("training", 12, 4)
    assert found.rows.tolist() == [0, 3, 6, 9]


def test_of_a_table_what_is_missing_does_not_count(table: Path):
    run = abprop.load(table)
    found = run.log_likelihood(temperatures=4, chains=3, simulated=2)
    assert found.numbers.max() <= 5 and found.numbers.mean() < 5 and np.isfinite(found.nats).all()
    assert found.gap is not None and found.gap[2] == 2


def test_an_example_of_a_source_is_answered_alike_in_any_company(faces: Path):
    run, others = abprop.load(faces), blobs(20, seed=5)
    how = {"temperatures": 3, "chains": 2}
    whole = run.log_likelihood(others, **how)
    assert whole.which == "given" and len(whole.nats) == 20
    some = run.log_likelihood(others[:3], **how)
    assert (some.nats == whole.nats[:3]).all() and (some.se == whole.se[:3]).all()


def test_of_crops_and_of_masks(texture: Path, faces: Path, shelf: Path, abprop: Command):
    done = abprop("evaluate", texture, *FEW, "--examples", "2", "--json")
    found = json.loads(done.out)["likelihood"]
    assert (found["scored"], found["n"], found["of"]) == ("training", 2, 12)
    done = abprop("evaluate", faces, shelf / "other.npy", "--hide", "P.5", *FEW, "--json")
    assert 20 < json.loads(done.out)["likelihood"]["numbers"] < 44


def test_on_the_screen(faces: Path, abprop: Command):
    done = abprop("evaluate", faces, *FEW, "--simulated", "2")
    assert done.code == 0, done.err
    assert "log p(y) of 3 of 3 held-out examples" in done.out and "per number" in done.out
    assert "3 chains each, 4 temperatures from near" in done.out
    assert "2 simulated signals" in done.out
    assert "annealing 3 chains each" in done.err


BAD: dict[str, tuple[tuple[str, ...], str]] = {
    "chains alone": (("--chains", "4"), "--likelihood"),
    "one chain": (("--likelihood", "--chains", "1"), "at least 2"),
    "no temperature": (("--likelihood", "--temperatures", "0"), "at least 1"),
    "no example": (("--likelihood", "--examples", "0"), "at least 1"),
    "a course": (("--likelihood", "--course", "pior"), "did you mean 'prior'"),
    "behind measurements": (("--likelihood", "--measure", "down:2"), "--measure"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str, faces: Path, abprop: Command):
    words, says = BAD[case]
    assert says in abprop("evaluate", faces, *words, "--json").complaint


def test_refused_from_python(faces: Path):
    run = abprop.load(faces)
    for bad, says in (({"chains": 1}, "at least 2"), ({"temperatures": 2.5}, "whole number"),
                      ({"course": "x"}, "choose one of: near, prior")):  # fmt: skip
        with pytest.raises(UserError, match=says):
            run.log_likelihood(**bad)
    with pytest.raises(UserError, match="whole number"):
        run.evaluate(likelihood={"simulated": "many"})


def test_a_run_of_completed_signals_is_refused(shelf: Path, run_dir: Path, abprop: Command):
    words = keys("train.iterations=2", "infer.steps=1", "model.channels=2", "model.latent=2")
    measure = ("--measure", "down:2")
    assert abprop("fit", shelf / "faces.npy", "--run", run_dir, *measure, *words).code == 0
    complaint = abprop("evaluate", run_dir, *FEW).complaint
    assert "data.complete=no" in complaint
    other = run_dir.with_name("other")
    more = keys("data.complete=no")
    assert abprop("fit", shelf / "faces.npy", "--run", other, *measure, *words, *more).code == 0
    found = json.loads(abprop("evaluate", other, *FEW, "--json").out)["likelihood"]
    assert found["numbers"] == 16 and math.isfinite(found["nats"])


def test_how_many_are_chosen():
    assert usual(64) == MOST and usual(3 * 64 * 64) == 21 and usual(10**7) == FEWEST


@pytest.fixture
def spectral(shelf: Path, tmp_path: Path, abprop: Command) -> Callable[[], Path]:
    """A run of a sound that is learned by the variance of its bands."""

    def fit() -> Path:
        np.save(tmp_path / "x.npy", blobs(12))
        words = keys("train.iterations=2", "infer.steps=1", "model.channels=2", "model.latent=2",
                     "model.likelihood=spectral")  # fmt: skip
        assert abprop("fit", tmp_path / "x.npy", "--run", tmp_path / "run", *words).code == 0
        return tmp_path / "run"

    return fit


def test_a_spectral_likelihood_is_refused(spectral: Callable[[], Path], abprop: Command):
    assert "model.likelihood=spectral" in abprop("evaluate", spectral(), *FEW).complaint
