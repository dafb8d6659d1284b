"""Whether a picture is one material throughout, and how coarse it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage import data

from abprop.kinds.pictures.stationarity import drift, scale

GRAVEL = torch.from_numpy(data.gravel().astype(np.float32) / 127.5 - 1)[None, :192, :192]


def test_fading_light_and_changing_detail_are_seen_and_still_ones_are_not() -> None:
    picture, ramp = GRAVEL, torch.linspace(-1, 1, 192)
    assert drift(picture).words == ""
    assert drift(torch.full((3, 64, 64), 0.1)).words == ""
    assert "light fades" in drift(0.3 * picture + 0.5 * ramp).words
    assert "detail changes" in drift(picture * torch.exp(ramp)).words


def test_the_scale_of_a_large_picture_is_told_by_its_middle() -> None:
    noise = torch.randn(1, 40, 1400, generator=torch.Generator().manual_seed(0))
    noise[:, :, :150] = 0
    assert scale(noise) == scale(noise[:, :, 188:1212]) == 1


def test_units_do_not_matter() -> None:
    told = drift(GRAVEL), drift(127.5 * GRAVEL + 100)
    assert told[0] == pytest.approx(told[1], abs=1e-6)


def test_the_scale_doubles_with_the_picture_and_does_not_see_fading_light() -> None:
    noise = torch.randn(1, 96, 96, generator=torch.Generator().manual_seed(0))
    fine = F.avg_pool2d(noise[None], 7, 1, 3)[0]
    coarse = F.interpolate(fine[None], scale_factor=2.0, mode="bilinear")[0]
    assert scale(coarse) == pytest.approx(2 * scale(fine), abs=1)
    assert scale(fine + torch.linspace(-9, 9, 96)) == pytest.approx(scale(fine), abs=1)
    assert scale(noise) == 1


def test_large_blocks_are_told_by_their_middles() -> None:
    """What is looked at does not grow with the picture."""
    noise = torch.randn(1, 4096, 4096, generator=torch.Generator().manual_seed(0))
    ramp = torch.linspace(-1, 1, 4096)
    assert drift(noise).words == ""
    assert "light fades" in drift(0.3 * noise + 0.5 * ramp).words
    assert "detail changes" in drift(noise * torch.exp(ramp)).words
    noise.unfold(1, 512, 512).unfold(2, 512, 512)[..., :100, :] = 1e6
    assert drift(noise).words == ""
