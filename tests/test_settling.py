"""New chains against posteriors that are known."""

from __future__ import annotations

import pytest
import torch

from abprop.inference import KERNELS, Metric, State, calibrate
from abprop.noise import Noise
from abprop.tasks import settled
from abprop.verify import Linear, Size, linear

CHAINS = 128


def burnt_in(problem: Linear, kernel: str, rows: torch.Tensor) -> torch.Tensor:
    """Where chains of some examples stand, (E, CHAINS, d)."""
    each = rows.repeat_interleave(CHAINS)
    number = torch.arange(CHAINS).repeat(len(rows))
    d, every = problem.mean.shape[1], torch.arange(len(problem.y))
    metric, start = Metric.plain(torch.zeros(1, d), 0.05), problem.mean.float()
    noise = Noise(0, "metric").at(every)
    calibrate(problem.model, problem.y, problem.A, start, metric, noise)  # as that of learning
    state = settled(
        problem.model,
        problem.y[each],
        problem.A[each],
        State.begin(torch.full((len(each), d), 1e3)),  # not looked at
        KERNELS[kernel](),
        metric,
        Noise(0, "langevin").at(each, chain=number),
        known=torch.zeros(1, d),
        chunk=256,
    )
    return state.z.unflatten(0, (len(rows), CHAINS)).double()


@pytest.mark.parametrize("kernel", ["leimkuhler", "langevin"])
@pytest.mark.parametrize("spectrum", ["equal", "power"])
def test_they_are_draws_from_the_posterior(kernel: str, spectrum: str) -> None:
    problem = linear(spectrum, True, 0, Size(d=8, measured=60, examples=6))
    z = burnt_in(problem, kernel, torch.arange(6))
    whitened = torch.linalg.cholesky(problem.precision).mT
    off = torch.einsum("ejd,ed->ej", whitened, z.mean(1) - problem.mean) * CHAINS**0.5
    assert off.square().mean() < 2, "of squares of standard normals"
    spread = torch.einsum("ejd,ecd->ecj", whitened, z - z.mean(1, keepdim=True))
    assert (spread.square().mean((0, 1)) - 1).abs().max() < 0.35
    assert spread.square().mean() == pytest.approx(1, abs=0.12)


def test_an_examples_chains_do_not_depend_on_its_company() -> None:
    problem = linear("power", True, 0, Size(d=8, measured=60, examples=6))
    whole = burnt_in(problem, "leimkuhler", torch.arange(6))
    assert torch.equal(burnt_in(problem, "leimkuhler", torch.tensor([4, 1])), whole[[4, 1]])
