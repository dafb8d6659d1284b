"""The order that the measures must put pictures in, on a CC0 photograph of gravel."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from abprop.baselines.textures import texture
from abprop.errors import UserError
from abprop.measures import Material, portilla

needs_plenoptic = pytest.mark.skipif(not portilla.available(), reason="plenoptic is not installed")
SIDE = 192
ORDER = torch.randperm(SIDE**2, generator=torch.Generator().manual_seed(0))


@cache
def gravel() -> Tensor:
    half = torch.from_numpy(data.gravel().astype(np.float32) / 127.5 - 1)
    return half[None, : 2 * SIDE, :SIDE]


@cache
def material() -> Material:
    return Material(gravel()[:, :SIDE])


@cache
def ratios(name: str) -> dict[str, float]:
    real = gravel()[:, :SIDE]
    made = {
        "itself": lambda: real,
        "more": lambda: gravel()[:, SIDE:],
        "blurred": lambda: F.avg_pool2d(real[None], 5, 1, 2)[0],
        "faded": lambda: 0.4 * real,
        "shuffled": lambda: real.flatten()[ORDER].reshape(real.shape),
        "repeated": lambda: real[:, :64, :64].repeat(1, 3, 3),
    }
    if name in made:
        return material().ratios(made[name]())
    return material().ratios(torch.from_numpy(texture(name, real.numpy(), (SIDE, SIDE), 0)))


@needs_plenoptic
def test_more_of_the_same_comes_before_tiles_before_noise_with_its_spectrum() -> None:
    order = [ratios(name)["sample_ratio"] for name in ("more", "phase")]
    assert 0.7 < order[0] < 1.4 < order[1]
    statistics = [ratios(name)["portilla_simoncelli"] for name in ("more", "tiles", "phase")]
    assert statistics == sorted(statistics)


@pytest.mark.parametrize("name", ["blurred", "faded", "shuffled"])
def test_what_is_no_longer_the_material_is_far_from_it_by_patches_alone(name: str) -> None:
    found = ratios(name)
    patches = max(found[key] for key in ("wasserstein", "coherence", "completeness"))
    assert patches > 1.5 > max(ratios("more").values())
    assert found["sample_ratio"] >= patches


def test_copies_and_repetitions_are_seen() -> None:
    assert ratios("itself")["copy_ratio"] < 0.01
    assert ratios("more")["copy_ratio"] > 0.85
    assert ratios("quilting")["copy_ratio"] < ratios("more")["copy_ratio"] - 0.1
    assert ratios("repeated")["repeat_ratio"] < 0.01 < 0.9 < ratios("more")["repeat_ratio"]


def test_a_constant_picture_is_like_itself_and_unlike_any_other() -> None:
    flat = torch.full((3, 64, 64), 0.25)  # the smallest there may be
    assert max(Material(flat).ratios(flat).values()) == pytest.approx(1, abs=0.01)
    assert Material(flat).ratios(flat + 0.1 * flat.cumsum(2).sin())["sample_ratio"] > 100


@pytest.mark.parametrize("shape", [(3, 128, 128), (1, 140, 300), (4, 129, 150)])
def test_any_size_and_number_of_channels(shape: tuple[int, ...]) -> None:
    one, other = (torch.rand(shape, generator=torch.Generator().manual_seed(i)) for i in (0, 1))
    found = Material(one).ratios(other)
    for name in ("wasserstein", "coherence", "completeness", "copy_ratio", "repeat_ratio"):
        assert found[name] == pytest.approx(1, abs=0.5), name
    assert found.get("portilla_simoncelli", 1) < 2  # its deviations rest on four small pieces


def test_too_small_is_said() -> None:
    with pytest.raises(UserError, match="63x80 is too small to be judged: at least 64"):
        Material(torch.rand(3, 80, 63))
    with pytest.raises(UserError, match="a sample must measure at least 32"):
        Material(torch.rand(3, 64, 64)).ratios(torch.rand(3, 64, 20))
