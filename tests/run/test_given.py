"""Operators handed over in Python: a run learned through them, gone on with, loaded and asked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny import FACES, Command, blobs
from torch import Tensor

from abprop import Run, fit, load
from abprop.errors import UserError
from abprop.operators import Blur, adopted, in_model_units
from abprop.run import Layers
from abprop.run import fit as learn
from abprop.run.split import GIVEN as GIVEN_KEY

SHAPE = (1, 8, 8)
X = torch.from_numpy(blobs(24)).reshape(24, *SHAPE).float()  # 0 to 255
ROWS = torch.randn(30, 64, generator=torch.Generator().manual_seed(0))

SETS: dict[str, Any] = {
    key: int(text) if text.isdigit() else text for key, _, text in (s.partition("=") for s in FACES)
}


class Halved:
    """A linear physics as deepinv has them; to call it would add noise."""

    def A(self, x: Tensor) -> Tensor:
        return 3 * F.avg_pool2d(x, 2)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return 3 / 4 * y.repeat_interleave(2, 2).repeat_interleave(2, 3)


class Folded:
    """A physics with a wrong adjoint, for autograd to do without."""

    def A(self, x: Tensor) -> Tensor:
        return (x + x.flip(2))[:, :, :4]

    def A_adjoint(self, y: Tensor) -> Tensor:
        return F.pad(y, (0, 0, 0, 4))


class Wrapped:
    """A physics with an adjoint that is not linear for all that."""

    def A(self, x: Tensor) -> Tensor:
        return x.clamp(-0.5, 90)

    def A_adjoint(self, y: Tensor) -> Tensor:
        return y


class Phaseless:
    """A physics that is not linear."""

    def A(self, x: Tensor) -> Tensor:
        return (x.flatten(1) @ ROWS.T.to(x)).abs()


def projected(x: Tensor) -> Tensor:
    return x.flatten(1) @ ROWS.T.to(x)


def saturated(x: Tensor) -> Tensor:
    return torch.tanh((x - 100) / 150)


class Given:
    def __init__(self, operator: Any, fn: Callable[[Tensor], Tensor], linear: bool) -> None:
        self.operator, self.fn, self.linear = operator, fn, linear

    @property
    def y(self) -> np.ndarray:
        return self.fn(X).numpy()


GIVEN = {
    "matrix": Given(ROWS.numpy(), projected, True),
    "tensor": Given(ROWS, projected, True),
    "function": Given(projected, projected, True),
    "affine function": Given(lambda x: x[:, :, ::2] + 7, lambda x: x[:, :, ::2] + 7, False),
    "saturated": Given(saturated, saturated, False),
    "physics": Given(Halved(), Halved().A, True),
    "physics that is not linear": Given(Phaseless(), Phaseless().A, False),
    "physics with a wrong adjoint": Given(Folded(), Folded().A, True),
    "physics that wraps": Given(Wrapped(), Wrapped().A, False),
    "our own": Given(Blur(1.0, SHAPE, 5), lambda x: Blur(1.0, SHAPE, len(x))(x), True),
}


def learned(given: Given, **more: Any) -> Run:
    sets = SETS | {"model.latent": 4, "train.iterations": 4}
    keys = {"shape": "1x8x8", "range": "0:255", "sets": sets, "verbose": False}
    return fit(given.y, operator=given.operator, **(keys | more))


def last(folder: Path) -> dict[str, bytes]:
    newest = max((folder / "checkpoints").iterdir())
    return {file.name: file.read_bytes() for file in newest.glob("*.safetensors")}


@pytest.mark.parametrize("name", GIVEN)
def test_what_was_given_is_in_model_units(name: str):
    unit, middle = 127.5, 127.5
    A = adopted(GIVEN[name].operator, SHAPE)
    B, units = in_model_units(A, SHAPE, unit, middle, 0)
    assert A.linear == B.linear == GIVEN[name].linear
    x = (X[:1] - middle) / unit
    torch.testing.assert_close(B(x), units(GIVEN[name].fn(X[:1])), atol=1e-4, rtol=1e-4)
    v = torch.randn(1, *B.shape)
    w = torch.randn(1, *SHAPE)
    there, back = B.vjp(x)
    along = torch.func.jvp(B, (x,), (w,))[1] if name != "physics" else B(w)
    torch.testing.assert_close(there, B(x))
    torch.testing.assert_close((along * v).sum(), (w * back(v)).sum(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("name", ["function", "physics", "our own"])
def test_rows_are_as_long_as_one(name: str):
    B, _ = in_model_units(adopted(GIVEN[name].operator, SHAPE), SHAPE, 127.5, 127.5, 0)
    rows = torch.stack([B(e[None])[0].flatten() for e in torch.eye(64).reshape(64, *SHAPE)])
    assert rows.square().sum(0).mean().item() == pytest.approx(1, rel=0.1)


@pytest.mark.parametrize("name", ["function", "saturated", "physics"])
def test_learning_through_it(name: str):
    given = GIVEN[name]
    run = learned(given)
    assert run.recipe.data.complete == ("yes" if given.linear else "no") and run.shape == SHAPE
    answer = run.recover(draws=4)
    assert answer.mean.shape == (24, *SHAPE) and (answer.std > 0).any()
    if given.linear:
        again = given.fn(torch.from_numpy(answer.mean).float()).numpy()
        spread = given.y.std()
        assert np.abs(again - given.y).mean() < 0.05 * spread, "an answer agrees with what was seen"
    assert run.recover(given.y[:3], draws=2).mean.shape == (3, *SHAPE)
    assert run.evaluate()["scored"] == "measurements"
    assert "From the measurements" in run.report().read_text("utf-8")


def test_a_run_goes_on_through_it_bit_for_bit(tmp_path: Path):
    given = GIVEN["physics"]
    keys = {"data.operator": GIVEN_KEY, "data.shape": "1x8x8", "data.kind": "array"}
    asked = Layers(None, (*FACES, "model.latent=4"), keys, given.operator)
    for name, stops in (("whole", (None,)), ("resumed", (3, None))):
        for stop in stops:
            learn(tmp_path / name, asked, source=given.y, stop_at=stop)
    assert last(tmp_path / "whole") == last(tmp_path / "resumed")


def test_a_run_keeps_no_operator_and_asks_for_it_again(tmp_path: Path, abprop: Command):
    given = GIVEN["function"]
    learned(given, run=tmp_path / "run")
    bare = load(tmp_path / "run", data=given.y)
    assert bare.sample(2).shape == (2, *SHAPE), "new signals need none"
    with pytest.raises(UserError, match="give it again there"):
        bare.recover(draws=2)
    other = load(tmp_path / "run", data=given.y, operator=lambda x: 2 * projected(x) + x.sum())
    with pytest.raises(UserError, match="learned through another operator"):
        other.recover(draws=2)
    with pytest.raises(UserError, match="learned through another operator"):
        learned(
            Given(lambda x: projected(x).flip(1), projected, True),
            run=tmp_path / "run",
            iterations=5,
        )
    whole = load(tmp_path / "run", data=given.y, operator=projected)
    assert whole.recover(draws=2).mean.shape == (24, *SHAPE)
    done = abprop("reconstruct", tmp_path / "run", "-o", tmp_path / "x.npy")
    assert "given in Python" in done.complaint or "array given in Python" in done.complaint


def test_simulated_by_what_was_given():
    run = fit(blobs(24), measure=Halved(), verbose=False, latent=4, iterations=4, sets=SETS)
    assert run.shape == SHAPE and run.recipe.data.complete == "yes"
    result = run.evaluate(against="minnorm,pca", draws=2)
    assert (result["scored"], set(result["baselines"])) == ("signals", {"minnorm", "pca"})
    other = run.evaluate(blobs(5, seed=5), measure=projected, draws=2)
    assert other["n"] == 5


def test_a_complete_run_answers_through_a_matrix_by_its_path(tmp_path: Path):
    np.save(tmp_path / "A.npy", ROWS.numpy())
    run = fit(blobs(24), latent=4, iterations=4, sets=SETS, verbose=False)
    y = GIVEN["matrix"].y[:3]
    by_path = run.recover(y, operator=tmp_path / "A.npy", draws=2)
    assert np.array_equal(by_path.mean, run.recover(y, operator=ROWS, draws=2).mean)


def noisy(x: Tensor) -> Tensor:
    return x + torch.randn_like(x)


BAD: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no operator": (3, {}, "int is none; give a rule, a matrix"),
    "noise": (noisy, {}, "leave its noise out"),
    "another number": (lambda x: x[:, :, :3], {}, "is 24x64, but 30 measurements"),
    "other signals": (projected, {"shape": "1x9x8"}, "operator projected raised"),
    "nothing": (lambda x: 0 * projected(x), {}, "is nothing; check it"),
    "not finite": (lambda x: projected(x) / 0, {}, "not finite; check it"),
    "a matrix turned": (ROWS.T, {}, "is 64x30, but 30 measurements"),
    "no shape": (projected, {"shape": None}, "data.shape=3x64x64"),
    "both": (projected, {"measure": "down:2"}, "exclude each other"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_operator_is_one_line(case: str, tmp_path: Path):
    operator, keys, told = BAD[case]
    with pytest.raises(UserError, match=told) as caught:
        learned(Given(operator, projected, True), run=tmp_path / "run", **keys)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("recipe.toml"))


def test_a_rule_on_the_command_line(tmp_path: Path, abprop: Command):
    np.save(tmp_path / "y.npy", F.avg_pool2d(X, 2).numpy())
    words = [w for pair in (*FACES, "model.latent=4", "data.shape=1x8x8") for w in ("--set", pair)]
    run = tmp_path / "run"
    done = abprop("fit", tmp_path / "y.npy", "--operator", "down:2", *words, "--run", run)
    assert done.code == 0, done.err
    assert abprop("recover", run, "-o", tmp_path / "out.npz", "--draws", "2").code == 0
    answer = np.load(tmp_path / "out.npz")["mean"]
    assert np.abs(answer.astype(float) - X.numpy()).mean() < 40
