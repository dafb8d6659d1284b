import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from abprop.errors import UserError
from abprop.operators import Identity, Mask, Operator, observe

SHAPES = [(7,), (1, 9), (3, 8, 6), (2, 4, 4, 4)]


def identity(shape: tuple[int, ...]) -> Operator:
    return Identity(4, shape)


def mask(shape: tuple[int, ...]) -> Operator:
    return Mask(torch.rand(4, *shape) < 0.4)


LINEAR = [identity, mask]


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_adjoint_passes_the_dot_product_test(make, shape: tuple[int, ...]) -> None:
    A, x = make(shape), torch.randn(4, *shape, dtype=torch.float64)
    Ax, adjoint = A.vjp(x)
    assert torch.equal(Ax, A(x))
    v = torch.randn_like(Ax)
    left, right = (Ax * v).flatten(1).sum(1), (x * adjoint(v)).flatten(1).sum(1)
    torch.testing.assert_close(left, right)


@pytest.mark.parametrize("make", LINEAR)
@pytest.mark.parametrize("shape", SHAPES)
def test_rows_of_an_operator_act_on_rows(make, shape: tuple[int, ...]) -> None:
    A, x, rows = make(shape), torch.randn(4, *shape), torch.tensor([3, 1, 1])
    assert torch.equal(A[rows](x[rows]), A(x)[rows])
    assert torch.equal(A[rows].count, A.count[rows])


@given(bad=st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e30]))
def test_nothing_behind_a_mask_leaks(bad: float) -> None:
    y = torch.randn(2, 3, 5, 5)
    hidden = torch.rand(2, 1, 5, 5) < 0.5
    clean, A = observe(y, hidden)
    spoilt, B = observe(torch.where(hidden, bad, y), hidden)
    assert torch.equal(clean, spoilt) and torch.equal(A.count, B.count)
    assert torch.equal(A(torch.where(hidden, bad, y)), clean)
    assert torch.equal(A.count, (~hidden).expand_as(y).flatten(1).sum(1).float())


def test_a_mask_must_be_boolean() -> None:
    with pytest.raises(UserError, match="True = hidden"):
        Mask(torch.ones(1, 3))
