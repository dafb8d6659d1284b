"""`abprop verify` on the screen, as JSON and as a picture; and runs whose chains stay finite."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny import FACES, Command, keys

from abprop import verify
from abprop.report import calibration
from abprop.run import metrics
from abprop.verify import Found, Size

RIGHT = [Found("sbc", "hmc", seed, "", 0.4, 0.01, True) for seed in (0, 1)]
WRONG = [Found("linear_covariance", "mala", seed, "stiff", 0.3, 0.02, False) for seed in (0, 1)]


def found(monkeypatch: pytest.MonkeyPatch, *parts: list[Found]) -> None:
    monkeypatch.setattr(verify, "verify", lambda *a, **k: [one for part in parts for one in part])


def test_what_passes_exits_with_0(monkeypatch: pytest.MonkeyPatch, abprop: Command):
    found(monkeypatch, RIGHT)
    done = abprop("verify", "--seeds", "2", "--json")
    result = json.loads(done.out)
    assert done.code == 0 and result["passed"] and result["seeds"] == 2
    assert {"value", "bound", "seeds_passed"} < set(result["sbc"])
    shown = abprop("verify", "--seeds", "2")
    assert shown.code == 0 and "2 of 2" in shown.out and shown.out.endswith("passed\n")


def test_what_fails_exits_with_1_and_says_which(monkeypatch: pytest.MonkeyPatch, abprop: Command):
    found(monkeypatch, RIGHT, WRONG)
    done = abprop("verify")
    assert done.code == 1 and done.out.endswith("FAILED\n")
    assert "linear_covariance" in done.out and "0 of 2" in done.out
    done = abprop("verify", "--json")
    assert done.code == 1 and json.loads(done.out)["linear_covariance"]["seeds_passed"] == 0


def test_a_picture_of_the_ranks(monkeypatch: pytest.MonkeyPatch, abprop: Command, tmp_path: Path):
    found(monkeypatch, RIGHT)
    monkeypatch.setattr(calibration, "Size", lambda: Size(simulations=12))
    monkeypatch.setattr(calibration, "SAMPLERS", ("hmc", "mala"))
    assert abprop("verify", "--seeds", "1", "-o", tmp_path / "ranks.png").code == 0
    assert (tmp_path / "ranks.png").read_bytes().startswith(b"\x89PNG")
    done = abprop("verify", "--seeds", "1", "-o", tmp_path / "ranks.doc")
    assert done.code == 2 and "-o" in done.complaint


def chains_stay_finite(seed: int, rate: str, shelf: Path, run_dir: Path, abprop: Command) -> None:
    sets = (*FACES, "train.iterations=60", f"seed={seed}", f"train.learning_rate={rate}")
    done = abprop("fit", shelf / "faces.npy", "--run", run_dir, *keys(*sets))
    assert done.code == 0, done.err
    rows = metrics.load(run_dir / "metrics.jsonl")
    assert sum(row["diverged"] for row in rows) == 0 and "rhat" in rows[-1]


@pytest.mark.parametrize("rate", ["0.0005", "0.005", "0.05"])
def test_no_chain_is_lost(rate: str, shelf: Path, run_dir: Path, abprop: Command):
    chains_stay_finite(0, rate, shelf, run_dir, abprop)


@pytest.mark.slow
@pytest.mark.parametrize("rate", ["0.0005", "0.005", "0.05"])
@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_no_chain_is_lost_at_more_seeds(
    seed: int, rate: str, shelf: Path, run_dir: Path, abprop: Command
):
    chains_stay_finite(seed, rate, shelf, run_dir, abprop)
