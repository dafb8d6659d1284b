"""The measure of videos: real pieces are near, whatever does not move like them is not."""

from __future__ import annotations

import pytest
import torch

from abprop import baselines
from abprop.errors import UserError
from abprop.measures import Moving
from abprop.measures.moving import tempo


def clip(frames: int = 64, side: int = 32) -> torch.Tensor:
    """Smooth noise that drifts and slowly changes, (1, T, H, W), with a still frame of its own."""
    generator = torch.Generator().manual_seed(0)
    field = torch.randn(1, 1, frames + 16, 2 * side + 8, 2 * side + 8, generator=generator)
    field = torch.nn.functional.avg_pool3d(field, (9, 5, 5), 1)[0]
    field = field / field.std()
    drift = [field[:, t, t % side : t % side + side, :side] for t in range(frames)]
    still = torch.linspace(-0.4, 0.4, side)
    return (0.25 * torch.stack(drift, 1) + still).clamp(-1, 1)


@pytest.fixture(scope="module")
def real() -> Moving:
    return Moving(clip())


def worst(real: Moving, made: torch.Tensor) -> float:
    return real.ratios(made)["sample_ratio"]


def test_the_clip_itself_is_near_and_a_copy(real: Moving) -> None:
    told = real.ratios(clip())
    assert told["sample_ratio"] < 1.05 and told["copy_ratio"] < 0.01
    assert abs(told["repeat_ratio"] - 1) < 1e-3


def test_what_does_not_move_like_it_is_far(real: Moving) -> None:
    x, order = clip(), torch.randperm(64, generator=torch.Generator().manual_seed(1))
    frozen = x[:, 20:21].expand(-1, 64, -1, -1)
    bound = 1.5 * worst(real, x)
    told = {
        "frozen": worst(real, frozen),
        "shuffled": worst(real, x[:, order]),
        "slow": worst(real, x[:, :32].repeat_interleave(2, 1)),
        "flickering": worst(real, (x + 0.1 * (torch.arange(64) % 2 * 2 - 1)[:, None, None])),
        "blurred": worst(real, torch.nn.functional.avg_pool2d(x[0], 5, 1, 2)[None]),
    }
    assert min(told.values()) > bound, told
    assert told["frozen"] > 2 * told["slow"]


def test_a_loop_is_near_but_repeats_and_copies(real: Moving) -> None:
    made = torch.from_numpy(baselines.video("loop", clip().numpy(), 64, 0))
    told = real.ratios(made)
    assert told["repeat_ratio"] < 0.01 and told["copy_ratio"] < 0.5


def test_a_video_is_judged_by_its_pieces_whatever_its_length(real: Moving) -> None:
    assert worst(real, clip()[:, :40]) < 1.3
    with pytest.raises(UserError, match="must have 32 frames to be judged"):
        real.ratios(clip()[:, :31])


@pytest.mark.parametrize("frames, side", [(15, 32), (64, 31)])
def test_too_little_is_not_judged(frames: int, side: int) -> None:
    with pytest.raises(UserError, match=rf"{frames} frames of {side}x{side} is too small"):
        Moving(clip(frames, side))


def test_tempo_is_that_of_a_wave() -> None:
    """Of a wave through all pixels the differences are at its frequency alone."""
    t = torch.arange(65)
    wave = torch.sin(2 * torch.pi * t * 13 / 64).reshape(1, -1, 1, 1).expand(1, 65, 4, 4)
    assert tempo(wave).argmax() == 3  # 13 of 33 frequencies, in 8 bands
    assert torch.allclose(tempo(2 * wave)[3] - tempo(wave)[3], torch.tensor(6.02), atol=0.01)
