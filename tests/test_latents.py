import pytest
import torch

from abprop.errors import AbpropError
from abprop.inference import State
from abprop.latents import Latents


def table() -> Latents:
    return Latents(torch.tensor([2, 5, 9, 70]), torch.randn(4, 3, 2, 2), torch.rand(4))


def test_rows_are_found_by_id_in_any_order() -> None:
    latents, ids = table(), torch.tensor([70, 2])
    state = latents[ids]
    assert torch.equal(state.z, latents.z[[3, 0]]) and torch.equal(state.s, latents.s[[3, 0]])


def test_writing_changes_those_rows_only() -> None:
    latents, before = table(), table().z
    before = latents.z.clone()
    latents[torch.tensor([9, 5])] = State(torch.zeros(2, 3, 2, 2), torch.ones(2))
    assert torch.equal(latents.z[[0, 3]], before[[0, 3]])
    assert latents.z[[1, 2]].abs().sum() == 0 and (latents.s[[1, 2]] == 1).all()


@pytest.mark.parametrize("bad", [3, 71, 0])
def test_an_unknown_id_is_named(bad: int) -> None:
    with pytest.raises(AbpropError, match=f"no example has id {bad}"):
        table()[torch.tensor([5, bad])]
