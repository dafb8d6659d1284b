"""Vector auto-regression: what is known of it exactly."""

from __future__ import annotations

import itertools

import pytest
import torch

from abprop.dynamics import ORDERS, fit, yule_walker
from abprop.noise import Noise


def normals(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def rotation(angle: float, radius: float) -> torch.Tensor:
    c, s = torch.tensor([angle]).double().cos(), torch.tensor([angle]).double().sin()
    return radius * torch.stack((torch.cat((c, -s)), torch.cat((s, c))))


def moved(A: torch.Tensor, count: int, noise: float = 1.0, seed: int = 0) -> torch.Tensor:
    """A path of z_t = sum A_i z_(t-i) + noise."""
    p, d, _ = A.shape
    z = list(normals(p, d, seed=seed))
    for eta in noise * normals(count + 200, d, seed=seed + 1):
        z.append(sum(A[i] @ z[-1 - i] for i in range(p)) + eta)
    return torch.stack(z[-count:])


def first(system, count: int, seed: int = 0, draw: int = 0) -> torch.Tensor:
    return torch.stack([*itertools.islice(system.path(Noise(seed, "path"), draw), count)])


def test_a_long_path_tells_the_system_it_came_from() -> None:
    A = torch.stack((rotation(0.3, 0.6), 0.3 * torch.eye(2).double()))
    z = moved(A, 40_000) + torch.tensor([5.0, -3.0])
    found = yule_walker(z, 2)
    torch.testing.assert_close(found.A, A, rtol=0, atol=0.02)
    torch.testing.assert_close(found.root @ found.root.T, torch.eye(2).double(), rtol=0, atol=0.03)
    torch.testing.assert_close(found.mean, z.mean(0))


@pytest.mark.parametrize("frames, d", [(10, 8), (20, 3), (70, 20), (70, 60), (12, 12)])
@pytest.mark.parametrize("order", ORDERS)
def test_it_is_stable_however_few_the_frames(frames: int, d: int, order: int) -> None:
    """A random walk has a root at 1, a growing one beyond."""
    walk = normals(frames, d).cumsum(0)
    for z in (walk, 1.1 ** torch.arange(frames).double()[:, None] * walk, normals(frames, d)):
        assert yule_walker(z, order).radius < 1


@pytest.mark.parametrize("order", ORDERS)
def test_the_equations_hold(order: int) -> None:
    """Autocovariances up to the order are those of the path: with the covariance of the start
    they come back after a step."""
    z = moved(torch.stack((rotation(0.5, 0.9),)), 60)
    found = yule_walker(z, order)
    p, d, _ = found.A.shape
    B = found.start @ found.start.T
    weights = found.A.movedim(0, 1).reshape(d, p * d)
    step = torch.cat((weights, torch.eye(p * d).double()[: (p - 1) * d]))
    noise = torch.zeros_like(B)
    noise[:d, :d] = found.root @ found.root.T
    torch.testing.assert_close(step @ B @ step.T + noise, B, rtol=1e-9, atol=1e-9)


def test_draws_have_the_paths_covariance_from_their_first_frame_on() -> None:
    z = moved(torch.stack((rotation(0.4, 0.95),)), 400) + 2.0
    found = yule_walker(z, 1)
    covariance = found.start @ found.start.T
    draws = torch.stack([first(found, 30, draw=i) for i in range(2000)]) - found.mean
    largest = covariance.diagonal().max()
    four_errors = 4 * largest.item() * (2 / 2000) ** 0.5
    for t in (0, 29):
        now = draws[:, t]
        torch.testing.assert_close(now.T @ now / 2000, covariance, rtol=0, atol=four_errors)
        assert now.mean(0).abs().max() < 4 * (largest / 2000).sqrt()
    lagged = draws[:, 1].T @ draws[:, 0] / 2000
    torch.testing.assert_close(lagged, found.A[0] @ covariance, rtol=0, atol=four_errors)


def test_a_longer_path_begins_like_a_shorter_one_and_seeds_and_draws_differ() -> None:
    found = fit(moved(torch.stack((rotation(0.4, 0.9),)), 70))
    short, long = first(found, 20), first(found, 200)
    assert torch.equal(long[:20], short)
    for other in (first(found, 20, seed=1), first(found, 20, draw=1)):
        assert not torch.isclose(other, short).any()


def test_an_order_that_helps_is_found() -> None:
    """A swing needs two frames: position alone does not tell which way it goes."""
    swing = torch.tensor([[[2 * 0.98 * 0.95]], [[-(0.98**2)]]]).double()
    assert fit(moved(swing, 400)).order >= 2
    assert fit(moved(torch.tensor([[[0.7]]]).double(), 2000)).order == 1


def test_frames_without_a_law_are_predicted_by_their_mean() -> None:
    """More weights than numbers: unshrunk they would predict noise."""
    z = normals(60, 20)
    found, unshrunk = fit(z), yule_walker(z, 1)
    other = normals(1000, 20, seed=5)
    assert found.log_likelihood(other, 1) > unshrunk.log_likelihood(other, 1) + 1
