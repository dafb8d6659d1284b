import itertools

import pytest
import torch
import torch.nn.functional as F

from abprop.networks import ConvGenerator
from abprop.networks.stages import FORMS, Stage, channels_last, to_channels, to_places, usual

UP = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
DOWN = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
PADDINGS = [p for dims in (1, 2, 3) for p in itertools.product((1, 2), repeat=dims)]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("padding", PADDINGS)
def test_every_form_is_the_transposed_convolution(padding: tuple[int, ...], form: str) -> None:
    dims, size = len(padding), (4, 5, 3)[: len(padding)]
    h, w, b = random(2, 6, *size), random(6, 3, *(4,) * dims), random(3)
    stage = Stage(padding)
    expected = UP[dims](h, w, b, stride=2, padding=padding)
    torch.testing.assert_close(stage.up(w, b, form)(h), expected)
    g = random(*expected.shape)
    torch.testing.assert_close(stage.down(w, form)(g), DOWN[dims](g, w, stride=2, padding=padding))


@pytest.mark.parametrize("form", FORMS)
def test_axes_that_are_left_alone_are_further_examples(form: str) -> None:
    h, w, b = random(2, 4, 3, 5, 6), random(4, 2, 4, 4), random(2)
    stage = Stage((1, 1), folded=1)
    made = stage.up(w, b, form)(h)
    assert made.shape == (2, 2, 3, 10, 12)
    for t in range(3):
        frame = F.conv_transpose2d(h[:, :, t], w, b, stride=2, padding=1)
        torch.testing.assert_close(made[:, :, t], frame)
    back = stage.down(w, form)(made)
    torch.testing.assert_close(back[:, :, 1], F.conv2d(made[:, :, 1], w, stride=2, padding=1))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size", [(8,), (6, 4), (4, 6, 2)])
def test_what_a_stage_makes_has_channels_last(size: tuple[int, ...], form: str) -> None:
    stage, w = Stage((2,) * len(size)), random(4, 3, *(4,) * len(size)).float()
    made = stage.up(w, random(3), form)(random(2, 4, *size).float())
    assert made.movedim(1, -1).is_contiguous()
    assert stage.down(w, form)(made).movedim(1, -1).is_contiguous()


@pytest.mark.parametrize("size", [(6,), (4, 6), (4, 2, 6)])
def test_places_and_channels_are_exchanged_both_ways(size: tuple[int, ...]) -> None:
    x = random(2, 3, *size)
    parts = to_channels(x)
    assert parts.shape == (2, 3 * 2 ** len(size), *(n // 2 for n in size))
    torch.testing.assert_close(to_places(parts), x, rtol=0, atol=0)
    first = x[(..., *(slice(0, None, 2),) * len(size))]
    torch.testing.assert_close(parts[:, :3], first, rtol=0, atol=0)


@pytest.mark.parametrize("latent, signal", [((4,), (1, 40)), ((6,), (3, 64, 64)),
                                            ((3, 5, 5), (2, 30, 34)), ((3, 4), (1, 13, 33, 35)),
                                            ((2, 4, 4, 4), (1, 16, 16, 16))])  # fmt: skip
def test_a_network_is_the_same_in_all_forms(latent, signal) -> None:
    def made(forms: list[str] | None) -> ConvGenerator:
        network = ConvGenerator(latent, signal, channels=3, dtype=torch.float64, forms=forms)
        draws = torch.Generator().manual_seed(0)
        network.double().reset(lambda size: torch.randn(size, generator=draws))
        return network

    plain = made(None)
    z, v = random(2, *latent), random(2, *signal)
    x, pullback = plain.freeze()(z)
    for up, down in itertools.product(FORMS, repeat=2):
        other = made([up + down] * len(plain.layers))
        found, back = other.freeze()(z)
        torch.testing.assert_close(other(z), plain(z), rtol=0, atol=0)  # answers know one form
        torch.testing.assert_close(found, x)
        torch.testing.assert_close(back(v), pullback(v))


def test_a_layer_of_few_channels_is_usually_computed_by_places() -> None:
    assert usual([64, 3], 2) == ("dd", "sd")
    assert usual([64, 72], 1) == ("dd", "dd") and usual([7], 0) == ("dd",)


def test_channels_last_changes_the_memory_alone() -> None:
    for shape in ((2, 3), (2, 3, 4), (2, 3, 4, 5), (2, 3, 4, 5, 6)):
        x = random(*shape)
        torch.testing.assert_close(channels_last(x), x, rtol=0, atol=0)
        assert channels_last(x).movedim(1, -1).is_contiguous()
