"""The scale, batches as pure functions of ids, fingerprints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abprop.data import Scale
from abprop.data.signals import choose_scale
from abprop.errors import UserError
from abprop.sources import read

INTEGERS = ("uint8", "int8", "uint16", "int16")


@pytest.mark.parametrize("dtype", INTEGERS)
@given(data=st.data())
def test_integers_survive_the_round_trip_exactly(dtype: str, data: st.DataObject):
    values = data.draw(arrays(dtype, (3, 1, 4)))
    scale = choose_scale(values, None)
    again = scale.to_data(scale.to_model(values))
    assert again.dtype == values.dtype
    np.testing.assert_array_equal(again, values)


@given(values=arrays("float32", (3, 1, 4), elements=st.floats(-1e6, 1e6, width=32)))
def test_floats_survive_to_rounding(values: np.ndarray):
    scale = choose_scale(values, None)
    x = scale.to_model(values)
    assert x.dtype == np.float32 and np.abs(x).max() <= 1
    error = np.abs(scale.to_data(x) - values).max()
    assert error <= 4e-7 * max(float(scale.unit), float(np.abs(values).max()))


@given(values=arrays("int64", (4, 2)))
def test_any_integers_fit_their_scale(values: np.ndarray):
    x = choose_scale(values, None).to_model(values)
    assert np.isfinite(x).all() and np.abs(x).max() <= 1


@pytest.mark.parametrize("dtype", [*INTEGERS, "uint32", "int32", "uint64", "int64"])
def test_integers_are_clipped_to_their_dtype(dtype: str):
    info = np.iinfo(dtype)
    low, high = Scale(0.0, 1.0, dtype).to_data(np.array([-1e30, 1e30]))
    assert low == info.min and abs(int(high) - info.max) <= info.max // 2**52


def test_unrounded_data_are_floats():
    half = Scale(0.0, 255.0, "uint8").to_data(np.array([0.0, 1.5]), rounded=False)
    np.testing.assert_array_equal(half, np.array([127.5, 318.75], dtype=np.float32))


@pytest.mark.parametrize(
    ("values", "low", "high"),
    [
        (np.array([0, 200], np.uint8), 0, 255),
        (np.array([0, 200], np.uint16), 0, 65535),
        (np.array([0, 200], np.int32), 0, 200),
        (np.array([0.2, 0.9], np.float32), 0, 1),
        (np.array([-0.2, 0.9], np.float32), -1, 1),
        (np.array([-3.0, 7.0], np.float32), -3, 7),
        (np.array([5.0, 5.0], np.float32), 5, 6),
    ],
)
def test_the_range_that_values_suggest(values: np.ndarray, low: float, high: float):
    assert choose_scale(values[:, None, None], None) == Scale(
        float(low), float(high), values.dtype.name
    )


def test_a_table_has_a_scale_for_each_column():
    table = np.array([[0.0, 5.0, np.nan], [4.0, 5.0, np.nan], [np.nan, 5.0, np.nan]])
    signals = read(table)
    np.testing.assert_array_equal(signals.scale.low, [0, 5, 0])
    np.testing.assert_array_equal(signals.scale.high, [4, 6, 1])
    y, hidden = signals.batch([1, 2])
    assert hidden is not None and hidden.tolist() == [[False, False, True], [True, False, True]]
    assert y.tolist() == [[1, -1, 0], [0, -1, 0]]
    assert signals.dims == 0 and signals.shape == (3,)


@pytest.mark.parametrize(
    "bounds", [(1.0, 1.0), (2.0, 1.0), (0.0, float("inf")), (float("nan"), 1.0)]
)
def test_an_empty_range_is_refused(bounds: tuple[float, float]):
    with pytest.raises(UserError, match="range"):
        Scale(*bounds, "uint8")


def test_a_batch_depends_on_the_ids_alone(colours: np.ndarray):
    signals = read(colours)
    whole, hidden = signals.batch(range(5))
    assert hidden is None and whole.dtype == torch.float32 and whole.shape == (5, 3, 12, 16)
    for ids in ([3, 1], np.array([3, 1]), torch.tensor([3, 1])):
        assert torch.equal(signals.batch(ids)[0], whole[[3, 1]])
    assert torch.equal(signals.take([3, 1]).batch([0])[0], whole[[3]])
    assert signals.take([3, 1]).names == ("000003", "000001")


def test_a_fingerprint_changes_with_anything_the_learner_sees(colours: np.ndarray):
    signals = read(colours)
    other = colours.copy()
    other[4, 0, 0, 0] ^= 1
    variants = [
        read(other),
        read(colours.astype(np.uint16)),
        read(colours[:4]),
        signals.take([1, 0, 2, 3, 4]),
        signals.become(signals.values, None, [f"{name}b" for name in signals.names]),
        signals.become(signals.values, signals.values[:, :1] == 0, signals.names),
    ]
    digests = {signals.fingerprint, *(variant.fingerprint for variant in variants)}
    assert len(digests) == 1 + len(variants)
    assert read(colours.copy()).fingerprint == signals.fingerprint


def test_every_nan_is_the_same_nan():
    table = np.array([[0.0, 1.0], [2.0, np.nan]], dtype=np.float32)
    other = table.copy()
    other.view(np.uint32)[1, 1] = 0xFFC00123
    assert read(table).fingerprint == read(other).fingerprint


def test_byte_order_does_not_matter(colours: np.ndarray):
    deep = colours.astype(np.uint16) * 257
    assert read(deep.astype(">u2")).fingerprint == read(deep).fingerprint
