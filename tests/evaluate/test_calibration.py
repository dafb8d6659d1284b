"""The law of residuals and the width of answers: true intervals, and nothing looked at before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from models import linear_model
from tiny import blobs

from abprop.data import ASIDE, SECRET, Scale, Signals, set_aside
from abprop.data.hiding import hidden_by
from abprop.evaluate import calibration, recovery
from abprop.residuals import White
from abprop.run import Run, load
from abprop.say import quiet


@pytest.fixture(scope="module")
def known(faces: Path) -> Run:
    """A run whose law of residuals is fitted once."""
    return load(faces)


# Width ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [4, 8, 39])
@pytest.mark.parametrize("factor", [0.5, 1.0, 1.7])
def test_the_width_makes_intervals_true(factor: float, count: int):
    random = torch.Generator().manual_seed(0)
    mean = torch.randn(4000, generator=random)
    truth = mean + factor * torch.randn(4000, generator=random)
    draws = mean[:, None] + torch.randn(4000, count, generator=random)
    # 4,000 entries: a tenth of them outside tells the ratio of widths to about 2 %.
    alike = torch.ones(4000)
    found = calibration._width(calibration.Checked(truth, mean, draws, alike))
    assert found == pytest.approx(factor, rel=0.08)


def test_the_width_is_that_of_what_counts():
    random = torch.Generator().manual_seed(0)
    mean, counts = torch.zeros(8000), torch.arange(8000) % 2 == 0
    truth = torch.randn(8000, generator=random) * torch.where(counts, 1.7, 0.4)
    draws = torch.randn(8000, 39, generator=random)
    found = calibration._width(calibration.Checked(truth, mean, draws, counts.float()))
    assert found == pytest.approx(1.7, rel=0.08)


def test_what_is_hidden_more_often_counts_more(known: Run, shelf: Path):
    values = np.load(shelf / "faces.npy")[:40]
    masks = np.zeros((40, 8, 8), bool)
    masks[:30, 2:5, 2:5] = True  # three in four
    masks[:, 7] = np.arange(40)[:, None] < 10  # one in four
    weight = calibration._importance(known.given(values, masks=masks))
    assert weight.shape == (1, 8, 8)
    torch.testing.assert_close(weight[0, 2:5, 2:5], torch.full((3, 3), 3.0))
    torch.testing.assert_close(weight[0, 7], torch.full((8,), 1 / 3))
    assert not weight[0, :2].any()
    few = calibration._importance(known.given(values[:5], masks=masks[:5]))
    assert (few == 1).all(), "five say nothing of how often"


def test_where_all_are_hidden_alike_all_that_is_set_aside_counts(known: Run, shelf: Path):
    values = np.load(shelf / "faces.npy")[:24]
    masks = np.zeros((24, 8, 8), bool)
    masks[:, 2:5, 2:5] = True
    signals = known.given(values, masks=masks)
    aside = torch.from_numpy(set_aside(signals, 0.1, 0).veil == ASIDE)
    assert aside.any() and not calibration._importance(signals).expand(aside.shape)[aside].any()
    train = known.split.train.stored()
    own = calibration.answering(known.learned, known.states, train, True, 16, 0)[:1]
    found = calibration.calibrated(own, signals, 3, known.device, share=0.1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibration, "PLACED", 100)
        assert calibration.calibrated(own, signals, 3, known.device, share=0.1).width == found.width
    assert found.width > calibration.NARROWEST


def test_the_width_has_bounds():
    draws = torch.randn(500, 16, generator=torch.Generator().manual_seed(0))
    zero, one = torch.zeros(500), torch.ones(500)
    wide, narrow = (calibration.Checked(truth, zero, draws, one) for truth in (zero + 1e3, zero))
    assert calibration._width(wide) == calibration.WIDEST
    assert calibration._width(narrow) == calibration.NARROWEST


def test_a_width_scales_what_draws_deviate_by(known: Run, shelf: Path):
    signals = known.given(shelf / "other.npy", ("data.limit=2",), hide="P.3")
    posterior = known.posterior(signals, 3)
    narrow, wide = (
        next(replace(posterior, width=w).draws(signals, 3, known.device)) for w in (1, 2)
    )
    torch.testing.assert_close(wide.mean, narrow.mean)
    twice = narrow.mean[:, None] + 2 * (narrow.draws - narrow.mean[:, None])
    torch.testing.assert_close(wide.draws, twice)


def test_a_runs_own_signals_are_calibrated_on_what_it_never_saw(
    veiled: Path, monkeypatch: pytest.MonkeyPatch
):
    run = load(veiled)
    learned = run.split.train
    posterior, seen = run.posterior(run.signals.take(range(3)), 3), []

    def spied(self: recovery.Posterior, signals, count: int, device):
        seen.append(signals)
        raise InterruptedError  # what it was asked of is all there is to know

    monkeypatch.setattr(recovery.Posterior, "draws", spied)
    with pytest.raises(InterruptedError):
        calibration.calibrated([posterior], run.signals, 3, run.device, run.recipe.data.aside)
    (some,) = seen
    assert len(some) > 10
    for name, codes in zip(some.names, some.codes(range(len(some))), strict=True):
        of_learning = learned.codes([learned.names.index(name)])
        assert (codes == ASIDE).any()
        np.testing.assert_array_equal(codes == ASIDE, of_learning[0] == ASIDE)


def test_a_runs_own_signals_lose_as_much_as_while_learning_others_more(
    veiled: Path, shelf: Path, monkeypatch: pytest.MonkeyPatch
):
    shares = []

    def spied(posterior, signals, draws, device, share):
        shares.append(share)
        return posterior

    monkeypatch.setattr(calibration, "calibrated", spied)
    monkeypatch.setattr(calibration, "SHARE", 0.3)
    run = load(veiled)
    again = run.given(shelf / "faces.npy", ("data.limit=24",), hide="P.4")
    for signals in (run.signals, run.given(), again, run.given(shelf / "other.npy", hide="P.3")):
        run.posterior(signals, 3)
    assert shares == [0.1, 0.1, 0.1, 0.3]


# Law ------------------------------------------------------------------------------------------


def test_a_law_that_is_asked_to_be_white(faces: Path):
    run = load(faces)
    train = run.split.train
    (law,) = calibration.residual_laws(run.learned, run.states[: len(train)], train, False)
    assert isinstance(law, White)
    assert run.residual == "correlated", "pictures have neighbours"


@pytest.mark.parametrize("count", [1, 2, 30])
def test_deviations_from_a_mean_have_the_variance_of_the_signal(count: int):
    random = torch.Generator().manual_seed(count)
    y = 3 + 0.5 * torch.randn(count, 2, 300, 40, generator=random)
    observed = torch.rand(count, 1, 300, 40, generator=random) < 0.7
    found, where = calibration._about_mean(torch.where(observed, y, torch.nan), observed)
    assert (where <= observed).all() and where.any()
    # Of 12,000 numbers at least: a deviation to 1 %.
    assert found[where.expand_as(y)].std().item() == pytest.approx(0.5, rel=0.03)


def test_the_law_that_tells_more_of_what_was_set_aside_is_taken(known: Run, shelf: Path):
    signals = known.given(shelf / "other.npy", ("data.limit=8",), hide="P.4")
    train = known.split.train.stored()
    own, *others = calibration.answering(known.learned, known.states, train, True, 16, 0)
    assert len(others) == 1
    absurd = replace(own, residual=White(30.0))
    for candidates, draws in (([own, absurd], 3), ([absurd, own], 3), ([absurd, own], 1)):
        best = calibration.calibrated(candidates, signals, draws, known.device)
        assert best.residual is own.residual


def test_one_picture_over_and_over_has_one_law(known: Run):
    same = known.given(np.repeat(blobs(1), 5, 0))
    laws = calibration.residual_laws(known.learned, known.states[:5], same, True)
    assert len(laws) == 1, "nothing deviates from the mean"


@pytest.mark.parametrize("rule", ["S.3", "S.6"])
def test_intervals_are_true_of_data_from_a_known_linear_model(rule: str):
    model, random = linear_model(0.5).float(), torch.Generator().manual_seed(0)
    z = torch.randn(3000, *model.network.latent_shape, generator=random)
    with torch.no_grad():
        x = model.network(z)
    values = (x + 0.5 * torch.randn(x.shape, generator=random)).numpy()
    hidden = hidden_by(rule, values.shape[1:], np.arange(len(values)), 0)
    veil = np.where(np.broadcast_to(hidden, values.shape), SECRET, 0)
    names, unit = map(str, range(len(values))), Scale(-1.0, 1.0, "float32")
    signals = Signals.of("table", values, veil, names, unit, "linear")
    posterior, cpu = recovery.Posterior(model, White(0.5), 4096), torch.device("cpu")
    calibrated = calibration.calibrated([posterior], signals, 16, cpu, share=0.2)
    # What 16 right draws want, told by 2,000 entries.
    assert calibrated.width == pytest.approx(1.065, abs=0.1)
    scored = torch.from_numpy(veil == SECRET)
    found, _ = recovery.score(calibrated, signals, scored, scored, 16, cpu, quiet)
    # Over 10,000 entries, by a width from 2,000, a few of them in each signal: to .01.
    assert found.result()["coverage90"] == pytest.approx(0.9, abs=0.02)
