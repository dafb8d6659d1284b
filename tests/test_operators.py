from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from elsewhere import AWAY, elsewhere
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from abprop.errors import UserError
from abprop.operators import (
    MEASURES,
    Blur,
    Compose,
    Downsample,
    Each,
    Function,
    Grey,
    Identity,
    Mask,
    Measurement,
    Projection,
    check_measure,
    check_measured,
    from_physics,
    measure,
    observe,
    white,
)

TABLE, SOUND, IMAGE, VIDEO = (7,), (1, 18), (3, 8, 6), (2, 4, 4, 6)
EVERYWHERE = [TABLE, SOUND, IMAGE, VIDEO]
AXES = [SOUND, IMAGE, VIDEO]
COLOURS = [(3, 18), IMAGE, (3, 4, 4, 6)]


class Physics:
    """A linear physics as deepinv has them; calling it would add noise, and nobody should."""

    def A(self, x: Tensor, **kwargs: object) -> Tensor:
        return x[..., 1:] - 2 * x[..., :-1]

    def A_adjoint(self, y: Tensor, **kwargs: object) -> Tensor:
        return F.pad(y, (1, 0)) - 2 * F.pad(y, (0, 1))

    def __call__(self, x: Tensor) -> Tensor:
        raise AssertionError("this adds noise")


def hidden(batch: int, shape: tuple[int, ...]) -> Tensor:
    return torch.rand(batch, *shape) < 0.4


def mixed(shape: tuple[int, ...], batch: int) -> Measurement:
    """Every third example a mask of its own, the others an identity."""
    alone = [Mask(hidden(1, shape)) if i % 3 == 0 else Identity(1, shape) for i in range(batch)]
    return Each(alone)


def projected(shape: tuple[int, ...], batch: int) -> Measurement:
    return Each([Projection(white(5, shape, seed=i), 1) for i in range(batch)])


def hidden_projection(shape: tuple[int, ...], batch: int) -> Measurement:
    return Compose(Projection(white(10, shape, 0), batch), Mask(hidden(batch, (10,))))


class Case(NamedTuple):
    make: Callable[[tuple[int, ...], int], Measurement]
    shapes: list[tuple[int, ...]]


LINEAR = {
    "identity": Case(lambda shape, n: Identity(n, shape), EVERYWHERE),
    "mask": Case(lambda shape, n: Mask(hidden(n, shape)), EVERYWHERE),
    "projection": Case(lambda shape, n: Projection(white(3, shape, 0), n), EVERYWHERE),
    "projections": Case(lambda shape, n: Projection(white(33, shape, 0), n), EVERYWHERE),
    "blur": Case(lambda shape, n: Blur(1.3, shape, n), AXES),
    "down": Case(lambda shape, n: Downsample(2, shape, n), AXES),
    "grey": Case(lambda shape, n: Grey(shape, n), COLOURS),
    "chain": Case(lambda shape, n: measure("blur:1.5+grey+down:2", shape, n, 0), COLOURS),
    "hidden projection": Case(hidden_projection, EVERYWHERE),
    "each": Case(mixed, EVERYWHERE),
    "each projected": Case(projected, EVERYWHERE),
    "physics": Case(lambda shape, n: from_physics(Physics(), shape, n), EVERYWHERE),
}
NONLINEAR = {
    "function": Case(lambda shape, n: Function(lambda x: x[:, :1] ** 3, shape, n), EVERYWHERE),
    "bent chain": Case(
        lambda shape, n: Compose(Blur(1.0, shape, n), Function(torch.tanh, shape, n)), AXES
    ),
}


def listed(cases: dict[str, Case]):
    names = [(name, shape) for name, case in cases.items() for shape in case.shapes]
    return pytest.mark.parametrize(
        ("name", "shape"), names, ids=[f"{n}-{'x'.join(map(str, s))}" for n, s in names]
    )


def build(name: str, shape: tuple[int, ...], batch: int = 4) -> Measurement:
    torch.manual_seed(0)
    return {**LINEAR, **NONLINEAR}[name].make(shape, batch)


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


# Operators of others --------------------------------------------------------------------------


def test_a_function_may_bend_and_work_in_place_and_is_pulled_back_by_autograd() -> None:
    A, x = Function(lambda x: x.tanh_().flatten(1), IMAGE, 4), torch.randn(4, *IMAGE)
    before, v = x.clone(), torch.randn(4, 144)
    with torch.no_grad():
        y, pullback = A.vjp(x)
        twice = [pullback(v), pullback(v)]
        assert torch.equal(A(x), y) and torch.equal(x, before)
    assert not A.linear and A.shape == (144,) and A.count.tolist() == [144.0] * 4
    torch.testing.assert_close(y, x.tanh().flatten(1))
    torch.testing.assert_close(twice[0], (v * (1 - y**2)).reshape(4, *IMAGE))
    assert torch.equal(*twice)


def test_learning_reaches_through_a_function_and_a_mask_after_it() -> None:
    A = Compose(Function(torch.sin, TABLE, 4), Mask(hidden(4, TABLE)))
    x = torch.randn(4, *TABLE, requires_grad=True)
    A(x).sum().backward()
    assert x.grad is not None
    torch.testing.assert_close(x.grad, A[torch.arange(4)].vjp(x.detach())[1](torch.ones(4, *TABLE)))
    assert not A.linear


def test_a_module_moves_with_its_function() -> None:
    layer = nn.Linear(7, 3).requires_grad_(False)
    A = Function(layer, TABLE, 4).to("meta")
    assert A(torch.zeros(4, 7, device="meta")).shape == (4, 3)
    assert Function(layer, TABLE, 2).shape == (3,), "a module that lives elsewhere is tried there"


def test_learning_goes_through_the_adjoint_that_a_physics_gives() -> None:
    class Doubled(Physics):
        def A_adjoint(self, y: Tensor, **kwargs: object) -> Tensor:
            return 2 * super().A_adjoint(y)

    A, x = from_physics(Doubled(), SOUND, 4), torch.randn(4, *SOUND, requires_grad=True)
    v = torch.randn(4, *A.shape)
    (grad,) = torch.autograd.grad(A(x), x, v)
    torch.testing.assert_close(grad, 2 * Physics().A_adjoint(v))


def test_an_adjoint_may_itself_be_made_by_autograd() -> None:
    class ByAutograd(Physics):
        def A_adjoint(self, y: Tensor, **kwargs: object) -> Tensor:
            x = torch.zeros(len(y), *SOUND, requires_grad=True)
            return torch.autograd.grad(self.A(x), x, y)[0]

    A, v = from_physics(ByAutograd(), SOUND, 4), torch.randn(4, 1, 17)
    with torch.no_grad():
        torch.testing.assert_close(A.vjp(torch.zeros(4, *SOUND))[1](v), Physics().A_adjoint(v))


def test_a_physics_that_does_nothing_is_the_identity() -> None:
    class Nothing:
        A = A_adjoint = staticmethod(lambda x: x)

    A, x = from_physics(Nothing(), IMAGE, 2), torch.randn(2, *IMAGE, requires_grad=True)
    assert torch.equal(A(x), x)
    assert torch.equal(torch.autograd.grad(A(x).sum(), x)[0], torch.ones_like(x))


# Rules ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [rule.example for rule in MEASURES.values()])
def test_every_example_of_a_rule_can_be_read_and_built(rule: str) -> None:
    check_measure(rule)
    assert measure(rule, (3, 24, 24), 2, 0)(torch.randn(2, 3, 24, 24)).shape[0] == 2


@pytest.mark.parametrize(
    ("rule", "shape", "measured", "by"),
    [
        ("projection:20", IMAGE, (20,), Projection),
        ("projection:7", TABLE, (7,), Projection),
        (" blur:0.5 ", SOUND, SOUND, Blur),
        ("down:2", VIDEO, (2, 2, 2, 3), Downsample),
        ("grey", IMAGE, (1, 8, 6), Grey),
        ("grey + down:2", IMAGE, (1, 4, 3), Compose),
        ("blur:1+blur:1+grey+projection:48", IMAGE, (48,), Compose),
    ],
)
def test_a_rule_gives_its_operator(
    rule: str, shape: tuple[int, ...], measured: tuple[int, ...], by: type
) -> None:
    check_measure(rule)
    A = measure(rule, shape, 4, seed=3)
    assert isinstance(A, by) and A.shape == measured and len(A.count) == 4 and A.linear


def test_a_chain_is_applied_in_the_order_it_is_written() -> None:
    x = torch.randn(4, *IMAGE)
    A = measure("grey+down:2+projection:5", IMAGE, 4, seed=3)
    y = Downsample(2, (1, 8, 6), 4)(Grey(IMAGE, 4)(x))
    assert torch.equal(A(x), Projection(white(5, (1, 4, 3), 3), 4)(y))


BAD_RULES = [
    "", "+", "grey+", "none", "blurr:2", "grey:2", "grey:", "blur", "blur:", "blur:0", "blur:-1",
    "blur:nan", "blur:inf", "blur:two", "blur:1_0", "blur:1:2", "down:1", "down:2.5", "down:-2",
    "projection", "projection:0", "projection:1e3", "projection:1_000", "projection:99999999999",
    "projection:٣", "projection:²", "projection:5+mask", "projection:9+projection:3",
    "Grey", None, 3,
]  # fmt: skip


@pytest.mark.parametrize("rule", BAD_RULES)
def test_a_rule_that_cannot_be_read_is_refused_in_one_line(rule: str) -> None:
    for read in (check_measure, lambda rule: measure(rule, (3, 24, 24), 2, 0)):
        with pytest.raises(UserError, match=r"^measure ") as caught:
            read(rule)
        assert "\n" not in str(caught.value)


def test_an_unknown_rule_is_answered_with_all_of_them() -> None:
    with pytest.raises(UserError) as caught:
        check_measure("foo:1")
    assert all(rule.example in str(caught.value) for rule in MEASURES.values())


# What is refused ------------------------------------------------------------------------------


def raising(x: Tensor) -> Tensor:
    raise RuntimeError("lost\nand a second line")


def physics(**methods: Callable[[Tensor], object]) -> object:
    return type("Given", (), {name: staticmethod(method) for name, method in methods.items()})()


def give(fn: Callable[[Tensor], object]) -> Callable[[], object]:
    return lambda: Function(fn, IMAGE, 2)  # pyright: ignore


X = torch.zeros(2, *IMAGE)
same = lambda x: x
REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "mask of numbers": (lambda: Mask(torch.ones(1, 3)), "True = hidden"),
    "mask of another shape": (lambda: Mask(hidden(2, (1, 8, 6)))(X), "made for signals of 1x8x6"),
    "matrix of one row": (lambda: Projection(torch.zeros(5), 2), "the matrix is 5;"),
    "empty matrix": (lambda: Projection(torch.zeros(0, 5), 2), "the matrix is 0x5;"),
    "nan in a matrix": (lambda: Projection(torch.full((2, 5), torch.nan), 2), "not finite"),
    "matrix of another D": (lambda: Projection(torch.eye(5), 2)(X), "5 numbers .* 144 "),
    "no images": (lambda: white(0, IMAGE, 0), "at least 1"),
    "images of nothing": (lambda: white(3, (3, 0, 4), 0), "3x0x4"),
    "too many projections": (lambda: measure("projection:145", IMAGE, 2, 0), "projection:144"),
    "blur of a table": (lambda: Blur(1.0, TABLE, 2), "blur: signals of 7 have no axis"),
    "blur by nothing": (lambda: Blur(0.0, IMAGE, 2), "width 0 is out of range"),
    "blur by nan": (lambda: Blur(float("nan"), IMAGE, 2), "width nan"),
    "blur too wide": (lambda: measure("blur:9", IMAGE, 2, 0), "up to the longest side, 8"),
    "blur of another shape": (lambda: Blur(1.0, (3, 8, 8), 2)(X), "blur was made for .*3x8x8"),
    "down of a table": (lambda: measure("down:2", TABLE, 2, 0), "down: .* no axis"),
    "down that does not divide": (lambda: measure("down:4", IMAGE, 2, 0), "side 4 .* 8x6"),
    "down by nothing": (lambda: Downsample(0, IMAGE, 2), "side 0"),
    "down of another shape": (lambda: Downsample(2, (3, 8, 8), 2)(X), "down was made for"),
    "grey twice": (lambda: measure("grey+grey", IMAGE, 2, 0), "grey: signals of 1x8x6"),
    "grey of a table": (lambda: Grey((3,), 2), "grey: signals of 3 have no axis"),
    "grey of another shape": (lambda: Grey((3, 8, 8), 2)(X), "grey was made for"),
    "empty chain": (Compose, "at least one"),
    "uneven chain": (lambda: Compose(Grey(IMAGE, 2), Blur(1, (1, 8, 6), 3)), "for 2, 3 examples"),
    "chain that does not fit": (lambda: Compose(Grey(IMAGE, 2), Blur(1, IMAGE, 2))(X), "1x8x6"),
    "no operators": (lambda: Each([]), "one for every example"),
    "operator of several": (lambda: Each([Grey(IMAGE, 1), Grey(IMAGE, 2)]), "example 1 is for 2"),
    "operators that differ": (
        lambda: Each([Identity(1, IMAGE), Identity(1, IMAGE), Downsample(2, IMAGE, 1)]),
        "example 2 returns 3x4x3, that of example 0 3x8x6",
    ),
    "too few operators": (lambda: Each([Grey(IMAGE, 1)])(X), "1 operators for 2 examples"),
    "function that raises": (give(raising), "operator raising raised RuntimeError .*: lost$"),
    "function of all rows": (give(lambda x: x.sum(0)), "for 2 examples; .* one row for each"),
    "function to a number": (give(lambda x: x.sum()), "returned a single number"),
    "function to an array": (give(lambda x: x.numpy()), "returned ndarray"),
    "function to integers": (give(lambda x: (x > 0).long()), "returned torch.int64"),
    "complex function": (give(lambda x: torch.fft.fft(x)), "returned torch.complex64"),
    "function that detaches": (give(lambda x: x.detach()), "differentiated by autograd"),
    "function of changing shape": (
        give(lambda x: x.reshape(len(x), -1)[:, : len(x)]),
        "returned 3 for an example; 2 was expected",
    ),
    "physics without A": (lambda: from_physics(same, IMAGE, 2), "has no method A;"),
    "nonlinear physics": (lambda: from_physics(physics(A=same), IMAGE, 2), "no method A_adjoint"),
    "physics that raises": (
        lambda: from_physics(physics(A=raising, A_adjoint=same), IMAGE, 2),
        "operator Given raised RuntimeError .* 2x3x8x6: lost$",
    ),
    "adjoint that raises": (
        lambda: from_physics(physics(A=same, A_adjoint=raising), IMAGE, 2),
        "Given.A_adjoint raised RuntimeError",
    ),
    "adjoint to another shape": (
        lambda: from_physics(physics(A=same, A_adjoint=lambda y: y[..., 1:]), IMAGE, 2),
        "A_adjoint returned 3x8x5 for an example; 3x8x6",
    ),
    "physics of one batch": (
        lambda: from_physics(
            physics(A=lambda x: x * torch.ones(2, 1, 1, 1), A_adjoint=same), IMAGE, 2
        ),
        "operator Given raised RuntimeError for signals of 3x3x8x6",
    ),
    "y of another shape": (
        lambda: check_measured(torch.zeros(2, 15), Projection(white(12, IMAGE, 0), 2), X),
        "operator returns 2x12, but y is 2x15",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_work_is_refused_in_one_line(name: str) -> None:
    run, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        run()
    assert "\n" not in str(caught.value)


def test_what_was_measured_with_an_operator_passes_its_check() -> None:
    A = measure("grey+down:2", IMAGE, 2, 0)
    check_measured(A(X), A, X)


def test_a_user_error_of_a_function_is_passed_on_as_it_is() -> None:
    def refuse(x: Tensor) -> Tensor:
        raise UserError("the camera is off; switch it on")

    with pytest.raises(UserError, match=r"^the camera is off; switch it on$"):
        Function(refuse, IMAGE, 2)


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
