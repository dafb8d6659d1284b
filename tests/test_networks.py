import pytest
import torch

from abprop.errors import UserError
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise

FORMS = [
    # latent, signal
    ((5,), (7,)),
    ((4,), (1, 100)),
    ((4, 6), (1, 70)),
    ((6,), (3, 64, 64)),
    ((4,), (1, 28, 30)),
    ((2,), (1, 1, 9)),
    ((3, 5, 5), (3, 96, 96)),
    ((3, 4, 5), (2, 64, 90)),
    ((3,), (1, 16, 16, 16)),
    ((2, 4, 4, 4), (1, 16, 16, 16)),
    ((3, 5), (3, 12, 18, 20)),  # along the first axis alone
    ((3, 4), (1, 13, 33, 35)),
    ((2, 3), (2, 9, 36, 32)),
]


def normal(shape: tuple[int, ...]) -> torch.Tensor:
    return Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0]


def conv(latent, signal, dtype=torch.float64) -> ConvGenerator:
    network = ConvGenerator(latent, signal, channels=4, dtype=dtype)
    network = network.double() if dtype == torch.float64 else network
    network.reset(normal)
    return network


def linear(latent, signal) -> LinearGenerator:
    network = LinearGenerator((latent[0],), signal).double()
    network.reset(normal)
    return network


def levelled(latent, signal) -> ConvGenerator:
    network = ConvGenerator(latent, signal, channels=4, levels=3, dtype=torch.float64).double()
    network.reset(normal)
    return network


LEVELLED = [((21 * 2, 5, 5), (3, 96, 96)), ((7, 6), (1, 70)), ((73, 4, 4, 4), (1, 16, 16, 16))]
NETWORKS = [(conv, *form) for form in FORMS] + [(levelled, *form) for form in LEVELLED]
NETWORKS += [(linear, (3,), (7,)), (linear, (3,), (2, 5, 5))]


@pytest.mark.parametrize("make, latent, signal", NETWORKS)
def test_shapes_and_a_gradient_for_every_parameter(make, latent, signal) -> None:
    f = make(latent, signal)
    x = f(torch.randn(3, *latent, dtype=torch.float64))
    assert x.shape == (3, *signal)
    x.square().sum().backward()
    for name, parameter in f.named_parameters():
        assert parameter.grad is not None and parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("make, latent, signal", NETWORKS)
def test_the_pullback_is_autograds(make, latent, signal) -> None:
    f, z = make(latent, signal), torch.randn(3, *latent, dtype=torch.float64, requires_grad=True)
    x = f(z)
    v = torch.randn_like(x)
    (expected,) = torch.autograd.grad(x, z, v)
    fast, pullback = f.freeze()(z.detach())
    torch.testing.assert_close(fast, x.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(pullback(v), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("make, latent, signal", NETWORKS)
def test_folding_a_gaussian_leaves_the_signal_as_it_was(make, latent, signal) -> None:
    if len(latent) > 1:
        pytest.skip("a map's prior is not folded")
    f, z = make(latent, signal), torch.randn(3, *latent, dtype=torch.float64)
    d = latent[0]
    root = torch.linalg.cholesky(torch.eye(d).double() + 0.3 * torch.ones(d, d).double())
    mean = torch.randn(d, dtype=torch.float64)
    before = f(z @ root.T + mean)
    f.fold(mean, root)
    torch.testing.assert_close(f(z), before)


@pytest.mark.parametrize("make, latent, signal", NETWORKS)
def test_centred_channels_are_about_their_means(make, latent, signal) -> None:
    f = make(latent, signal)
    with torch.no_grad():  # all that the last layer adds to its bias
        (f.weight if make is linear else f.weights[-1]).zero_()
    mean = torch.linspace(-0.9, 0.6, signal[0], dtype=torch.float64)
    f.centre(mean)
    x = f(torch.randn(2, *latent, dtype=torch.float64))
    torch.testing.assert_close(x, mean.reshape(-1, *[1] * (len(signal) - 1)).expand_as(x))


@pytest.mark.parametrize("beyond", [1.0, -1.0, -7.0])
def test_a_mean_beyond_the_range_leaves_the_tanh_a_slope(beyond: float) -> None:
    f = conv((4,), (1, 16, 16))
    f.centre(torch.tensor([beyond], dtype=torch.float64))
    z = torch.zeros(1, 4, dtype=torch.float64)
    (slope,) = torch.autograd.grad(f(z).sum(), f.biases[-1])
    assert f(z).abs().max() < 1 and slope > 0.05 * f(z).numel()


@pytest.mark.parametrize("latent, signal, larger", [((3, 5, 5), (3, 96, 96), (3, 9, 6)),
                                                    ((4, 6), (1, 70), (4, 11)),
                                                    ((3, 5), (2, 13, 18, 20), (3, 8))])  # fmt: skip
def test_a_larger_map_is_a_larger_signal_and_the_same_function(latent, signal, larger) -> None:
    f, z = conv(latent, signal), torch.randn(1, *larger, dtype=torch.float64)
    big, cell = f(z), 2**f.stages
    for axis, (n, m) in enumerate(zip(latent[1:], larger[1:], strict=True)):
        assert big.shape[2 + axis] == signal[1 + axis] + (m - n) * cell
    corner = f(z[(..., *(slice(0, n) for n in latent[1:]))])
    torch.testing.assert_close(corner, big[(..., *(slice(0, n) for n in signal[1:]))])
    last = f(z[(..., *(slice(m - n, m) for n, m in zip(latent[1:], larger[1:], strict=True)))])
    torch.testing.assert_close(last, big[(..., *(slice(-n, None) for n in signal[1:]))])


def test_images_are_laid_out_channels_last_and_bfloat16_stays_close() -> None:
    exact, fast = conv((6,), (3, 64, 64), torch.float32), conv((6,), (3, 64, 64), torch.bfloat16)
    z = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    assert fast(z).dtype == torch.float32
    off = fast(z) - exact(z)
    assert off.abs().max() < 0.05
    assert off.square().mean().sqrt() < 2**-7  # a unit in the last place of a number above 1
    assert all(p.dtype == torch.float32 for p in fast.parameters())


@pytest.mark.parametrize("latent, signal", FORMS)
def test_no_answer_of_a_bfloat16_network_is_rounded_to_bfloat16(latent, signal) -> None:
    exact, fast = conv(latent, signal, torch.float32), conv(latent, signal, torch.bfloat16)
    z = torch.randn(3, *latent, generator=torch.Generator().manual_seed(0))
    canvases: list[torch.Tensor] = []
    finish = fast._finish
    fast._finish = lambda canvas, z: (canvases.append(canvas), finish(canvas, z))[1]  # type: ignore
    told = fast(z)
    (canvas,) = canvases
    assert canvas.dtype == torch.float32
    assert (canvas == canvas.bfloat16()).float().mean() < 0.05
    if exact(z).numel() > 1000:
        assert len(told.unique()) > 256


@pytest.mark.parametrize("latent, signal", FORMS)
def test_inference_in_bfloat16_is_off_by_its_rounding(latent, signal) -> None:
    exact, fast = conv(latent, signal, torch.float32), conv(latent, signal, torch.bfloat16)
    z = torch.randn(3, *latent, generator=torch.Generator().manual_seed(0))
    told, (x, pullback) = fast(z).detach(), fast.freeze()(z)
    assert (x - told).square().mean().sqrt() < 2**-8 * told.abs().max().clamp_min(1)
    v = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    expected = exact.freeze()(z)[1](v)
    # Where hidden units are near 0 rounding turns their sign, and what passes through them.
    alike = torch.cosine_similarity(pullback(v).flatten(), expected.flatten(), dim=0)
    assert alike > 0.95


@pytest.mark.parametrize(
    "latent, signal, says",
    [
        ((3, 5), (3, 64, 64), "model.latent=3x5"),
        ((3, 2, 2), (3, 64, 64), "at least 3"),
        ((3, 8, 8), (3, 8, 8), "larger than signals of 8x8; use fewer cells"),
        ((9, 9999, 9999), (3, 64, 64), "use fewer cells"),
        ((3, 5, 5), (1, 100), "1 grid lengths"),
        ((3, 5, 5), (1, 16, 16, 16), "3 grid lengths"),
        (
            (3, 4),
            (1, 60, 16, 16),
            "32 frames is too long .* use more cells, e.g. 3x17",
        ),
    ],
)
def test_a_latent_that_does_not_fit_is_refused(latent, signal, says: str) -> None:
    with pytest.raises(UserError, match=says):
        ConvGenerator(latent, signal)


@pytest.mark.parametrize("channels", [10, 32])
@pytest.mark.parametrize("columns", [1, 3, 6, 30])
def test_a_row_of_a_table_has_the_same_bits_wherever_it_stands(columns: int, channels: int) -> None:
    network = ConvGenerator((2,), (columns,), channels=channels)
    random = torch.Generator().manual_seed(0)
    network.reset(lambda size: torch.randn(size, generator=random))
    z, v = torch.randn(64, 2, generator=random), torch.randn(64, columns, generator=random)
    order = torch.arange(63, -1, -1)
    x, pullback = network.freeze()(z)
    other, back = network.freeze()(z[order])
    assert torch.equal(x[order], other)
    assert torch.equal(pullback(v)[order], back(v[order]))
    assert torch.equal(network(z)[order], network(z[order]))
