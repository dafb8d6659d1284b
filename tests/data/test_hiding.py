"""Rules hide their share, of an example always the same; what is set aside is as deep."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt, find_objects, label

from abprop.data import ASIDE, MISSING, OBSERVED, SECRET, Scale, Signals, set_aside
from abprop.data.hiding import check_rule, hidden_by
from abprop.errors import UserError
from abprop.sources import read

TABLE, SOUND, IMAGE, VIDEO = (9,), (2, 40), (3, 20, 17), (1, 6, 9, 8)
SHAPES = [TABLE, SOUND, IMAGE, VIDEO]
RULES = ["P.5", "P.03", "P.92", "S.05", "S.4", "C.3", "C.75"]
IDS = np.arange(300)


def signals(shape: tuple[int, ...], hidden: np.ndarray) -> Signals:
    """Zeros with a veil."""
    values = np.zeros((len(hidden), *shape), np.float32)
    kind = "table" if len(shape) == 1 else "array"
    names = [f"{i:06d}" for i in range(len(values))]
    return Signals.of(kind, values, hidden, names, Scale(-1.0, 1.0, "float32"), "here")


def secret(shape: tuple[int, ...], rule: str, count: int) -> Signals:
    return signals(shape, SECRET * hidden_by(rule, shape, np.arange(count), 0).astype(np.uint8))


# Rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", RULES)
def test_a_rule_covers_its_share(rule: str, shape: tuple[int, ...]):
    hidden = hidden_by(rule, shape, IDS, 0)
    assert hidden.dtype == bool
    assert hidden.shape == ((300, 9) if shape == TABLE else (300, 1, *shape[1:]))
    share = float(rule[1:])
    of_each = hidden.reshape(300, -1).mean(1)
    # Examples are independent: four standard errors of their mean, from their own spread.
    assert abs(of_each.mean() - share) <= 4 * of_each.std() / np.sqrt(300) + 0.5 / of_each.size
    if rule[0] == "C" and shape != TABLE:
        assert np.ptp(of_each) == 0, "clouds cover exactly their share"


@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
@pytest.mark.parametrize("rule", ["P.5", "S.4"])
def test_no_place_is_hidden_more_often_than_others(rule: str, shape: tuple[int, ...]):
    often = hidden_by(rule, shape, np.arange(1500), 0).mean(0)
    share = float(rule[1:])
    assert np.abs(often - share).max() < 5 * np.sqrt(share * (1 - share) / 1500), "nor at the edge"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", ["P.5", "S.05", "M3", "C.3"])
def test_what_is_hidden_of_an_example_does_not_depend_on_its_company(
    rule: str, shape: tuple[int, ...]
):
    together = hidden_by(rule, shape, IDS[:100], 7)
    for some in ([5], [99, 3, 64], range(40, 90)):
        rows = np.asarray(some)
        np.testing.assert_array_equal(hidden_by(rule, shape, rows, 7), together[rows])
    assert len({each.tobytes() for each in together}) > 4, "examples differ"
    assert (hidden_by(rule, shape, IDS[:100], 8) != together).any(), "seeds differ"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("side", [1, 2, 5])
def test_a_block_is_whole_and_of_its_size(side: int, shape: tuple[int, ...]):
    size = shape[1:] or shape
    hidden = hidden_by(f"M{side}", shape, IDS, 0).reshape(300, *size)
    corners = set()
    for each in hidden:
        places = np.argwhere(each)
        low, high = places.min(0), places.max(0)
        assert len(places) == side ** len(size) and (high - low == side - 1).all()
        corners.add(tuple(low))
    found = np.array(sorted(corners))
    assert (found.min(0) == 0).all() and (found.max(0) == np.array(size) - side).all()


def test_a_block_may_fill_the_least_side():
    assert hidden_by("M17", IMAGE, IDS[:5], 0).sum((1, 2, 3)).tolist() == [17 * 17] * 5
    assert hidden_by("M9", TABLE, IDS[:5], 0).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_a_block_that_does_not_fit_is_refused(shape: tuple[int, ...]):
    size = shape[1:] or shape
    side = min(size) + 1
    with pytest.raises(UserError, match=f"--hide M{side}: .* {'x'.join(map(str, size))}; choose"):
        hidden_by(f"M{side}", shape, IDS, 0)


def test_patches_are_three_entries_along_every_axis():
    hidden = hidden_by("P.02", (1, 60, 60), IDS[:40], 0)[:, 0]
    sizes = []
    for each in hidden:
        pieces = label(each, np.ones((3, 3)))[0]
        for piece in find_objects(pieces):
            cut = any(s.start == 0 or s.stop == 60 for s in piece)  # it hangs over the edge
            sizes += [] if cut else [tuple(s.stop - s.start for s in piece)]
    assert np.min(sizes) == 3 and sizes.count((3, 3)) > len(sizes) / 2


def test_clouds_hang_together():
    cloud = hidden_by("C.3", (1, 64, 64), IDS[:20], 0)[:, 0]
    single = hidden_by("S.3", (1, 64, 64), IDS[:20], 0)[:, 0]
    pieces = [np.mean([label(each)[1] for each in some]) for some in (cloud, single)]
    assert pieces[0] < 30 < 300 < pieces[1]


@pytest.mark.parametrize(
    "wrong",
    ["", "P", "P0", "P.0", "P0.000", "P1", "P1.0", "P5", "p.5", "Q.5", "M", "M0", "M-3", "M.5",
     "M2.5", "S", "S-.5", "C1.5", "P.5x", "P.5,M3", "P.1234567", "P.5\nM3", "M1234567"],
)  # fmt: skip
def test_what_is_no_rule_is_refused(wrong: str):
    with pytest.raises(UserError, match="is no rule; use one of P"):
        check_rule(wrong)
    with pytest.raises(UserError, match="is no rule"):
        hidden_by(wrong, IMAGE, IDS[:1], 0)


def test_rules_as_people_write_them():
    assert check_rule("P.5") == check_rule("P0.5") == check_rule(" P.50 ") == ("P", 0.5)
    assert check_rule("M20") == ("M", 20.0)


# A rule while reading -------------------------------------------------------------------------


def test_a_rule_hides_what_was_observed_and_keeps_the_truth():
    values = np.random.default_rng(0).normal(size=(20, 1, 9, 9)).astype(np.float32)
    values[:, :, 2:4] = np.nan
    found = read(values, kind="array", hide="P.5", seed=3)
    expected = hidden_by("P.5", (1, 9, 9), np.arange(20), 3)
    codes = found.codes(range(20))
    assert codes is not None
    assert (codes[:, :, 2:4] == MISSING).all()
    seen = np.ones(values.shape, bool)
    seen[:, :, 2:4] = False
    np.testing.assert_array_equal((codes == SECRET)[seen], expected[seen])
    np.testing.assert_array_equal(found.values[seen], values[seen])


def test_what_a_rule_hides_has_no_influence():
    values = np.random.default_rng(0).normal(size=(20, 1, 9, 9)).astype(np.float32)
    hidden = hidden_by("S.4", (1, 9, 9), np.arange(20), 0)
    one, two = (read(np.where(hidden, x, values), hide="S.4") for x in (values, np.float32(99)))
    assert one.fingerprint == two.fingerprint and one.scale == two.scale
    np.testing.assert_array_equal(one.batch(range(20))[0], two.batch(range(20))[0])


# Set aside ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [TABLE, (1, 40), (1, 24, 24), (1, 9, 9, 9)], ids=str)
@pytest.mark.parametrize("rule", ["P.5", "S.4", "M4"])
@pytest.mark.parametrize("share", [0.02, 0.1])
def test_about_the_share_is_set_aside(rule: str, shape: tuple[int, ...], share: float):
    given = secret(shape, rule, 120)
    found = set_aside(given, share, 0)
    before, after = given.codes(range(120)), found.codes(range(120))
    assert before is not None and after is not None
    aside = after == ASIDE
    assert (before[aside] == OBSERVED).all(), "never what is hidden"
    np.testing.assert_array_equal(after[~aside], before[~aside])
    # Debts go from example to example: off by the last disc of the last ones at most.
    assert aside.sum() / (before == OBSERVED).sum() == pytest.approx(share, rel=0.1)
    assert (after == OBSERVED).reshape(120, -1).sum(1).min() >= 1
    left = (after == OBSERVED).reshape(120, -1).sum(1)
    assert (left >= 0.5 * (before == OBSERVED).reshape(120, -1).sum(1)).all()


def depth(veil: np.ndarray, code: int) -> np.ndarray:
    """Distances from entries of a code to the nearest observed one."""
    return np.concatenate(
        [distance_transform_edt(each[0] != OBSERVED)[each[0] == code] for each in veil]
    )


@pytest.mark.parametrize("shape", [(1, 80), (1, 32, 32), (1, 14, 14, 14)], ids=str)
@pytest.mark.parametrize("rule", ["P.5", "S.3", "M7", "C.3"])
def test_what_is_set_aside_is_as_deep_as_what_is_hidden(rule: str, shape: tuple[int, ...]):
    given = secret(shape, rule, 150)
    veil = set_aside(given, 0.05, 0).codes(range(150))
    assert veil is not None
    hidden, aside = depth(veil, SECRET).mean(), depth(veil, ASIDE).mean()
    # Discs merge with what is hidden beside them, and at the edge there is half a disc; entries
    # set aside one by one would stay below 0.7 where blocks are hidden.
    assert 0.75 * hidden < aside < 1.75 * hidden


def test_channels_with_masks_of_their_own_lose_entries_one_channel_at_a_time():
    """One large map of days: as deep as its holes, however wide the land that no day shows."""
    random = np.random.default_rng(0)
    hidden = random.random((1, 4, 64, 64)) < 0.05
    hidden[:, :, :, 40:] = True  # land
    given = signals((4, 64, 64), hidden)
    given = given.take([0]) if len(given) > 1 else given
    before, after = given.codes([0])[0], set_aside(given, 0.02, 0).codes([0])[0]
    aside = after == ASIDE
    assert aside.sum() / (before == OBSERVED).sum() == pytest.approx(0.02, rel=0.1)
    assert (aside.sum(0) == 1).sum() > 0.9 * aside.any(0).sum()
    assert all(day.any() for day in aside)
    assert depth(after[None, :1], ASIDE).mean() < 1.5


def test_cells_of_a_table_are_set_aside_one_by_one():
    given = secret((30,), "M6", 100)
    before, after = given.codes(range(100)), set_aside(given, 0.05, 0).codes(range(100))
    assert before is not None and after is not None
    owed = 0.05 * (before == OBSERVED).sum(1).cumsum() - (after == ASIDE).sum(1).cumsum()
    assert owed.min() > -1e-9 and owed.max() < 1 + 1e-9, "less than a cell is owed at any time"


def test_channels_with_masks_of_their_own():
    hidden = np.random.default_rng(0).random((40, 3, 16, 16)) < 0.2
    veil = set_aside(signals((3, 16, 16), hidden), 0.1, 0).codes(range(40))
    assert veil is not None and veil.shape == (40, 3, 16, 16)
    assert ((veil == MISSING) == hidden).all()
    assert 0.08 < (veil == ASIDE).sum() / (~hidden).sum() < 0.12


def test_nothing_hidden_nothing_set_aside():
    whole = signals((1, 8, 8), np.zeros((5, 1, 8, 8), bool))
    assert set_aside(whole, 0.1, 0) is whole
    some = secret((1, 8, 8), "P.5", 5)
    assert set_aside(some, 0.0, 0) is some


def test_examples_that_are_whole_or_gone_are_left_alone():
    hidden = np.zeros((60, 1, 12, 12), bool)
    hidden[::3], hidden[1::3, :, :5] = True, True
    veil = set_aside(signals((1, 12, 12), hidden), 0.05, 0).codes(range(60))
    assert veil is not None
    assert (veil[::3] == MISSING).all() and (veil[2::3] == OBSERVED).all()
    assert (veil[1::3] == ASIDE).any()


def test_a_seed_is_all_that_changes_what_is_set_aside():
    given = secret((1, 16, 16), "P.3", 30)
    a, b, c = (set_aside(given, 0.1, seed).codes(range(30)) for seed in (0, 0, 1))
    assert np.array_equal(a, b) and not np.array_equal(a, c)  # type: ignore[arg-type]


def test_what_is_set_aside_is_hidden_from_learning_alone():
    given = secret((1, 16, 16), "P.3", 30)
    found = set_aside(given, 0.1, 0)
    assert found.fingerprint == given.fingerprint and found.names == given.names
    assert found.hidden is not None and found.hidden.sum() > given.hidden.sum()  # type: ignore
    back = found.unveiled(ASIDE)
    np.testing.assert_array_equal(back.codes(range(30)), given.codes(range(30)))
    assert set_aside(given.take([3, 1]), 0.1, 0).values.shape == (2, 1, 16, 16)
