"""One covariance of all columns: exact conditionals, and a covariance from rows with holes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from abprop.residuals import Joint, fit_joint

RANDOM = torch.Generator().manual_seed(0)
D = 5


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=RANDOM, dtype=torch.float64)


@pytest.fixture(scope="module")
def C() -> Tensor:
    root = normal(D, D)
    return root @ root.T + 0.1 * torch.eye(D)


@pytest.fixture(scope="module")
def hidden() -> Tensor:
    found = torch.rand(7, D, generator=RANDOM) < 0.5
    found[0], found[1] = False, True  # all there, and nothing
    return found


def exact(C: Tensor, e: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and covariance of what is hidden of one row, given the rest."""
    o, h = ~hidden, hidden
    gain = C[h][:, o] @ torch.linalg.inv(C[o][:, o])
    return gain @ e[o], C[h][:, h] - gain @ C[o][:, h]


def test_what_is_hidden_has_its_exact_law_given_the_rest(C: Tensor, hidden: Tensor):
    law, K = Joint(C).on(hidden), 40_000
    y, x = normal(7, D).float(), normal(7, 1, D).float()
    expected = law.expected(x, y)
    drawn = law.complete(x.expand(-1, K, -1), y, normal(7, K, D).float())
    for row in range(7):
        h = hidden[row]
        assert torch.equal(expected[row, 0, ~h], y[row, ~h])
        assert torch.equal(drawn[row][:, ~h], y[row, ~h].expand(K, -1))
        mean, spread = exact(C, (y[row] - x[row, 0]).double(), h)
        told = (expected[row, 0] - x[row, 0])[h].double()
        torch.testing.assert_close(told, mean, atol=1e-4, rtol=1e-4)
        if h.any():
            off = (drawn[row] - expected[row])[:, h].double()
            torch.testing.assert_close(off.T @ off / K, spread, atol=0.06 * float(C.max()), rtol=0)


def test_what_is_observed_is_white_under_its_operator(C: Tensor, hidden: Tensor):
    law = Joint(C).on(hidden)
    columns = torch.stack([law.A(torch.eye(D)[i].expand(7, D)) for i in range(D)], 2).double()
    seen = torch.diag_embed((~hidden).double())
    torch.testing.assert_close(columns @ C @ columns.mT, seen, atol=1e-4, rtol=1e-4)
    assert law.A.count.tolist() == (~hidden).sum(1).tolist() and law.sigma == 1


def test_its_operator_is_linear_and_knows_its_adjoint(C: Tensor, hidden: Tensor):
    A, rows = Joint(C).on(hidden).A, torch.tensor([6, 2, 2])
    x, v = normal(7, D).float(), normal(7, D).float()
    y, back = A.vjp(x)
    torch.testing.assert_close((y * v).sum(1), (x * back(v)).sum(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(A[rows](x[rows]), y[rows])
    assert torch.equal(A[rows].count, A.count[rows])
    assert torch.equal(A.to("cpu")(x), y)


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_covariance_is_found_in_rows_with_holes(C: Tensor, share: float):
    e = normal(4000, D) @ torch.linalg.cholesky(C).T
    observed = torch.rand(e.shape, generator=RANDOM) >= share
    found = fit_joint(torch.where(observed, e, torch.nan), observed).covariance
    error = (found - C).norm() / C.norm()
    assert error < 0.05
    if not share:
        torch.testing.assert_close(found, e.T @ e / len(e), atol=0, rtol=0.02)


def test_few_rows_do_not_tell_of_correlations():
    e = normal(3, 20)
    found = fit_joint(e, torch.ones_like(e, dtype=torch.bool)).covariance
    assert torch.linalg.eigvalsh(found)[0] > 0
    own = found.diagonal().sqrt()
    away = found / own / own[:, None] - torch.eye(20)
    assert away.abs().max() < 0.2


def test_a_column_that_nothing_is_known_of():
    e = normal(50, 3)
    e[:, 1] = 0
    observed = torch.ones_like(e, dtype=torch.bool)
    observed[:, 1] = False
    law = fit_joint(e, observed).on(~observed)
    assert torch.isfinite(law.expected(torch.zeros(50, 1, 3), e.float())).all()
