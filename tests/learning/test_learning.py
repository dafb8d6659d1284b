"""Learning on its own: plain settings, tensors, no folder and no recipe."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
import torch
from tiny import blobs

from abprop.data import Examples
from abprop.errors import AbpropError
from abprop.learning import InferSettings, Learning, ModelSettings, Settings, TrainSettings, parts
from abprop.learning.events import Score, turned
from abprop.operators import Identity, Mask, Projection, white
from abprop.run.schema import Recipe

SHAPE = (1, 8, 8)


def pictures(count: int = 40) -> torch.Tensor:
    return torch.from_numpy(blobs(count)).float()[:, None] / 127.5 - 1


def settings(**infer: object) -> Settings:
    return Settings(
        ModelSettings((3,), channels=8, sigma=0.3),
        InferSettings(steps=2, chunk=16, **infer),  # type: ignore[arg-type]
        TrainSettings(iterations=200, batch=16, learning_rate=0.005),
    )


@pytest.mark.parametrize("measured", ["whole", "masked", "projected"])
def test_tensors_and_an_operator_are_learned_from_as_they_are(
    measured: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    x, n = pictures(), 40
    hidden = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(0)) < 0.3
    A = {
        "whole": Identity(n, SHAPE),
        "masked": Mask(hidden),
        "projected": Projection(white(20, SHAPE, seed=0), n),
    }[measured]
    y = A(x)
    learning = Learning(settings(), Examples(y, A, torch.arange(n), SHAPE))
    losses = [step.residual.item() for step in learning.steps(200)]
    assert sum(losses[-10:]) < 0.7 * sum(losses[:10]) and learning.t == 200
    assert learning.latents.z.shape == (40, 3) and os.listdir(tmp_path) == []


def test_held_out_scores_are_dense_where_few_factors_would_turn():
    asked = settings()
    asked = dataclasses.replace(asked, train=dataclasses.replace(asked.train, scores=5))
    x, ids = pictures(), torch.arange(40)
    sets = [Examples(x[i], Identity(len(i), SHAPE), i, SHAPE) for i in (ids[:32], ids[32:])]
    learning = Learning(asked, sets[0], heldout=sets[1])
    for _ in learning.steps(200):
        pass
    assert [score.t for score in learning.scores] == [8, 32, 72, 128, 200]  # 200 (k / 5)^2
    told = {}
    for spread in (1e-2, 0.3**2, 1e2):  # sigma as it answers, whatever it is in learning: 0.3
        learning.scores = [Score(1, 1.0, spread)]
        told[spread] = learning.score_heldout().mse
    learning.scores = []
    plain = learning.score_heldout().mse
    assert told[1e-2] < plain < told[1e2] and told[0.3**2] == pytest.approx(plain, rel=1e-4)
    short = dataclasses.replace(asked, train=dataclasses.replace(asked.train, iterations=3))
    learning = Learning(short, sets[0], heldout=sets[1])
    for _ in learning.steps(3):
        pass
    assert [score.t for score in learning.scores] == [1, 2, 3]  # there are no more


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        ([], False),
        ([5.0], False),
        ([5, 4, 3, 2], False),
        ([5, 4, 4.1], False),  # not yet as long as it fell
        ([5, 4, 4.1, 4.2], True),
        ([5, 4, 4.03, 4.03], False),  # by less than one per cent
        ([5, 4, 4.1, 3.9], False),
        ([5, 4, 5, 4.03], False),  # it has, and fell again
        ([4, 5, 5, 5], True),
    ],
)
def test_learning_has_turned_where_unseen_errors_rise_as_long_as_they_fell(errors, said: bool):
    scores = [Score(100 * (i + 1), mse, mse) for i, mse in enumerate(errors)]
    assert turned(scores, since=0) == turned(scores, since=200) == said
    assert not turned(scores, since=201), "W had hardly begun"


def test_several_chains_of_an_example_share_its_id():
    x = pictures()
    examples = Examples(x, Identity(40, SHAPE), torch.arange(40), SHAPE)
    learning = Learning(settings(chains=3), examples)
    for _ in learning.steps(2):
        pass
    assert learning.latents.z.shape == (120, 3) and len(learning.latents) == 40


def test_ids_must_ascend():
    with pytest.raises(AbpropError, match="ascend"):
        Examples(pictures(3), Identity(3, SHAPE), torch.tensor([0, 2, 1]), SHAPE)


def test_plain_settings_have_the_recipes_defaults():
    recipe = Recipe()
    sections = ((InferSettings(), recipe.infer), (TrainSettings(), recipe.train))
    for mine, theirs in sections:
        own = dataclasses.asdict(mine)
        told = {k: v for k, v in theirs.model_dump().items() if k != "budget"}
        assert own.keys() == told.keys()
        chosen = {"start", "draws", "weight_decay"}  # the recipe's are open until it is resolved
        assert {k: own[k] for k in own.keys() - chosen} == {
            k: told[k] for k in told.keys() - chosen
        }
    model = ModelSettings((2,))
    assert (model.network, model.prior) == (recipe.model.network, "gaussian")
    assert recipe.model.prior == "auto", "until it is resolved"


def test_weights_decay_and_biases_do_not():
    asked = settings()
    train = dataclasses.replace(asked.train, weight_decay=0.3)
    x, ids = pictures(), torch.arange(40)
    examples = Examples(x, Identity(40, SHAPE), ids, SHAPE)
    learning = Learning(dataclasses.replace(asked, train=train), examples)
    parameters = list(learning.model.network.parameters())
    before = []
    for p in parameters:
        p.data.add_(1.0)  # biases begin at zero, which no decay would change
        p.grad = torch.zeros_like(p)
        before.append(p.detach().clone())
    learning.optimizer.step()
    for p, was in zip(parameters, before, strict=True):
        kept = 1 - 0.3 * train.learning_rate if p.ndim > 1 else 1.0
        torch.testing.assert_close(p.detach(), kept * was)
    # Checkpoints number moments as the network numbers its parameters, decay or not.
    moments = parts.optimizer_tensors(learning.optimizer)
    assert {p.ndim > 1 for p in parameters} == {True, False}
    assert [moments[f"{i}.exp_avg"].shape for i in range(len(parameters))] == [
        p.shape for p in parameters
    ]
