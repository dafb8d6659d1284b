"""Other learners: each ends in an ordinary run, and each does what its formulas say."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from learners import LEARNERS, glo, ours, ppca, vae
from learners.harness import Found, Limit, annealed, learned, ready, timed
from learners.judging import Pictures, row
from sklearn.decomposition import PCA
from tiny import Command, blobs
from torch import Tensor, nn

from abprop.averaging import exponent
from abprop.data import SECRET
from abprop.learning.parts import WARM, make_optimizer
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.report.comparing.groups import essence
from abprop.run import load
from abprop.run.fitting import Session

SETS = (
    "model.latent=3", "model.channels=4", "data.holdout=0.3", "train.batch=8", "infer.chunk=16",
    "run.threads=1", "run.precision=float32",
)  # fmt: skip
SCRIPT = str(Path(__file__).resolve().parents[1] / "benchmarks" / "learners.py")
COUNT, ITERATIONS, DRAWS = 70, 5, 4000


def few() -> Limit:
    return Limit(1.0, ITERATIONS)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Pictures:
    """Blobs to learn from and unseen ones."""
    folder = tmp_path_factory.mktemp("pictures")
    np.save(folder / "train.npy", blobs(COUNT))
    np.save(folder / "test.npy", blobs(8, seed=5))
    return Pictures(folder / "train.npy", folder / "test.npy", (), SETS)


def session_of(name: str, pictures: Pictures, folder: Path, *sets: str) -> tuple[Session, Found]:
    keys = (*SETS, *LEARNERS[name].keys(), *sets)
    return learned(LEARNERS[name].learn, folder, pictures.train, keys, 0, few)


# Runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LEARNERS)
def test_a_learner_ends_in_a_run(name: str, pictures: Pictures, tmp_path: Path) -> None:
    session, found = session_of(name, pictures, tmp_path / "run")
    run, model = load(tmp_path / "run"), session.learning.answering
    assert run.step == found.iterations == (1 if name == "ppca" else ITERATIONS)
    assert len(run.z) == len(session.learning.train) and torch.isfinite(run.z).all()
    for mine, theirs in zip(
        model.network.parameters(), run.learned.network.parameters(), strict=True
    ):
        assert torch.equal(mine, theirs)
    assert run.recipe.train.iterations == found.iterations
    assert run.sample(2).shape == (2, 1, 8, 8)
    assert run.evaluate(pictures.test, against="pca")["baselines"]["pca"]["mse"] > 0
    answer = run.recover(pictures.test, hide="P.5", draws=2)
    assert np.isfinite(answer.mean).all()
    if found.own is not None:
        y, _ = run.given(pictures.test).batch(range(8))
        assert found.own(y).shape == y.shape


@pytest.mark.parametrize("name", LEARNERS)
def test_learners_differ_in_their_recipes(name: str) -> None:
    """Or `abprop compare` would take them for seeds of one."""
    keys = {other: learner.sets for other, learner in LEARNERS.items()}
    assert [other for other, sets in keys.items() if sets == keys[name]] == [name]


def test_seeds_of_a_learner_are_one_row(pictures: Pictures, tmp_path: Path) -> None:
    """Though each came to another number of iterations in its time."""
    keys = (*SETS, *LEARNERS["glo"].keys())
    for seed in (0, 1):
        learned(glo.learn, tmp_path / str(seed), pictures.train, keys, seed, lambda: Limit(0.2))
    recipes = [load(tmp_path / str(seed)).recipe for seed in (0, 1)]
    assert recipes[0].train.budget == "0.2s"
    assert essence(recipes[0]) == essence(recipes[1])


def test_all_see_the_same(pictures: Pictures, tmp_path: Path) -> None:
    """Examples, order and first weights; a linear f has weights of its own."""
    begun = {}
    for name, learner in LEARNERS.items():
        keys = (*SETS, *learner.keys())
        session, _ = ready(tmp_path / name, pictures.train, keys, 0, few)
        begun[name] = session.learning
    first = begun["abp"]
    for name, learning in begun.items():
        assert torch.equal(learning.train.ids, first.train.ids)
        assert learning.settings.train.batch == first.settings.train.batch
        if name != "ppca":
            weights = zip(learning.model.network.parameters(), first.model.network.parameters(),
                          strict=True)  # fmt: skip
            assert all(torch.equal(a, b) for a, b in weights)


def test_all_answer_with_averages_over_the_path(pictures: Pictures, tmp_path: Path) -> None:
    keys = (*SETS, *LEARNERS["glo"].keys(), "train.average=0.1")
    session, limit = ready(tmp_path, pictures.train, keys, 0, few)
    (weight, *_), other = session.learning.model.network.parameters(), nn.Parameter(torch.zeros(()))
    for t, _ in enumerate(timed(session, limit, {}, [other])):
        weight.data.fill_(t)
        other.data.fill_(t)
    mean = torch.zeros(())
    for t in range(ITERATIONS):
        mean.lerp_(torch.tensor(float(t)), 1 - (1 - 1 / (t + 1)) ** (exponent(0.1) + 1))
    assert torch.allclose(weight, mean) and torch.allclose(other, mean) and 0 < mean < t
    answers, *_ = session.learning.answering.network.parameters()
    assert torch.equal(answers, weight) and answers is not weight
    plain = (*SETS, *LEARNERS["glo"].keys(), "train.average=0")
    session, limit = ready(tmp_path, pictures.train, plain, 0, few)
    for t, _ in enumerate(timed(session, limit, {}, [other])):
        other.data.fill_(t)
    assert other.item() == t and session.learning.averaged is None


def test_every_group_of_every_optimizer_follows_the_schedule(
    pictures: Pictures, tmp_path: Path
) -> None:
    keys = (*SETS, *LEARNERS["vae"].keys(), "train.weight_decay=0.3")
    session, limit = ready(tmp_path, pictures.train, keys, 0, few)
    ours = make_optimizer(session.learning.settings, session.learning.model)
    free = torch.optim.Adam([nn.Parameter(torch.zeros(2))])
    assert {group["weight_decay"] for group in ours.param_groups} == {0.0, 0.3}
    told = []
    for _ in timed(session, limit, {ours: 0.1, free: 0.01}):
        (rate,) = {group["lr"] for group in ours.param_groups}
        assert free.param_groups[0]["lr"] == pytest.approx(0.1 * rate)
        told.append(rate)
    assert told[0] < 0.1 * 2 / WARM and len(set(told)) == len(told) == ITERATIONS


@pytest.mark.parametrize("name", LEARNERS)
def test_incomplete_pictures(name: str, pictures: Pictures, tmp_path: Path) -> None:
    """What is hidden tells nothing: other truths behind the masks, the same weights."""
    other, values = tmp_path / "other.npy", np.load(pictures.train)
    # With iterations that are given nothing is measured that could make other bits of the same.
    sets = "data.hide=P.5", f"train.iterations={ITERATIONS}"
    session, _ = session_of(name, pictures, tmp_path / "run", *sets)
    codes = session.signals.codes(range(COUNT))
    assert codes is not None
    veil = codes[:, 0] == SECRET
    np.save(other, np.where(veil, 255 - values, values))
    changed = Pictures(other, pictures.test, (), SETS)
    again, _ = session_of(name, changed, tmp_path / "again", *sets)
    mine, theirs = (s.learning.model.network.parameters() for s in (session, again))
    assert all(torch.equal(a, b) for a, b in zip(mine, theirs, strict=True))
    assert load(tmp_path / "run").evaluate(draws=2)["scored"] == "hidden"


def test_a_learner_that_diverged_is_said_to(
    pictures: Pictures, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = (*SETS, *LEARNERS["glo"].keys(), "train.learning_rate=1000")
    learned(glo.learn, tmp_path / "bad", pictures.train, sets, 0, few)
    assert "note: bad: held-out pictures" in capsys.readouterr().out
    session_of("ppca", pictures, tmp_path / "good")
    assert "diverged" not in capsys.readouterr().out


def test_a_row_is_judged_by_the_commands(
    pictures: Pictures, tmp_path: Path, abprop: Command
) -> None:
    def evaluate(*words: object) -> dict[str, Any]:
        return json.loads(abprop("evaluate", *words, "--draws", 2, "--json").out)

    def found(hidden: bool) -> dict[str, Any]:
        folder = tmp_path / str(hidden)
        return row("vae", LEARNERS["vae"], pictures, folder, 0, few, hidden=hidden,
                   evaluate=evaluate)  # fmt: skip

    told, half = found(hidden=False), found(hidden=True)
    assert told["own_mse"] > 0 and told["unseen"]["mse"] > 0
    assert told["unseen"]["likelihood"]["scored"] == "given"
    assert told["recovery"]["scored"] == "hidden" and told["iterations"] == ITERATIONS
    assert half["own_data"]["scored"] == "hidden"
    for kind, what in (("complete", told), ("hidden", half)):
        path = tmp_path / f"learners-blobs-vae-{kind}-0.json"
        path.write_text(json.dumps(what), "utf-8")
    lines = runpy.run_path(SCRIPT)["table"]("blobs", tmp_path).splitlines()
    assert len(lines) == 3 and lines[2].startswith("| vae | ")
    assert all(cell.strip() for cell in lines[2].strip("|").split("|"))


# The limit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("each", "waits"), [(1 / 700, 100), (1 / 70_000, 1000)])
def test_the_schedule_is_that_of_fit(each: float, waits: int) -> None:
    """With two steps chains wait for a third of the iterations, a seventh of the time, and for
    1,000 at most; `each` is what an iteration takes of the time while they wait."""
    part = ours.waiting_part(2)
    assert part == pytest.approx(1 / 7)
    total = waits + round((1 - waits * each) / (3 * each))
    assert total == 300 or waits == 1000
    stay, move = ours.Pace(2, part, None), ours.Pace(2, 0.0, (waits, waits * each))
    for t in (1, waits // 2, waits):
        assert stay.total(t, t * each) == pytest.approx(total, abs=1)
    for t in (waits, waits + 1, total - 1):
        assert move.total(t, (waits + 3 * (t - waits)) * each) == pytest.approx(total, abs=1)
    assert stay.total(0, 0.0) == 1 and move.total(total, 1.0) == total + 1
    assert ours.Pace(2, 0.0, (0, 0.0)).total(40, 0.4) == 100
    assert annealed(1000, 0.0) == 1.0 and annealed(1000, 1.0) == pytest.approx(0.01)


# Formulas -------------------------------------------------------------------------------------


class Straight:
    """A linear f, a law q for six signals of five numbers, and sigma; all in float64."""

    def __init__(self) -> None:
        noise = Noise(0, "straight")
        take = iter(range(10))

        def normal(*size: int) -> Tensor:
            return noise.at(torch.zeros(1), next(take)).normal(size)[0].clone()

        self.f = LinearGenerator((2,), (5,)).double()
        self.f.weight.data, self.f.bias.data = normal(5, 2), normal(5)
        self.y, self.A = normal(6, 5), Identity(6, (5,))
        self.mean, self.log_s = normal(6, 2).requires_grad_(), normal(6, 2).mul_(0.3)
        self.log_s.requires_grad_()
        self.log_sigma = torch.tensor(-0.5, dtype=torch.float64, requires_grad=True)
        self.law = vae.Law(self.mean, self.log_s)

    @property
    def every(self) -> list[Tensor]:
        return [self.f.weight, self.f.bias, self.mean, self.log_s, self.log_sigma]

    def exact(self) -> Tensor:
        """ELBO in closed form: <|y - W z - b|^2> = |y - W m - b|^2 + sum_k s_k^2 |w_k|^2."""
        sigma, spread = self.log_sigma.exp(), (2 * self.log_s).exp()
        squares = (self.y - self.f(self.mean)).square().sum(1)
        squares = squares + spread @ self.f.weight.square().sum(0)
        log_p = -squares / (2 * sigma**2) - 2.5 * torch.log(2 * torch.pi * sigma**2)
        q, p = (
            torch.distributions.Normal(self.mean, spread.sqrt()),
            torch.distributions.Normal(0, 1),
        )
        return (log_p - torch.distributions.kl_divergence(q, p).sum(1)).sum()


def test_the_vae_climbs_its_bound() -> None:
    """The mean of many gradients is the exact one within five of its standard errors."""
    case, noise, found = Straight(), Noise(1, "draws"), []
    for t in range(DRAWS):
        e = noise.at(torch.arange(6), t).normal((2,))
        told = vae.elbo(case.f, case.law, case.y, case.A, case.log_sigma.exp(), e).sum()
        grads = torch.autograd.grad(told, case.every)
        found.append(torch.cat([told.detach()[None], *(g.flatten() for g in grads)]))
    drawn, exact = torch.stack(found), case.exact()
    grads = torch.autograd.grad(exact, case.every)
    truth = torch.cat([exact.detach()[None], *(g.flatten() for g in grads)])
    error = drawn.std(0) / DRAWS**0.5
    assert ((drawn.mean(0) - truth).abs() <= 5 * error + 1e-9).all()


def test_the_encoder_mirrors_the_decoder(pictures: Pictures, tmp_path: Path) -> None:
    session, _ = ready(tmp_path / "run", pictures.train, SETS, 0, few)
    network = session.learning.model.network
    assert isinstance(network, ConvGenerator)
    encoder = vae.Encoder(network, Noise(0, "encoder"))
    shapes = [tuple(w.shape) for w in encoder.weights]
    assert shapes == [tuple(w.shape) for w in reversed(list(network.weights))]
    law = encoder(session.learning.train.batch(torch.arange(4)).y)
    assert law.mean.shape == law.log_s.shape == (4, 3)


def test_latents_of_glo_stay_in_the_ball(pictures: Pictures, tmp_path: Path) -> None:
    _, found = session_of("glo", pictures, tmp_path / "run", "train.learning_rate=1")
    assert found.z is not None
    lengths, radius = found.z.norm(dim=1), glo.radius(found.z)
    assert (lengths <= radius * (1 + 1e-5)).all() and (lengths > 0.99 * radius).any()
    z = torch.tensor([[3.0, 4.0], [0.1, 0.2]])
    glo.project(z, torch.tensor([1]))
    assert torch.equal(z[0], torch.tensor([3.0, 4.0]))
    glo.project(z)
    torch.testing.assert_close(z[0], 2**0.5 * torch.tensor([0.6, 0.8]))
    assert torch.equal(z[1], torch.tensor([0.1, 0.2]))


def straight(session: Session) -> tuple[Tensor, Tensor, Tensor]:
    """W, b and sigma of a linear f."""
    model = session.learning.model
    assert isinstance(model.network, LinearGenerator)
    return model.network.weight.detach(), model.network.bias.detach(), model.likelihood.sigma


def test_likelihood_of_ppca_is_scikit_learns(tmp_path: Path) -> None:
    """By N(b, W W^T + sigma^2 I) of the weights it left. scikit-learn divides by n - 1."""
    np.save(tmp_path / "more.npy", blobs(120))  # than there are numbers in each
    session, _ = ready(tmp_path / "run", tmp_path / "more.npy", (*SETS, *ppca.SETS), 0, few)
    ppca.learn(session, few())
    W, b, sigma = (v.double() for v in straight(session))
    x = session.learning.train.batch().y.flatten(1).double()
    noise = sigma**2 * torch.eye(len(b), dtype=torch.float64)
    told = torch.distributions.MultivariateNormal(b, W @ W.T + noise).log_prob(x)
    shrunk = x.mean(0) + (x - x.mean(0)) * ((len(x) - 1) / len(x)) ** 0.5
    expected = PCA(3, svd_solver="full").fit(shrunk.numpy()).score_samples(x.numpy())
    torch.testing.assert_close(told, torch.from_numpy(expected), rtol=1e-3, atol=1e-2)


def test_draws_of_ppca_are_of_its_posterior(pictures: Pictures, tmp_path: Path) -> None:
    """N(M^-1 W^T (x - b) / sigma^2, M^-1) with M = I + W^T W / sigma^2: whitened by it, N(0, I)."""
    session, found = session_of("ppca", pictures, tmp_path / "run")
    assert found.z is not None
    W, b, sigma = straight(session)
    M = torch.eye(3) + W.T @ W / sigma**2
    x = session.learning.train.batch().y.flatten(1)
    mean = torch.linalg.solve(M, W.T @ (x - b).T / sigma**2).T
    white = (found.z - mean) @ torch.linalg.cholesky(M)
    assert abs(white.mean()) < 5 / white.numel() ** 0.5
    assert abs(white.square().mean() - 1) < 5 * (2 / white.numel()) ** 0.5
