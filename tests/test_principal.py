"""Principal components against scikit-learn, dense Gaussians, and subspaces known beforehand."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA
from torch import Tensor

from abprop import principal
from abprop.errors import UserError
from abprop.principal import PPCA, fit, principal_axes

TALL, WIDE = (60, 12), (9, 24)


def signals(n: int, D: int, d: int = 3, noise: float = 0.3, seed: int = 0) -> Tensor:
    """Draws about a plane of d dimensions, float64."""
    random = torch.Generator().manual_seed(seed)
    W = torch.randn(D, d, generator=random, dtype=torch.float64)
    z = torch.randn(n, d, generator=random, dtype=torch.float64)
    e = torch.randn(n, D, generator=random, dtype=torch.float64)
    return z @ W.T + torch.linspace(-1, 1, D, dtype=torch.float64) + noise * e


def holes(n: int, G: int, share: float = 0.4, seed: int = 1) -> Tensor:
    """What is observed."""
    return torch.rand(n, G, generator=torch.Generator().manual_seed(seed)) >= share


def model(D: int = 12, d: int = 3) -> PPCA:
    random = torch.Generator().manual_seed(2)
    W = torch.randn(D, d, generator=random, dtype=torch.float64)
    return PPCA(torch.linspace(-1, 1, D, dtype=torch.float64), W, 0.4)


def dense(m: PPCA) -> Tensor:
    return m.W @ m.W.T + m.sigma**2 * torch.eye(len(m.W), dtype=m.W.dtype)


# Complete data --------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 4, 11])
def test_the_fit_is_scikit_learns(d: int):
    x = signals(*TALL)
    pca = PCA(d, svd_solver="full").fit(x.numpy())
    found = fit(x, None, d)
    scale = 59 / 60  # scikit-learn divides by n - 1, maximum likelihood by n
    cov = torch.from_numpy(pca.get_covariance()) * scale
    torch.testing.assert_close(dense(found), cov, atol=1e-9, rtol=0)
    torch.testing.assert_close(found.mean, torch.from_numpy(pca.mean_))
    assert found.sigma == pytest.approx(math.sqrt(pca.noise_variance_ * scale))


@pytest.mark.parametrize("d", [1, 4, 7])
def test_with_few_examples_the_noise_is_the_mean_of_the_other_eigenvalues(d: int):
    x = signals(*WIDE)
    values, vectors = torch.linalg.eigh(torch.cov(x.T, correction=0))
    values[:-d] = values[:-d].mean()  # scikit-learn leaves out those that must be zero
    expected = vectors @ values.diag() @ vectors.T
    torch.testing.assert_close(dense(fit(x, None, d)), expected, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("shape", "d"), [(TALL, 1), (TALL, 4), (WIDE, 3)])
def test_the_likelihood_is_scikit_learns(shape: tuple[int, int], d: int):
    x, y = signals(*shape), signals(20, shape[1], seed=5)
    pca = PCA(d, svd_solver="full").fit(x.numpy())
    W = pca.components_.T * np.sqrt(np.maximum(pca.explained_variance_ - pca.noise_variance_, 0))
    same = PPCA(torch.from_numpy(pca.mean_), torch.from_numpy(W), math.sqrt(pca.noise_variance_))
    for data in (x, y):
        expected = torch.from_numpy(pca.score_samples(data.numpy()))
        torch.testing.assert_close(same.log_likelihood(data), expected)
        assert same.log_likelihood(data).mean().item() == pytest.approx(pca.score(data.numpy()))


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_no_other_model_is_as_likely(shape: tuple[int, int]):
    x, d = signals(*shape), 3
    found = fit(x, None, d)
    best = found.log_likelihood(x).sum()
    random = torch.Generator().manual_seed(0)
    for _ in range(20):
        W = found.W + 0.05 * torch.randn(found.W.shape, generator=random, dtype=torch.float64)
        assert PPCA(found.mean, W, found.sigma).log_likelihood(x).sum() < best
    for factor in (0.9, 1.1):
        assert PPCA(found.mean, found.W, factor * found.sigma).log_likelihood(x).sum() < best


@pytest.mark.parametrize("shape", [TALL, WIDE])
def test_axes_are_those_of_the_largest_variances(shape: tuple[int, int]):
    x = signals(*shape)
    x = x - x.mean(0)
    axes = principal_axes(x, 3)
    expected = torch.linalg.svd(x, full_matrices=False).Vh[:3].T
    torch.testing.assert_close(axes.T @ axes, torch.eye(3, dtype=torch.float64))
    torch.testing.assert_close((axes * expected).sum(0).abs(), torch.ones(3, dtype=torch.float64))


def test_reconstructions_of_complete_signals_shrink_towards_the_mean():
    x = signals(*TALL)
    found = fit(x, None, 3)
    z, _ = found.posterior(x)
    A = found.W.T @ found.W + found.sigma**2 * torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(z, torch.linalg.solve(A, found.W.T @ (x - found.mean).T).T)
    torch.testing.assert_close(found.reconstruct(x), z @ found.W.T + found.mean)


# Against dense matrices -----------------------------------------------------------------------


def conditional(m: PPCA, x: Tensor, o: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and deviation of each entry, given the observed ones of x (D,), and their density."""
    C = dense(m)
    part = C[o][:, o]
    # A further reading of an entry has fresh noise: its covariance with the first lacks it.
    gain = torch.linalg.solve(part, (m.W @ m.W.T)[o]).T
    mean = m.mean + gain @ (x - m.mean)[o]
    variance = C.diagonal() - (gain * (m.W @ m.W.T)[:, o]).sum(1)
    law = torch.distributions.MultivariateNormal(m.mean[o], part)
    return mean, variance.sqrt(), law.log_prob(x[o])


@pytest.mark.parametrize("channels", [1, 3])
def test_incomplete_signals_have_the_dense_conditional(channels: int):
    m, x = model(), signals(15, 12, seed=7)
    shown = holes(15, 12 // channels)
    whole = shown.repeat(1, channels)
    spoilt = torch.where(whole, x, torch.nan)
    mean, sd = m.predict(spoilt, shown)
    density = m.log_likelihood(spoilt, shown)
    z, covariance = m.posterior(spoilt, shown)
    torch.testing.assert_close(m.reconstruct(spoilt, shown), mean)
    for n in range(15):
        o = whole[n]
        expected = conditional(m, x[n], o)
        for found, right in zip((mean[n], sd[n], density[n]), expected, strict=True):
            torch.testing.assert_close(found, right)
        A = torch.eye(3, dtype=torch.float64) + m.W[o].T @ m.W[o] / m.sigma**2
        torch.testing.assert_close(covariance[n], torch.linalg.inv(A))
        told = m.W[o].T @ (x[n] - m.mean)[o] / m.sigma**2
        torch.testing.assert_close(z[n], torch.linalg.solve(A, told))


def test_nothing_hidden_is_a_mask_that_shows_everything():
    m, x = model(), signals(15, 12)
    everything = torch.ones(15, 4, dtype=torch.bool)
    for one, two in [
        (m.posterior(x), m.posterior(x, everything)),
        (m.predict(x), m.predict(x, everything)),
        ((m.log_likelihood(x), m.reconstruct(x)),
         (m.log_likelihood(x, everything), m.reconstruct(x, everything))),
    ]:  # fmt: skip
        torch.testing.assert_close(one, two)


def test_a_signal_that_shows_nothing_has_the_prior():
    m, x = model(), torch.full((2, 12), torch.nan, dtype=torch.float64)
    nothing = torch.zeros(2, 12, dtype=torch.bool)
    z, covariance = m.posterior(x, nothing)
    mean, sd = m.predict(x, nothing)
    assert not z.any() and m.log_likelihood(x, nothing).tolist() == [0, 0]
    torch.testing.assert_close(covariance, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
    torch.testing.assert_close(mean, m.mean.expand(2, -1))
    torch.testing.assert_close(sd, dense(m).diagonal().sqrt().expand(2, -1))


def test_blocks_do_not_show(monkeypatch: pytest.MonkeyPatch):
    x, shown = signals(*TALL), holes(60, 4)
    whole = fit(x, shown, 3, iterations=4)
    answers = (*whole.predict(x, shown), whole.log_likelihood(x, shown))
    monkeypatch.setattr(principal, "EXAMPLES", 7)
    monkeypatch.setattr(principal, "MATRICES", 40)
    parts = fit(x, shown, 3, iterations=4)
    torch.testing.assert_close(parts.W, whole.W)
    torch.testing.assert_close((*parts.predict(x, shown), parts.log_likelihood(x, shown)), answers)


# Incomplete data ------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("hidden", [0.1, 0.4, 0.7])
def test_every_iteration_increases_the_fit(channels: int, hidden: float):
    """The bound of variational EM, less the divergence of q(v) from its prior, never falls.

    What is told here is its part that `log_likelihood` gives; sigma falls towards the truth.
    """
    x, shown = signals(80, 12, noise=0.3), holes(80, 12 // channels, hidden)
    fits = [fit(x, shown, 3, iterations=i) for i in range(1, 9)]
    likely = [m.log_likelihood(x, shown).sum().item() for m in fits]
    assert all(b > a - 1e-6 * abs(a) for a, b in pairwise(likely)), likely


@pytest.mark.parametrize("channels", [1, 3])
def test_a_planted_subspace_is_found_with_much_hidden(channels: int):
    D, d, noise = 30, 3, 0.1
    x, shown = signals(300, D, d, noise), holes(300, D // channels, 0.4)
    found = fit(torch.where(shown.repeat(1, channels), x, torch.nan), shown, d)
    planted = torch.linalg.qr(torch.linalg.svd(x - x.mean(0)).Vh[:d].T).Q
    learned = torch.linalg.qr(found.W).Q
    cosines = torch.linalg.svdvals(planted.T @ learned)
    # 180 examples show each entry: an error of about noise / sqrt(180) in loadings near 1.
    assert cosines.min() > 0.999
    assert found.sigma == pytest.approx(noise, rel=0.1)
    mean, sd = found.predict(torch.where(shown.repeat(1, channels), x, torch.nan), shown)
    gone = ~shown.repeat(1, channels)
    off = ((mean - x) / sd)[gone]
    # Thousands of entries: the share inside is within .02 of .9 and the square within a tenth.
    assert off.square().mean().item() == pytest.approx(1, abs=0.1)
    assert (off.abs() < 1.645).double().mean().item() == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("channels", [1, 2])
def test_doubt_about_the_loadings_is_counted_in(channels: int):
    """Against draws of loadings, means and latents from the laws that the fit says they have."""
    x, shown = signals(25, 6, 2), holes(25, 6 // channels)
    found, n, draws = fit(x, shown, 2), 4, 100_000
    assert found.doubt is not None
    o = shown[n].repeat(channels)
    assert 0 < o.sum() < 6
    roots = torch.linalg.cholesky(principal._unpacked(found.doubt)).repeat(channels, 1, 1)
    z, covariance = (part[n] for part in found.posterior(x, shown))
    law = torch.distributions.MultivariateNormal(z, covariance)
    torch.manual_seed(0)
    u = law.sample((draws,))
    v = torch.cat((found.W, found.mean[:, None]), 1)
    v = v + torch.einsum("jkl,njl->njk", roots, torch.randn(draws, 6, 3, dtype=torch.float64))
    drawn = (v[..., :2] * u[:, None]).sum(-1) + v[..., 2]
    mean, sd = (part[n] for part in found.predict(x, shown))
    # The error of a mean of 100,000 is .3 % of the deviation, that of a deviation about .3 %.
    assert ((drawn.mean(0) - mean).abs() < 0.02 * sd).all()
    spread = (drawn.var(0) + found.sigma**2).sqrt()
    torch.testing.assert_close(spread, sd, rtol=0.02, atol=0)
    given = torch.distributions.Normal(drawn[:, o], found.sigma).log_prob(x[n, o]).sum(1)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(u).sum(1)
    bound = given + prior - law.log_prob(u)
    error = bound.std().item() / math.sqrt(draws)
    told = found.log_likelihood(x, shown)[n].item()
    assert told == pytest.approx(bound.mean().item(), abs=5 * error)


def test_it_is_not_learned_by_heart_what_few_examples_show():
    """What the doubt about W is for: d = 10 of 40 examples with 80 % hidden."""
    x, shown = signals(40, 30, 3, 0.3), holes(40, 30, 0.8)
    found = fit(x, shown, 10)
    gone = ~shown
    mean, sd = found.predict(x, shown)
    answer = (mean - x)[gone].square().mean()
    assert answer < (x - x.mean(0))[gone].square().mean(), "better than the mean of everything"
    assert ((mean - x) / sd)[gone].square().mean() < 2


def test_what_is_not_observed_has_no_influence():
    x, shown = signals(*TALL).float(), holes(60, 4)
    gone = ~shown.repeat(1, 3)
    one, two = (fit(torch.where(gone, fill, x), shown, 3) for fill in (torch.nan, 1e9))
    assert torch.equal(one.W, two.W) and torch.equal(one.mean, two.mean) and one.sigma == two.sigma


def test_an_entry_that_no_one_observes():
    x, shown = signals(*TALL), holes(60, 12)
    shown[:, 5] = False
    found = fit(x, shown, 3)
    assert not found.W[5].any() and found.mean[5] == 0
    assert all(torch.isfinite(part).all() for part in found.predict(x, shown))


def test_noiseless_data_do_not_break_it():
    x = signals(40, 12, 3, 0.0).float()
    for shown in (None, holes(40, 12, 0.2)):
        found = fit(x, shown, 3)
        assert 0 < found.sigma < 0.02
        mean, sd = found.predict(x, shown)
        assert torch.isfinite(mean).all() and torch.isfinite(sd).all() and (sd > 0).all()
    constant = fit(torch.ones(5, 4), holes(5, 4, 0.2), 2)
    # Means have a prior N(0, 1), which pulls them by sigma^2 / 4.
    assert (constant.reconstruct(torch.ones(1, 4)) - 1).abs().max() < 1e-4


@pytest.mark.parametrize("d", [0, -1, 13])
def test_components_out_of_range(d: int):
    with pytest.raises(UserError, match=f"d = {d}, .* allow 1 to 12"):
        fit(signals(*TALL), None, d)
    with pytest.raises(UserError, match="allow 1 to 9"):
        fit(signals(*WIDE), holes(*WIDE), 10)


def test_nothing_observed():
    with pytest.raises(UserError, match="nothing was observed"):
        fit(signals(*TALL), torch.zeros(60, 12, dtype=torch.bool), 3)
