from __future__ import annotations

import torch

from abprop.measures.patches import Comparison, Coordinates, cut, nearest, places


def test_patches_and_their_places_come_in_one_order() -> None:
    picture = torch.arange(2 * 40 * 50, dtype=torch.float32).reshape(2, 40, 50)
    patches = cut(picture, 8, 3)
    assert patches.shape == (11 * 15, 2 * 64)
    assert torch.equal(patches[16].reshape(2, 8, 8), picture[:, 3:11, 3:11])
    comparison, at = Comparison(torch.rand(3, 80, 96)), places(80, 96, 2)
    assert len(comparison.wide(torch.rand(3, 80, 96), 2)) == len(at) == 13 * 17
    assert at[18].tolist() == [4, 4]


def test_coordinates_make_large_directions_equal_and_leave_small_ones_small() -> None:
    spread = torch.tensor([10.0, 5.0, 3.0, 0.001])
    points = torch.randn(20000, 4) * spread
    seen = Coordinates.of(points, 4, white=True)(points).std(0).sort().values
    assert (seen[1:] > 0.8).all() and (seen[1:] < 1.05).all() and seen[0] < 0.01
    largest = Coordinates.of(points, 2, white=False)(points).std(0)
    torch.testing.assert_close(largest, spread[:2].flip(0), rtol=0.05, atol=0)


def test_nearest_looks_among_those_allowed() -> None:
    a, b = torch.tensor([[0.0], [5.0]]), torch.tensor([[1.0], [4.0], [9.0]])
    assert nearest(a, b).tolist() == [1.0, 1.0]
    many = torch.randn(700, 5, generator=torch.Generator().manual_seed(0))
    exact = torch.cdist(many, many[:300] + 1).min(1).values
    torch.testing.assert_close(nearest(many, many[:300] + 1), exact, rtol=1e-4, atol=1e-4)
    allowed = torch.tensor([[False, True, True], [True, False, False]])
    assert nearest(a, b, allowed).tolist() == [4.0, 4.0]


def test_the_distance_between_shifted_normals_is_the_shift() -> None:
    comparison = Comparison(torch.rand(1, 64, 64))
    a = [torch.randn(4000, comparison.directions.shape[0]) for _ in range(3)]
    shift = torch.zeros(comparison.directions.shape[0])
    shift[0] = 2.0
    found = comparison.distances(a, [p + shift for p in a])
    expected = 2 * comparison.directions[0].square().mean().sqrt()
    torch.testing.assert_close(found.wasserstein, expected, rtol=0.02, atol=0)
