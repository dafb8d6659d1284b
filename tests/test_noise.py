import math

import pytest
import torch

from abprop import noise
from abprop.noise import Noise, philox, uniforms

# Random123's known-answer tests for philox4x32-10 (kat_vectors).
ANSWERS = [
    ("00000000 00000000 00000000 00000000 00000000 00000000",
     "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ("ffffffff ffffffff ffffffff ffffffff ffffffff ffffffff",
     "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ("243f6a88 85a308d3 13198a2e 03707344 a4093822 299f31d0",
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]  # fmt: skip


@pytest.mark.parametrize("given, expected", ANSWERS)
def test_philox_known_answers(given: str, expected: str) -> None:
    words = [int(w, 16) for w in given.split()]
    counter = tuple(torch.tensor(w) for w in words[:4])
    got = philox(counter, (words[4], words[5])).tolist()
    assert got == [int(w, 16) for w in expected.split()]


def test_normals_are_standard_normal() -> None:
    x = Noise(0).at(torch.arange(2000)).normal((101,)).flatten()
    n = len(x)
    assert abs(x.mean()) < 4 / math.sqrt(n)
    assert abs(x.var() - 1) < 4 * math.sqrt(2 / n)
    assert abs((x**4).mean() - 3) < 4 * math.sqrt(96 / n)


@pytest.mark.parametrize("shape", [(1,), (3,), (4,), (7,), (2, 3, 5)])
def test_noise_belongs_to_the_example_not_to_its_company(shape: tuple[int, ...]) -> None:
    noise, ids = Noise(7), torch.tensor([5, 900, 3, 12])
    together = noise.at(ids, t=4).normal(shape, step=2)
    for i, row in enumerate(together):
        assert torch.equal(noise.at(ids[i : i + 1], t=4).normal(shape, step=2)[0], row)
    assert torch.equal(noise.at(ids, t=4)[torch.tensor([2, 0])].normal(shape, 2), together[[2, 0]])


def test_everything_in_the_key_changes_the_noise() -> None:
    ids = torch.arange(3)
    base = Noise(0).at(ids).normal((8,))
    others = [
        Noise(1).at(ids).normal((8,)),
        Noise(0, "draws").at(ids).normal((8,)),
        Noise(0).at(ids, t=1).normal((8,)),
        Noise(0).at(ids, chain=1).normal((8,)),
        Noise(0).at(ids + 3).normal((8,)),
        Noise(0).at(ids).normal((8,), step=1),
    ]
    for other in others:
        assert not torch.isclose(base, other).any()


def test_steps_do_not_overlap() -> None:
    words = [Noise(0).at(torch.zeros(1)).bits(10, step).flatten() for step in range(50)]
    assert len(torch.cat(words).unique()) == 500


def test_permutation_is_one_and_changes_with_the_epoch() -> None:
    a, b = Noise(3).permutation(1000, 0), Noise(3).permutation(1000, 1)
    assert torch.equal(a.sort().values, torch.arange(1000))
    assert not torch.equal(a, b)
    assert torch.equal(a, Noise(3).permutation(1000, 0))


def test_uniforms_lie_inside_the_unit_interval() -> None:
    u = uniforms(0, "crops", 10000)
    assert u.dtype == torch.float64 and u.min() > 0 and u.max() < 1
    assert abs(u.mean() - 0.5) < 4 / math.sqrt(12 * 10000)


def test_where_there_are_no_doubles_numbers_are_the_cpus_rounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyed = Noise(0).at(torch.arange(500), t=3)
    normal, uniform, bits = keyed.normal((7,)), keyed.uniform(9), keyed.bits(9)
    assert normal.dtype == uniform.dtype == torch.float64
    monkeypatch.setattr(noise, "WITHOUT_DOUBLES", {"cpu"})
    assert torch.equal(keyed.normal((7,)), normal.float())
    assert torch.equal(keyed.uniform(9), uniform.float()) and torch.equal(keyed.bits(9), bits)
    monkeypatch.setattr(keyed, "_bits", lambda count, step: torch.tensor([[0, 2**32 - 1]]))
    least, most = keyed.uniform(2)[0].tolist()
    assert least > 0 and most < 1


def test_only_mps_has_no_doubles() -> None:
    told = {kind: noise.has_doubles(torch.device(kind)) for kind in ("cpu", "cuda", "meta", "mps")}
    assert told == {"cpu": True, "cuda": True, "meta": True, "mps": False}


@pytest.mark.parametrize("shape", [(3,), (5, 2, 2)])
def test_noise_made_ahead_is_the_same_noise(shape: tuple[int, ...]) -> None:
    keyed = Noise(3).at(torch.tensor([4, 9, 2]), t=torch.tensor([7, 1, 0]), chain=1)
    ahead = keyed.ahead(3)
    for k in (0, 2, 1, 5):
        assert torch.equal(ahead.later(k).normal(shape), keyed.later(k).normal(shape))
    assert torch.equal(ahead.later(1).later(1).normal(shape), keyed.later(2).normal(shape))
    assert torch.equal(ahead.later(1).later(4).normal(shape), keyed.later(5).normal(shape))
    each = torch.tensor([1, 0, 2])
    assert torch.equal(ahead.later(each).normal(shape), keyed.later(each).normal(shape))
    assert torch.equal(ahead.later(2).normal(shape, 4), keyed.later(2).normal(shape, 4))
    assert torch.equal(ahead.later(2).of("x").normal(shape), keyed.later(2).of("x").normal(shape))
    assert torch.equal(ahead[1:].later(1).normal(shape), keyed[1:].later(1).normal(shape))
    assert torch.equal(ahead.later(1)[1:].normal(shape), keyed[1:].later(1).normal(shape))
    assert len(ahead.made) == 1 and ahead.made[shape].shape == (3, 3, *shape)
