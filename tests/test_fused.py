"""The fused way through a network on a GPU against the plain one and an exact one."""

import pytest
import torch

from abprop.networks import ConvGenerator, fused

NETS = [((100,), (3, 64, 64), 64), ((5,), (1, 32, 32), 16), ((7,), (2, 64, 32), 32)]


def made(latent, signal, channels: int, dtype: torch.dtype, device: str) -> ConvGenerator:
    network = ConvGenerator(latent, signal, channels=channels, dtype=dtype)
    random = torch.Generator().manual_seed(0)
    network.reset(lambda size: torch.randn(size, generator=random))
    for b in (network.dense_bias, *network.biases):
        torch.nn.init.normal_(b, std=0.1, generator=random)
    return (network.double() if dtype == torch.float64 else network).to(device)


def test_elsewhere_the_plain_way_is_taken() -> None:
    assert fused.frozen(made((5,), (1, 32, 32), 16, torch.bfloat16, "cpu")) is None


@pytest.mark.gpu
@pytest.mark.parametrize("latent, signal, channels", NETS)
def test_it_is_the_same_function(latent, signal, channels: int, monkeypatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    exact = made(latent, signal, channels, torch.float64, "cuda")
    fast = made(latent, signal, channels, torch.bfloat16, "cuda")
    assert fused.frozen(fast) is not None, "Triton is missing"
    random = torch.Generator().manual_seed(1)
    z, v = torch.randn(37, *latent, generator=random).cuda(), torch.randn(37, *signal).cuda()
    expected, back = exact.freeze()(z.double())
    x, pullback = fast.freeze()(z)
    gradient = pullback(v)
    monkeypatch.setattr(fused, "frozen", lambda network: None)
    plain, plain_back = fast.freeze()(z)
    for mine, theirs, true in ((x, plain, expected),
                               (gradient, plain_back(v), back(v.double()))):  # fmt: skip
        assert mine.shape == true.shape and mine.dtype == torch.float32
        off, usual = ((one - true).square().mean().sqrt() for one in (mine, theirs))
        assert off < 1.5 * usual + 1e-6 and off < 0.2 * true.square().mean().sqrt()


@pytest.mark.gpu
def test_small_steps_of_z_are_not_lost() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    run = made((100,), (3, 64, 64), 64, torch.bfloat16, "cuda").freeze()
    z = torch.randn(4, 100, generator=torch.Generator().manual_seed(0)).cuda()
    moved = z * (1 + 2**-12)  # bfloat16 has 8 bits
    assert (run(moved)[0] != run(z)[0]).float().mean() > 0.5
