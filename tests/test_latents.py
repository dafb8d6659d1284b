import pytest
import torch

from abprop.errors import AbpropError
from abprop.inference import State
from abprop.latents import Latents, Rehearsed, Restarted, chosen
from abprop.noise import Noise
from abprop.priors import Gaussian


def table() -> Latents:
    return Latents(torch.tensor([2, 5, 9, 70]), State.begin(torch.randn(4, 3, 2, 2), torch.rand(4)))


def test_rows_are_found_by_id_in_any_order() -> None:
    latents, ids = table(), torch.tensor([70, 2])
    state = latents[ids]
    assert torch.equal(state.z, latents.z[[3, 0]]) and torch.equal(state.s, latents.state.s[[3, 0]])


def test_writing_changes_those_rows_only() -> None:
    latents, before = table(), table().z
    before = latents.z.clone()
    latents[torch.tensor([9, 5])] = State.begin(torch.zeros(2, 3, 2, 2), torch.ones(2))
    assert torch.equal(latents.z[[0, 3]], before[[0, 3]])
    assert latents.z[[1, 2]].abs().sum() == 0 and (latents.state.s[[1, 2]] == 1).all()


@pytest.mark.parametrize("bad", [3, 71, 0])
def test_an_unknown_id_is_named(bad: int) -> None:
    with pytest.raises(AbpropError, match=f"no example has id {bad}"):
        table()[torch.tensor([5, bad])]


def test_several_chains_of_an_example_stand_in_a_row() -> None:
    z = torch.arange(12.0).reshape(6, 2)
    latents = Latents(torch.tensor([3, 4, 8]), State.begin(z))
    assert latents.chains == 2 and len(latents) == 3
    assert torch.equal(latents[torch.tensor([8, 3])].z, z[[4, 5, 0, 1]])
    latents[torch.tensor([4])] = State.begin(torch.zeros(2, 2))
    assert latents.z[2:4].abs().sum() == 0 and latents.z[[0, 1, 4, 5]].abs().sum() > 0


def test_a_table_comes_back_from_its_tensors_also_from_those_of_an_earlier_version() -> None:
    latents, again = table(), table()
    latents.metric.update(torch.randn(50, 3, 2, 2))
    again.load(latents.tensors())
    assert all(torch.equal(v, again.tensors()[name]) for name, v in latents.tensors().items())
    again.load({"ids": latents.ids, "z": latents.z, "s": latents.state.s})
    assert torch.equal(again.z, latents.z) and torch.equal(again.metric.root, torch.eye(3))


def test_restarted_chains_begin_at_the_prior_anew_at_every_visit() -> None:
    prior, ids = Gaussian((2,)), torch.tensor([3, 8])
    prior.update(torch.randn(99, 2) * 0.1 + 5, 1.0)
    state = State.begin(torch.zeros(6, 2), 0.3)
    latents = Restarted(torch.tensor([3, 4, 8]), state, None, prior, Noise(0, "restart"))
    first = latents[ids]
    assert first.z.shape == (4, 2) and (first.z - 5).abs().max() < 1
    assert len(first.z.unique(dim=0)) == 4 and (first.s == 0.3).all()
    assert torch.equal(latents[ids].z, first.z)  # until the chains have moved on
    latents[ids] = first._replace(age=first.age + 5)
    assert not torch.isclose(latents[ids].z, first.z).any()


def test_tables_of_unequal_length_are_refused() -> None:
    with pytest.raises(AbpropError, match="2 ids, but 3 of z"):
        Latents(torch.tensor([1, 2]), State.begin(torch.zeros(3, 4)))


@pytest.mark.parametrize("restarted", [False, True])
def test_a_rehearsed_table_leaves_the_real_one_as_it_is(restarted: bool) -> None:
    latents, ids = table(), torch.tensor([5, 70])
    if restarted:
        prior = Gaussian((3, 2, 2))
        latents = Restarted(latents.ids, latents.state, latents.metric, prior, Noise(0, "restart"))
    before = {name: v.clone() for name, v in latents.tensors().items()}
    rehearsed = Rehearsed(latents)
    state = rehearsed[ids]
    assert torch.equal(state.z, latents[ids].z) and (state.axis == 1).all()
    rehearsed[ids] = State.begin(torch.zeros(2, 3, 2, 2), 7.0)
    rehearsed.metric.update(torch.randn(50, 3, 2, 2))
    assert not torch.equal(rehearsed.metric.root, latents.metric.root)
    assert all(torch.equal(v, before[name]) for name, v in latents.tensors().items())


def test_chains_of_some_examples_are_taken_on_with_the_metric() -> None:
    whole, latents = (
        table(),
        Latents(torch.tensor([5, 6, 70]), State.begin(torch.zeros(3, 3, 2, 2))),
    )
    whole.metric.update(torch.randn(50, 3, 2, 2))
    ids = torch.tensor([5, 70])
    latents.adopt(chosen(whole.tensors(), ids), ids)
    assert torch.equal(latents.z[[0, 2]], whole.z[[1, 3]]) and not latents.z[1].any()
    assert torch.equal(latents.metric.root, whole.metric.root)
    again = table()
    again.adopt(whole.tensors(), whole.ids)
    assert all(torch.equal(v, again.tensors()[name]) for name, v in whole.tensors().items())
