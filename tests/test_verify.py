"""The checks find what is right, and find what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch

from abprop import verify
from abprop.annealing import Near
from abprop.inference import HMC, MALA, Chain, Langevin, LeimkuhlerMatthews, Moved
from abprop.noise import Keyed
from abprop.verify import Found, Plan, Size

SMALL = Size(d=12, measured=120, examples=4, chains=100, simulations=200, learned=150)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch):
    plans = {"langevin": Plan(5, 30, 200), "leimkuhler": Plan(2, 20, 120),
             "mala": Plan(5, 20, 250), "hmc": Plan(1, 20, 250)}  # fmt: skip
    monkeypatch.setattr(verify.known, "PLANS", plans)
    monkeypatch.setattr(verify.known, "SPECTRA", ("stiff",))


def told(checks) -> dict[str, list[Found]]:
    found: dict[str, list[Found]] = {}
    for one in checks:
        found.setdefault(one.check, []).append(one)
    return found


@pytest.mark.parametrize("name, kernel", [("langevin", Langevin), ("hmc", HMC)])
def test_right_chains_pass(name: str, kernel) -> None:
    found = told(verify.linear_checks(name, 0, SMALL, kernel))
    assert [f.case for f in found["linear_mean"]] == ["stiff", "stiff, half hidden"]
    assert all(f.passed for f in found["linear_mean"])
    # So few draws leave the variances uncertain by some 1.5 per cent.
    assert all(f.value < f.bound + 0.03 for f in found["linear_covariance"])
    found = told(verify.calibration_checks(name, 0, SMALL, kernel))
    assert found["sbc"][0].passed and found["coverage90"][0].value == pytest.approx(0.9, abs=0.03)


@dataclass(frozen=True)
class Hot(LeimkuhlerMatthews):
    """Chains that move a quarter too far: the noise does not fit the drift."""

    def step(self, score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        moved, info = super().step(score, chain, noise)
        return moved._replace(z=chain.z + 1.25 * (moved.z - chain.z)), info


@dataclass(frozen=True)
class Shifted(MALA):
    """Chains whose proposals all move one way, without the test knowing of it."""

    def step(self, score, chain: Chain, noise: Keyed) -> tuple[Chain, Moved]:
        moved, info = super().step(score, chain, noise)
        off = 0.1 * chain.metric.push(torch.ones_like(chain.z))
        return replaced(moved, score, moved.z + off), info


def replaced(chain: Chain, score, z: torch.Tensor) -> Chain:
    log_p, grad = score(z)
    return chain._replace(z=z, log_p=log_p, grad=grad)


def test_a_wrong_temperature_fails() -> None:
    found = told(verify.linear_checks("leimkuhler", 0, SMALL, Hot))
    assert not any(f.passed for f in found["linear_covariance"])
    assert not told(verify.calibration_checks("leimkuhler", 0, SMALL, Hot))["coverage90"][0].passed


def test_a_drift_to_one_side_fails() -> None:
    found = told(verify.linear_checks("mala", 0, SMALL, Shifted))
    assert not any(f.passed for f in found["linear_mean"])


def test_a_step_size_from_one_direction_alone_fails() -> None:
    """What the first version did: one stiff direction had ten times the variance it should."""

    @dataclass(frozen=True)
    class Long(Langevin):
        def aim(self, size: int) -> float:
            return 0.9

    found = told(verify.linear_checks("langevin", 0, SMALL, Long))
    assert all(f.value > 1 for f in found["linear_covariance"])


def test_learning_reaches_the_optimum_of_ppca() -> None:
    (found,) = verify.likelihood_check("leimkuhler", 0, SMALL, LeimkuhlerMatthews)
    assert 0 <= found.value < 0.03


def test_the_likelihood_by_annealing_is_the_exact_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify.annealed, "ANNEALED", {"near": (20, 8, 4), "prior": (150, 8, 2)})
    found = told(verify.annealing_checks("hmc", 0, SMALL, HMC))
    cases = ["near", "near, half hidden", "prior", "prior, half hidden"]
    assert [f.case for f in found["ais_error"]] == [f.case for f in found["ais_gap"]] == cases
    # So few chains leave an error of some .05 from the prior.
    assert all(f.value < f.bound + 0.1 for f in [*found["ais_error"], *found["ais_gap"]])


def test_weights_that_are_wrong_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains that begin at draws of another law than the one that they are weighed by."""
    monkeypatch.setattr(verify.annealed, "ANNEALED", {"near": (20, 8, 4)})
    draw = Near.draw
    monkeypatch.setattr(Near, "draw", lambda law, noise: draw(law, noise) + 1.0)
    found = told(verify.annealing_checks("hmc", 0, SMALL, HMC))
    assert not any(f.passed for f in found["ais_error"])


def test_the_summary_wants_four_of_five_seeds() -> None:
    right = [Found("sbc", "hmc", seed, "", 0.5, 0.01, seed > 0) for seed in range(5)]
    result = verify.summary(right)
    assert result["passed"] and result["seeds"] == 5
    assert result["sbc"]["seeds_passed"] == 4 and result["sbc"]["value"] == 0.5
    wrong = [one._replace(kernel="mala", passed=one.seed > 1, value=0.001) for one in right]
    result = verify.summary([*right, *wrong])
    assert not result["passed"] and result["sbc"]["seeds_passed"] == 3
    assert [row["passed"] for row in result["sbc"]["rows"]] == [True, False]


@pytest.mark.slow
def test_everything_passes_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    result = verify.summary(verify.verify())
    assert result["passed"], [row for check in result.values() if isinstance(check, dict)
                              for row in check["rows"] if not row["passed"]]  # fmt: skip
