"""The prior that knows neighbours: against enumeration, and by what its draws keep."""

from __future__ import annotations

import itertools

import pytest
import torch

from abprop.errors import UserError
from abprop.noise import Noise
from abprop.priors import Markov
from abprop.priors.blocks import (
    FORBIDDEN,
    INNER,
    LEVELS,
    RIM,
    SITES,
    TEMPERATURE,
    Library,
    _choose,
)

GRIDS = [(7,), (5, 6), (4, 5, 4)]


def maps(grid: tuple[int, ...], count: int = 12, seed: int = 0) -> torch.Tensor:
    return Noise(seed, "maps").at(torch.arange(count)).normal((3, *grid)).float()


def remembering(grid: tuple[int, ...], count: int = 12) -> Markov:
    prior, z = Markov((3, *grid)), maps(grid, count)
    prior.update(z, 1.0)
    prior.remember(z, None)
    return prior


@pytest.mark.parametrize("grid", GRIDS)
def test_energies_are_mean_squared_differences_of_shared_cells(grid: tuple[int, ...]) -> None:
    white = maps(grid, 4).round()  # whole numbers: nothing is rounded
    library = Library(white, None)
    side, d = library.side, len(grid)
    weights = torch.full(grid, float(INNER))
    for axis, end in itertools.product(range(d), (0, -1)):
        weights.select(axis, end).fill_(RIM)

    def cells(block: int) -> dict[tuple[int, ...], tuple[torch.Tensor, float]]:
        row, within = library.which[block], library.within[block].tolist()
        found = {}
        for at in itertools.product(range(side), repeat=d):
            place = tuple(w + a for w, a in zip(within, at, strict=True))
            found[at] = white[(row, slice(None), *place)], weights[place].item()
        return found

    one, other = 1, len(library.which) - 1
    a, b = cells(one), cells(other)
    for step in library.sides:
        table, scale = library.pairs[step]
        total = 0.0
        for at, (value, w) in a.items():
            there = tuple(i - s * library.stride for i, s in zip(at, step, strict=True))
            if there in b:
                total += w * b[there][1] * (value - b[there][0]).square().sum().item()
        expected = LEVELS**2 * total / scale
        assert table[other, one].item() / scale == pytest.approx(expected, rel=1e-6)


def test_sites_are_chosen_with_the_probability_of_their_energy() -> None:
    energy = torch.tensor([[0.0, 0.1, 0.3, 2.0]], dtype=torch.float64)
    u = Noise(0, "u").uniform(40_000)
    found = _choose(energy.expand(len(u), -1), u).bincount(minlength=4) / len(u)
    p = torch.softmax(-energy[0] / TEMPERATURE, 0)
    torch.testing.assert_close(found.double(), p, atol=0.01, rtol=0)


@pytest.mark.parametrize("grid", GRIDS[:2])
def test_every_window_is_part_of_one_endless_map(grid: tuple[int, ...]) -> None:
    prior, noise = remembering(grid), Noise(1, "draws")
    stride, d = prior.period, len(grid)
    large = prior.draw(noise, 2, (2 * SITES * stride,) * d)
    start = (SITES * stride - 3,) * d  # across the border of tiles
    window = prior.draw(noise, 2, (9,) * d, start)
    where = (slice(start[0], start[0] + 9),) * d
    assert torch.equal(window, large[(slice(None), slice(None), *where)])
    again = remembering(grid).draw(noise, 1, (9,) * d, start)  # nothing remembered from before
    assert torch.equal(again[0], window[0])
    assert not torch.equal(large[0], large[1])
    assert not torch.equal(prior.draw(Noise(2, "draws"), 1, large.shape[2:])[0], large[0])


@pytest.mark.parametrize("grid", GRIDS)
def test_a_cell_is_its_blocks_and_the_next_ones(grid: tuple[int, ...]) -> None:
    d, r = len(grid), 2
    library = Library(maps(grid), None, (2, 3 * r**d))
    sites = torch.arange(5**d).reshape((5,) * d) % len(library.which)
    drawn = library._compose(sites)
    assert drawn.lengths == (3 * library.stride,) * d
    torch.testing.assert_close(drawn.weight.sum(0), torch.ones(2 + 3 * r**d, *drawn.lengths))
    for at, row in zip(zip(*drawn.at, strict=True), drawn.row, strict=True):
        assert ((row >= 0) & (row < len(maps(grid)))).all()
        assert all(((v >= 0) & (v < m)).all() for v, m in zip(at, grid, strict=True))
    # Along one axis: the coarse factors next to a seam are a quarter the other block's, of the
    # fine ones only those of the half cell at the seam.
    own = drawn.weight[0]
    first = (0,) * d
    assert own[(0, *first)] == 0.75**d
    fine = own[2:].reshape(3, *(r,) * d, *drawn.lengths)
    assert (fine[(slice(None), *(0,) * d, *first)] == 0.75**d).all()
    assert (fine[(slice(None), *(1,) * d, *first)] == 1).all()
    cut = drawn.cut()
    assert torch.equal(cut.row[0], drawn.row[0]) and (cut.weight == 1).all()


def test_every_cell_of_blocks_that_do_not_fade_is_one_that_was_inferred() -> None:
    prior, z = remembering((5, 6)), maps((5, 6))
    drawn = prior.draw_cut(Noise(0, "draws"), (20, 20), (0, 0)).flatten(1).T
    known = {tuple(cell) for cell in z.movedim(1, -1).reshape(-1, 3).tolist()}
    assert all(tuple(cell) in known for cell in drawn.tolist())


def test_blocks_that_agree_leave_no_trace() -> None:
    """Pieces of one plane, each beside the one that goes on where it ends."""
    field = torch.cartesian_prod(torch.arange(40.0), torch.arange(40.0)).reshape(40, 40, 2)
    places = torch.cartesian_prod(torch.arange(36), torch.arange(36))
    z = torch.stack([field[y : y + 4, x : x + 4].movedim(-1, 0) for y, x in places.tolist()])
    library = Library(z, places)
    assert library.side == 4 and len(library.which) == len(z)
    start = 2 * torch.arange(8)
    sites = start[:, None] * 36 + start
    whole = library._compose(sites).of(z)
    torch.testing.assert_close(whole, field[3:15, 3:15].movedim(-1, 0))


def stripes() -> tuple[torch.Tensor, torch.Tensor]:
    """Maps of a pattern that neighbours tell exactly: a wave with a period of 8 cells."""
    places = torch.cartesian_prod(torch.arange(16.0), torch.arange(16.0))
    at = torch.arange(5.0)
    phase = (places[:, :1, None] + at[:, None]) + 2 * (places[:, 1:, None] + at)
    return torch.stack((torch.cos(phase / 8 * 6.2832), torch.sin(phase / 8 * 6.2832)), 1), places


def test_draws_go_on_as_their_neighbours_say() -> None:
    z, _ = stripes()
    prior = Markov((2, 5, 5))
    prior.update(z, 1.0)
    prior.remember(z, None)
    drawn = prior.draw(Noise(0, "draws"), 1, (40, 40))[0]
    turn = 6.2832 / 8
    for axis, step in ((1, turn), (2, 2 * turn)):
        here, there = drawn.narrow(axis, 0, 39), drawn.narrow(axis, 1, 39)
        expected = torch.stack((here[0] * torch.cos(torch.tensor(step))
                                - here[1] * torch.sin(torch.tensor(step)),
                                here[1] * torch.cos(torch.tensor(step))
                                + here[0] * torch.sin(torch.tensor(step))))  # fmt: skip
        assert (there - expected).square().mean() < 0.2, "independent cells would have 2"
    independent = maps((40, 40), 1)[0, :2]
    assert (independent[:, :, 1:] - independent[:, :, :-1]).square().mean() > 1


def test_a_torus_has_no_seam() -> None:
    z, _ = stripes()
    prior = Markov((2, 5, 5))
    prior.update(z, 1.0)
    prior.remember(z, None)
    n = 4 * prior.period
    torus = prior.draw_torus(Noise(0, "tile"), 1, (n, n))[0]
    across = torch.cat((torus, torus), 2)
    jumps = (across[:, :, 1:] - across[:, :, :-1]).square().sum(0).mean(0)
    assert jumps[n - 1] < 1.5 * jumps.mean() + 0.1
    with pytest.raises(UserError, match=f"multiples of {prior.period}"):
        prior.draw_torus(Noise(0, "tile"), 1, (n + 1, n))


def test_no_place_is_shown_twice_side_by_side() -> None:
    z, places = stripes()
    library = Library(z, places)
    sites = library._settle(
        torch.full((8, 8), -1), torch.ones(8, 8, dtype=torch.bool),
        Noise(0, "sites").at(torch.arange(64)),
    )  # fmt: skip
    shown = library.places[sites]
    for dy, dx in itertools.product(range(3), range(3)):
        if dy or dx:
            apart = (shown[dy:, dx:] - shown[: 8 - dy, : 8 - dx]).abs().amax(-1)
            assert (apart >= library.stride / 2).all()
    assert FORBIDDEN > 10 * TEMPERATURE


@pytest.mark.parametrize("shape", [(8,), (3, 3, 5)])
def test_what_has_no_neighbours_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"model\.prior=markov: needs a latent map of at least 4"):
        Markov(shape)


def test_draws_without_maps_are_a_bug() -> None:
    with pytest.raises(RuntimeError, match="call remember first"):
        Markov((3, 5, 5)).draw(Noise(0), 1)
