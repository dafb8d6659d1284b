"""Operators by rule and by others' hand, and what is refused in one line."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from operators import IMAGE, SOUND, TABLE, VIDEO, Physics, hidden
from test_operators import same
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
    Projection,
    check_measure,
    check_measured,
    from_physics,
    measure,
    white,
)

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
