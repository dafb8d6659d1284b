"""Where learning starts: the means of channels."""

from __future__ import annotations

import pytest
import torch

from abprop import starts
from abprop.data import Examples
from abprop.learning import InferSettings, Learning, ModelSettings, Settings, TrainSettings
from abprop.operators import Identity, Mask, Operator, Projection, white

N, SHAPE = 30, (2, 8, 8)


def dark(A: Operator | None = None) -> Examples:
    """Pictures of one channel about -.6 and one about .2."""
    noise = torch.randn(N, *SHAPE, generator=torch.Generator().manual_seed(0))
    x = torch.tensor([-0.6, 0.2])[:, None, None] + 0.1 * noise
    A = Identity(N, SHAPE) if A is None else A
    return Examples(A(x), A, torch.arange(N), SHAPE)


def holes() -> Mask:
    hidden = torch.rand(N, 1, 8, 8, generator=torch.Generator().manual_seed(1)) < 0.7
    return Mask(hidden.expand(-1, *SHAPE))


@pytest.mark.parametrize("A", [None, holes()])
def test_means_are_over_what_was_observed(A: Mask | None) -> None:
    seen = dark(A)
    told = starts.means(seen)
    assert told is not None
    shown = torch.ones(N, *SHAPE, dtype=torch.bool) if A is None else ~A.hidden
    for channel, mean in enumerate(told):
        values = seen.y[torch.arange(N)][:, channel][shown[:, channel]]
        torch.testing.assert_close(mean, values.mean())


def test_a_channel_that_nothing_was_seen_of_has_the_mean_0() -> None:
    told = starts.means(dark(Mask(torch.ones(N, *SHAPE, dtype=torch.bool))))
    assert told is not None and told.tolist() == [0, 0]


def test_behind_a_measurement_no_mean_is_known() -> None:
    assert starts.means(dark(Projection(white(20, SHAPE, seed=0), N))) is None


def learning(likelihood: str, seen: Examples) -> Learning:
    model = ModelSettings((3,), channels=8, sigma=0.3, likelihood=likelihood)
    infer = InferSettings(steps=2, chunk=16)
    return Learning(Settings(model, infer, TrainSettings(iterations=30, batch=15)), seen)


def test_what_is_learned_begins_about_the_means() -> None:
    x = learning("gaussian", dark()).model.network(torch.randn(50, 3))
    told = starts.means(dark())
    assert told is not None
    torch.testing.assert_close(x.mean((0, 2, 3)), told, rtol=0, atol=0.15)


def test_where_the_signal_is_not_the_mean_it_does_not() -> None:
    assert not learning("spectral", dark()).model.network.biases[-1].any()
