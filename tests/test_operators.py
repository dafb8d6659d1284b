"""Operators: one list of properties over all of them, and each against its definition."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from elsewhere import AWAY, elsewhere
from hypothesis import given
from hypothesis import strategies as st
from operators import IMAGE, LINEAR, NONLINEAR, build, listed
from torch import Tensor, nn

from abprop.operators import (
    Blur,
    Compose,
    Downsample,
    Function,
    Grey,
    Mask,
    Projection,
    WhiteProjection,
    measure,
    observe,
    rules,
    white,
)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@listed(LINEAR)
def test_the_adjoint_passes_the_dot_product_test(
    name: str, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    A = build(name, shape)
    x = torch.randn(4, *shape, dtype=dtype)
    Ax, adjoint = A.vjp(x)
    v = torch.randn_like(Ax)
    back = adjoint(v)
    assert torch.equal(Ax, A(x)) and Ax.dtype == back.dtype == dtype and back.shape == x.shape
    left, right = ((a.double() * b).flatten(1).sum(1) for a, b in [(Ax, v), (x, back)])
    scale = Ax.double().flatten(1).norm(dim=1) * v.double().flatten(1).norm(dim=1)
    assert ((left - right).abs() <= 20 * torch.finfo(dtype).eps * (1 + scale)).all()


@listed(LINEAR)
def test_a_linear_operator_is_linear_and_says_so(name: str, shape: tuple[int, ...]) -> None:
    A, x, u = build(name, shape), *torch.randn(2, 4, *shape, dtype=torch.float64)
    assert A.linear
    torch.testing.assert_close(A(2 * x - 3 * u), 2 * A(x) - 3 * A(u))


@listed({**LINEAR, **NONLINEAR})
def test_vjp_agrees_with_autograd(name: str, shape: tuple[int, ...]) -> None:
    A = build(name, shape)
    x = torch.randn(4, *shape, dtype=torch.float64, requires_grad=True)
    Ax, pullback = A.vjp(x.detach())
    v = torch.randn_like(Ax)
    (grad,) = torch.autograd.grad(A(x), x, v)
    with torch.no_grad():
        torch.testing.assert_close(pullback(v), grad)
    assert not Ax.requires_grad and not pullback(v).requires_grad


@listed({**LINEAR, **NONLINEAR})
def test_an_operator_knows_the_shape_and_number_of_what_it_measures(
    name: str, shape: tuple[int, ...]
) -> None:
    A = build(name, shape)
    assert A(torch.randn(4, *shape)).shape == (4, *A.shape)
    assert A.count.shape == (4,) and A.count.dtype == torch.float32
    reached = A.vjp(torch.ones(4, *shape))[0].flatten(1) != 0
    assert (reached.sum(1) <= A.count).all() and (A.count <= reached.shape[1]).all()


@pytest.mark.parametrize("rows", [[3, 1, 1], [0], [False, True, True, False]], ids=str)
@listed({**LINEAR, **NONLINEAR})
def test_rows_of_an_operator_act_on_rows(
    name: str, shape: tuple[int, ...], rows: list[int]
) -> None:
    A, x, some = build(name, shape), torch.randn(4, *shape), torch.tensor(rows)
    part = A[some]
    torch.testing.assert_close(part(x[some]), A(x)[some])
    assert torch.equal(part.count, A.count[some]) and part.shape == A.shape
    assert len(A.count) == 4, "taking rows left the operator as it was"


@pytest.mark.parametrize("count", [16, 32])
@listed({**LINEAR, **NONLINEAR})
def test_the_bits_of_a_row_do_not_depend_on_its_company(
    name: str, shape: tuple[int, ...], count: int
) -> None:
    A = build(name, shape, 64)
    x = torch.randn(64, *shape)
    Ax, pullback = A.vjp(x)
    v = torch.randn_like(Ax)
    back = pullback(v)
    for _ in range(3):
        rows = torch.randperm(64)[:count]
        part, pull = A[rows].vjp(x[rows])
        assert torch.equal(part, Ax[rows]) and torch.equal(pull(v[rows]), back[rows])


@pytest.mark.parametrize("shape", [(7,), (30,), (1, 9), (3, 21, 17)], ids=str)
@pytest.mark.parametrize("count", [1, 3, 10, 16, 50])
def test_projections_of_any_size_keep_a_rows_bits(shape: tuple[int, ...], count: int) -> None:
    A = Projection(white(count, shape, 1), 48)
    x, v = torch.randn(48, *shape), torch.randn(48, count)
    y, pullback = A.vjp(x)
    back = pullback(v)
    for n in (16, 32):
        rows = torch.randperm(48)[:n]
        part, pull = A[rows].vjp(x[rows])
        assert torch.equal(part, y[rows]) and torch.equal(pull(v[rows]), back[rows])


@pytest.mark.parametrize("n", [3, 5, 7, 9, 10, 15, 17, 21, 33])
def test_blurs_of_any_size_keep_a_rows_bits(n: int) -> None:
    A, x = Blur(1.0, (1, n), 48), torch.randn(48, 1, n)
    y, pullback = A.vjp(x)
    for count in (16, 32):
        rows = torch.randperm(48)[:count]
        part, pull = A[rows].vjp(x[rows])
        assert torch.equal(part, y[rows]) and torch.equal(pull(x[rows]), pullback(x)[rows])


def tensors(thing: object) -> list[Tensor]:
    """Every tensor that an operator holds, in its parts too."""
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, list | tuple):
        inner = list(thing)
    else:
        inner = list(getattr(thing, "__dict__", {}).values())
    return [tensor for part in inner for tensor in tensors(part)]


@listed({**LINEAR, **NONLINEAR})
def test_an_operator_moves_whole(name: str, shape: tuple[int, ...]) -> None:
    A = build(name, shape)
    moved = A.to("meta")
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert {tensor.device.type for tensor in tensors(A)} == {"cpu"}
    y, pullback = moved.vjp(torch.randn(4, *shape, device="meta"))
    assert y.device.type == pullback(y).device.type == "meta"


@pytest.mark.parametrize("name", {**LINEAR, **NONLINEAR})
def test_an_operator_measures_the_same_on_another_device(name: str, device: torch.device) -> None:
    case = {**LINEAR, **NONLINEAR}[name]
    A, x = build(name, case.shapes[0]), torch.randn(4, *case.shapes[0])
    there, rows = A.to(device), torch.tensor([2, 0], device=device)
    torch.testing.assert_close(there(x.to(device)).cpu(), A(x), rtol=1e-3, atol=1e-3)
    assert there[rows].count.tolist() == A[rows.cpu()].count.tolist()


# Masks ----------------------------------------------------------------------------------------


@given(bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30]))
def test_nothing_behind_a_mask_leaks(bad: float) -> None:
    y = torch.randn(2, 3, 5, 5)
    hidden = torch.rand(2, 1, 5, 5) < 0.5
    clean, A = observe(y, hidden)
    spoilt, B = observe(torch.where(hidden, bad, y), hidden)
    assert torch.equal(clean, spoilt) and torch.equal(A.count, B.count)
    assert torch.equal(A(torch.where(hidden, bad, y)), clean)
    assert torch.equal(A.count, (~hidden).expand_as(y).flatten(1).sum(1).float())


def test_a_mask_after_a_projection_hides_measurements() -> None:
    P, x = white(6, IMAGE, 0), torch.randn(4, *IMAGE)
    veil = torch.tensor([[False, True] * 3] * 4)
    A = Compose(Projection(P, 4), Mask(veil))
    assert A.shape == (6,) and A.count.tolist() == [3.0] * 4
    torch.testing.assert_close(A(x), torch.where(veil, 0.0, x.flatten(1) @ P.T))


# Each operator against its definition ---------------------------------------------------------


def test_white_images_are_keyed_and_keep_the_unit_of_x() -> None:
    P = white(200, (3, 16, 16), seed=4)
    assert P.shape == (200, 768) and P.dtype == torch.float32
    assert torch.equal(white(70, (3, 16, 16), seed=4), P[:70])
    assert not torch.equal(white(70, (3, 16, 16), seed=5), P[:70])
    assert P.norm(dim=1).sub(1).abs().max() < 0.15 and abs(P.norm(dim=1).mean() - 1) < 0.01
    x = torch.randn(32, 3, 16, 16) * 0.4
    assert Projection(P, 32)(x).std() == pytest.approx(0.4, rel=0.05)


def test_a_projection_too_large_to_hold_is_drawn_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    shape, x = (1, 9, 11), torch.randn(3, 1, 9, 11)
    held = measure("projection:90", shape, 3, 5)
    monkeypatch.setattr(rules, "HELD", 90 * 99 - 1)
    drawn = measure("projection:90", shape, 3, 5)
    assert isinstance(held, Projection) and isinstance(drawn, WhiteProjection)
    torch.testing.assert_close(drawn(x), held(x), atol=1e-5, rtol=1e-5)
    v = torch.randn(3, 90)
    torch.testing.assert_close(drawn.vjp(x)[1](v), held.vjp(x)[1](v), atol=1e-5, rtol=1e-5)


def test_a_projection_keeps_its_matrix_and_not_its_callers_memory() -> None:
    matrix = torch.randn(16, 32)
    A, kept = Projection(matrix, 2), matrix.clone()
    matrix.zero_()
    assert torch.equal(A.matrix, kept)
    assert torch.equal(Projection(kept.double(), 2).matrix, kept)


@pytest.mark.parametrize("width", [0.05, 0.8, 2.0, 6.0])
@pytest.mark.parametrize("shape", [(1, 30), (2, 9, 6), (1, 6, 7, 8)], ids=str)
def test_blur_is_scipys_gaussian_filter(width: float, shape: tuple[int, ...]) -> None:
    from scipy.ndimage import gaussian_filter

    x = torch.randn(3, *shape, dtype=torch.float64)
    axes = tuple(range(2, x.ndim))
    expected = gaussian_filter(x.numpy(), width, mode="reflect", truncate=4.0, axes=axes)
    np.testing.assert_allclose(Blur(width, shape, 3)(x).numpy(), expected, atol=1e-6)


def test_the_layout_of_pictures_in_memory_changes_no_bit() -> None:
    shape = (3, 18, 18)
    x = torch.randn(16, *shape)
    last = x.contiguous(memory_format=torch.channels_last)
    for A in (Blur(2.0, shape, 16), Downsample(9, shape, 16), Grey(shape, 16)):
        assert torch.equal(A(last), A(x))


@pytest.mark.parametrize(
    ("shape", "pool"),
    [((2, 12), F.avg_pool1d), ((2, 12, 8), F.avg_pool2d), ((1, 4, 8, 4), F.avg_pool3d)],
    ids=["1", "2", "3"],
)
def test_down_is_average_pooling(shape: tuple[int, ...], pool: Callable[..., Tensor]) -> None:
    x = torch.randn(3, *shape, dtype=torch.float64)
    torch.testing.assert_close(Downsample(4, shape, 3)(x), pool(x, 4))


def test_grey_is_luma() -> None:
    x = torch.eye(3).reshape(3, 3, 1, 1).expand(3, 3, 2, 2)
    y = Grey((3, 2, 2), 3)(x)
    assert y.shape == (3, 1, 2, 2)
    assert y[:, 0, 0, 0].tolist() == pytest.approx([0.299, 0.587, 0.114])
    assert Grey((3, 2, 2), 1)(-torch.ones(1, 3, 2, 2)).flatten().tolist() == pytest.approx([-1] * 4)


same = lambda x: x


# Other devices -----------------------------------------------------------------------------


@listed({**LINEAR, **NONLINEAR})
def test_an_operator_moves_whole_and_some_of_it_stays_there(
    name: str, shape: tuple[int, ...]
) -> None:
    A, x, rows = build(name, shape), torch.randn(4, *shape), torch.tensor([2, 0])
    with elsewhere():
        there, y = A.to(AWAY), A[rows](x[rows])
        assert there.count.device == AWAY and A.count.device == y.device
        for some in (rows, rows.to(AWAY)):
            part = there[some]
            assert part.count.device == AWAY and part.count.tolist() == A.count[rows].tolist()
            found, pullback = part.vjp(x[rows].to(AWAY))
            assert torch.equal(found.cpu(), y) and torch.equal(part(x[rows].to(AWAY)).cpu(), y)
            assert pullback(found).device == AWAY
            assert torch.equal(A[some](x[rows]), y) and A[some].count.device == y.device


def test_an_operator_is_where_its_data_are() -> None:
    with elsewhere():
        y = torch.randn(3, 1, 4).to(AWAY)
        for hidden_ in (None, torch.rand(3, 1, 4).to(AWAY) < 0.5):
            assert observe(y, hidden_)[1].count.device == AWAY
        assert Projection(torch.randn(2, 4).to(AWAY), 3).count.device == AWAY


def test_a_modules_operator_is_where_the_module_is() -> None:
    A = Function(nn.Linear(6, 2, device="meta"), (1, 6), 3)
    assert A.count.device.type == "meta"
