"""A set of pictures beside real ones: nothing to tell apart, and each way of being wrong."""

from __future__ import annotations

import pytest
import torch
from scipy.ndimage import gaussian_filter
from tiny import blobs
from torch import Tensor

from abprop.errors import UserError
from abprop.measures import Pictures
from abprop.measures.pictures import frechet

SIDE, COUNT = 16, 300


def pictures(count: int, seed: int) -> Tensor:
    """Spots of one colour or the other, in two channels, with a little grain."""
    spots = torch.from_numpy(blobs(count, SIDE, seed)).float() / 127.5 - 1
    grain = torch.randn(count, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    odd = torch.arange(count)[:, None, None] % 2 == 1
    return torch.stack((spots + 0.05 * grain, torch.where(odd, spots, -spots)), 1)


@pytest.fixture(scope="module")
def real() -> Pictures:
    return Pictures(pictures(COUNT, 0), pictures(100, 1))


def blurred(x: Tensor, width: float) -> Tensor:
    return torch.from_numpy(gaussian_filter(x.numpy(), (0, 0, width, width)))


def parts_shuffled(x: Tensor) -> Tensor:
    """The left half of each beside the right half of the next."""
    half = SIDE // 2
    return torch.cat((x[..., :half], x.roll(1, 0)[..., half:]), 3)


def noisy(x: Tensor, by: float) -> Tensor:
    return x + by * torch.randn(x.shape, generator=torch.Generator().manual_seed(2))


def between(x: Tensor) -> Tensor:
    return (x + x.roll(1, 0)) / 2


WORSE = {
    "blurred": lambda x, much: blurred(x, 1.0 if much else 0.6),
    "noisy": lambda x, much: noisy(x, 0.3 if much else 0.1),
    "faded": lambda x, much: (0.6 if much else 0.8) * x,
    "dropped": lambda x, much: x[::2].repeat(2, 1, 1, 1) if much else _mostly(x),
    "few": lambda x, much: x[: 8 if much else 40].repeat(COUNT, 1, 1, 1)[:COUNT],
    "shuffled": lambda x, much: parts_shuffled(x) if much else _half(x, parts_shuffled(x)),
    "between": lambda x, much: between(x) if much else _half(x, between(x)),
}


def _half(x: Tensor, other: Tensor) -> Tensor:
    """Every third of another set."""
    which = torch.arange(len(x)) % 3 == 0
    return torch.where(which[:, None, None, None], other, x)


def _mostly(x: Tensor) -> Tensor:
    """Most of one kind."""
    return torch.cat((x, x[::2]))[-len(x) :]


def test_known_pictures_have_1_and_are_copies(real: Pictures) -> None:
    told = real.ratios(pictures(COUNT, 0))
    assert told.pop("copy_ratio") < 0.01
    assert set(told.values()) == {1.0}


def test_others_of_the_kind_are_near_1_and_new(real: Pictures) -> None:
    told = real.ratios(pictures(COUNT, 3))
    assert told["sample_ratio"] < 1.25 and 0.8 < told["copy_ratio"] < 1.25


@pytest.mark.parametrize("way", WORSE)
def test_the_ratio_grows_with_what_is_wrong(real: Pictures, way: str) -> None:
    x = pictures(COUNT, 3)
    fine, some, much = (
        real.ratios(made)["sample_ratio"] for made in (x, WORSE[way](x, False), WORSE[way](x, True))
    )
    assert fine < some < much and much > 1.4


def test_order_and_units_do_not_matter(real: Pictures) -> None:
    x = blurred(pictures(COUNT, 3), 0.6)
    told, turned = real.ratios(x), real.ratios(x.flip(0))
    half = Pictures(pictures(COUNT, 0) / 2, pictures(100, 1) / 2).ratios(x / 2)
    for name, value in told.items():
        assert turned[name] == pytest.approx(value, rel=1e-3)
        assert half[name] == pytest.approx(value, rel=1e-2)


def test_frechet_of_normals_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(200_000, 3, generator=generator)
    b = 2 * torch.randn(200_000, 3, generator=generator) + torch.tensor([1.0, 0, 0])
    assert frechet(a, a).item() == pytest.approx(0, abs=1e-9)
    assert frechet(a, b).item() == pytest.approx(1 + 3, rel=0.02)  # |m|^2 + 3 (2 - 1)^2
    assert frechet(a[:5], b[:7]).item() > 0, "fewer points than coordinates"


def test_the_smallest_pictures_can_be_judged() -> None:
    one = pictures(40, 0)[..., :1, :1]
    assert Pictures(one, pictures(30, 1)[..., :1, :1]).ratios(one)["sample_ratio"] == 1


def test_what_cannot_be_compared_is_refused(real: Pictures) -> None:
    with pytest.raises(UserError, match="300 pictures learned from and 5 unseen ones are too few"):
        Pictures(pictures(300, 0), pictures(5, 1))
    with pytest.raises(ValueError, match="300 pictures are compared, not 20"):
        real.ratios(pictures(20, 3))
