"""Correlated residuals: against the exact Gaussian conditional, in one, two and three axes."""

import math

import pytest
import torch
from torch import Tensor

from abprop import residuals
from abprop.residuals import Covariance, White, Whitened

SHAPES = [(1, 60), (1, 12, 10), (2, 9, 8), (1, 6, 5, 4)]
LENGTH = 3.0


def exact(shape: tuple[int, ...]) -> Tensor:
    """The covariance of all entries: exponential in distance, channels half correlated."""
    places = torch.cartesian_prod(*(torch.arange(float(n)) for n in shape)).reshape(-1, len(shape))
    distance = torch.cdist(places[:, 1:].double(), places[:, 1:].double())
    same = (places[:, :1] == places[:, 0]).double()
    return torch.exp(-distance / LENGTH) * (0.5 + 0.5 * same)


def draws(shape: tuple[int, ...], count: int) -> Tensor:
    root = torch.linalg.cholesky(exact(shape) + 1e-9 * torch.eye(math.prod(shape)))
    normal = torch.randn(count, len(root), generator=torch.Generator().manual_seed(1)).double()
    return (normal @ root.T).reshape(count, *shape).float()


def table(shape: tuple[int, ...]) -> Covariance:
    """The exact covariance as a table."""
    size = [2 * n for n in shape[1:]]
    lags = torch.meshgrid(*(torch.fft.fftfreq(n, 1 / n) for n in size), indexing="ij")
    decay = torch.exp(-torch.stack(lags).square().sum(0).sqrt() / LENGTH)
    channels = 0.5 + 0.5 * torch.eye(shape[0])
    whole = channels.reshape(*channels.shape, *(1 for _ in size)) * decay
    return Covariance(whole, torch.eye(shape[0]))


def conditional(e: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Exact mean and covariance of the hidden entries of one signal given the others."""
    K, o = exact(tuple(e.shape)), ~hidden.flatten()
    gain = torch.linalg.solve(K[o][:, o], K[o][:, ~o]).T
    return gain @ e.flatten()[o].double(), K[~o][:, ~o] - gain @ K[o][:, ~o]


@pytest.mark.parametrize("shape", SHAPES)
def test_with_all_neighbours_it_is_the_exact_conditional(
    shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(residuals.neighbours, "NEAR", 10**6)
    monkeypatch.setattr(residuals.neighbours, "NUGGET", 1e-6)
    hidden = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) < 0.4
    e = draws(shape, 1)
    expected, left = conditional(e[0], hidden[0])
    law, o = table(shape).on(hidden), ~hidden[0].flatten()
    mean = law.fill(e[:, None], torch.zeros_like(e)[:, None])[0, 0].flatten()[~o]
    torch.testing.assert_close(mean.double(), expected, atol=2e-3, rtol=0)
    # A unit normal at each hidden entry moves the draw along the columns of a root of `left`.
    moves = torch.eye(len(o))[~o].reshape(-1, *shape)
    root = law.fill(torch.zeros(1, *moves.shape), moves[None])[0].flatten(1)[:, ~o].double()
    drawn = root.T @ root
    torch.testing.assert_close(drawn.diagonal(), left.diagonal(), atol=2e-3, rtol=0.05)
    assert (drawn - left).abs().max() < 0.1  # those of one wave are taken to be independent


@pytest.mark.parametrize("shape", SHAPES)
def test_near_neighbours_are_nearly_enough(shape: tuple[int, ...]) -> None:
    hidden = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) < 0.4
    e = draws(shape, 1)
    expected, left = conditional(e[0], hidden[0])
    law, o = table(shape).on(hidden), ~hidden[0].flatten()
    mean = law.fill(e[:, None], torch.zeros_like(e)[:, None])[0, 0].flatten()[~o]
    off = (mean - expected) / left.diagonal().sqrt()
    assert off.square().mean() < 0.03  # what leaving the far ones out adds to the variance
    moves = torch.eye(len(o))[~o].reshape(-1, *shape)
    root = law.fill(torch.zeros(1, *moves.shape), moves[None])[0].flatten(1)[:, ~o].double()
    spread = root.square().sum(0) / left.diagonal()
    assert spread.mean().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("shape", SHAPES)
def test_observed_entries_stay_and_hidden_ones_say_nothing(shape: tuple[int, ...]) -> None:
    hidden = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)) < 0.4
    e = draws(shape, 2)[:, None]
    law = table(shape).on(hidden)
    zeros = torch.zeros_like(e)
    filled = law.fill(e, zeros)
    torch.testing.assert_close(
        torch.where(hidden[:, None], 0, filled), torch.where(hidden[:, None], 0, e)
    )
    other = law.fill(torch.where(hidden[:, None], torch.randn_like(e), e), zeros)
    assert torch.equal(filled, other)


@pytest.mark.parametrize("shape", SHAPES)
def test_whitened_residuals_have_the_exact_density(shape: tuple[int, ...]) -> None:
    hidden = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0)) < 0.3
    o = ~hidden[0].flatten()
    e, K = draws(shape, 200), exact(shape)[o][:, o]
    law = table(shape).on(hidden.expand(200, *shape))
    white = law.A(e)
    squared = white.square().sum(1).double()
    flat = e.flatten(1)[:, o].double()
    expected = (flat * torch.linalg.solve(K, flat.T).T).sum(1)
    assert (squared / expected).mean().item() == pytest.approx(1, abs=0.08)
    assert torch.corrcoef(torch.stack((squared, expected)))[0, 1] > 0.9
    assert law.A.count.tolist() == [o.sum()] * 200
    assert not white[:, ~o].any()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("copies", [1, 4])
def test_whitening_is_linear_with_its_adjoint(shape: tuple[int, ...], copies: int) -> None:
    hidden = torch.rand(3, *shape, generator=torch.Generator().manual_seed(0)) < 0.4
    A = table(shape).on(hidden).A[torch.arange(3).repeat_interleave(copies)]
    x, v = draws(shape, 3 * copies), torch.randn(3 * copies, math.prod(shape))
    y, adjoint = A.vjp(x)
    torch.testing.assert_close((y * v).sum(), (x * adjoint(v)).sum(), rtol=1e-4, atol=1e-3)
    alone = torch.cat([A[torch.tensor([i])](x[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(y, alone)


def test_whitening_is_differentiable() -> None:
    A = table((1, 6, 5)).on(torch.zeros(2, 1, 6, 5, dtype=torch.bool)).A
    x, v = draws((1, 6, 5), 2).requires_grad_(), torch.randn(2, 30)
    (A(x) * v).sum().backward()
    torch.testing.assert_close(x.grad, A.vjp(x.detach())[1](v))


@pytest.mark.parametrize("shape", [(1, 40), (2, 16, 14)])
def test_fit_finds_the_covariance_through_holes(shape: tuple[int, ...]) -> None:
    e = draws(shape, 1500)
    shown = torch.rand(e.shape, generator=torch.Generator().manual_seed(3)) < 0.6
    found = residuals.fit(torch.where(shown, e, torch.nan), shown, turned=False)
    true = table(shape)
    near = (..., *(slice(0, 4) for _ in shape[1:]))
    assert (found.table[near] - true.table[near]).abs().max() < 0.15
    axes = tuple(range(2, found.table.ndim))
    power = torch.fft.fftn(found.table, dim=axes).movedim((0, 1), (-2, -1))
    assert torch.linalg.eigvalsh((power + power.mH) / 2).min() > -1e-3


@pytest.mark.parametrize("shape", [(1, 200), (1, 32, 32), (2, 24, 24), (1, 10, 12, 10)])
def test_few_pairs_leave_no_floor(shape: tuple[int, ...]) -> None:
    # A mean over 5 entries along each axis: of its finest frequencies most that is seen is noise.
    random = torch.Generator().manual_seed(2)
    flat = torch.randn(50, *shape, generator=random).flatten(0, 1)[:, None]
    pool = (torch.nn.AvgPool1d, torch.nn.AvgPool2d, torch.nn.AvgPool3d)[len(shape) - 2](5, 1, 2)
    e = pool(flat).reshape(50, *shape)
    hidden = torch.rand(50, 1, *shape[1:], generator=random) < 0.8
    found = residuals.fit(torch.where(hidden, torch.nan, e), ~hidden)
    seen = e.square()[~hidden.expand_as(e)].mean()
    assert found.variance.mean() / seen == pytest.approx(1, abs=0.06)
    law = found.on(hidden.expand_as(e))
    off = law.fill(e[:, None], torch.zeros_like(e)[:, None])[:, 0] - e
    drawn = law.fill(e[:, None], torch.randn(e[:, None].shape, generator=random))[:, 0] - e
    where = hidden.expand_as(e)
    expected = (drawn - off).square()[where].mean()
    assert off.square()[where].mean() / expected == pytest.approx(1, abs=0.25)


def test_turned_channels_are_uncorrelated() -> None:
    e = draws((2, 12, 11), 600)
    e = torch.stack((e[:, 0], 0.5 * e[:, 0] + e[:, 1]), 1)
    found = residuals.fit(e, torch.ones(600, 1, 12, 11, dtype=torch.bool))
    at_zero = found.table[:, :, 0, 0]
    assert at_zero[0, 1].abs() < 1e-3 * at_zero.diagonal().max()
    torch.testing.assert_close(found.turn @ found.turn.T, torch.eye(2), atol=1e-5, rtol=0)


def test_white_residuals_are_noise_alone() -> None:
    hidden = torch.rand(2, 3, 4, 4) < 0.5
    law = White(0.2).on(hidden)
    normal = torch.randn(2, 5, 3, 4, 4)
    torch.testing.assert_close(law.fill(torch.randn(2, 5, 3, 4, 4), normal), 0.2 * normal)
    assert law.sigma == 0.2
    assert law.A.count.tolist() == (~hidden).flatten(1).sum(1).tolist()


def test_everything_hidden_is_drawn_from_the_law_itself() -> None:
    shape = (1, 10, 10)
    law = table(shape).on(torch.ones(1, *shape, dtype=torch.bool))
    normal = torch.randn(1, 3000, *shape, generator=torch.Generator().manual_seed(0))
    drawn = law.fill(torch.zeros_like(normal), normal)[0].flatten(1)
    assert drawn.var(0).mean().item() == pytest.approx(1, abs=0.1)
    assert isinstance(law.A, Whitened)
    assert law.A.count.item() == 0
