"""What the likelihood of held-out data says about d: where the truth is known, and of digits.

`linear` simulates x = W z + mean + noise with 5 factors and fits probabilistic PCA with 1 to 9; log
p(y) of held-out signals is known exactly, and estimated by annealed importance sampling. `digits`
learns scikit-learn's with one fifth held out, and asks `abprop evaluate --likelihood`.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from row import RUNS, Row, Runner

from abprop import principal
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import LinearGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.priors import StandardNormal
from abprop.tasks import Annealing, log_likelihood

TRUE, NUMBERS, TRAINED, HELD_OUT = 5, 20, 150, 256
FACTORS = (2, 5, 10, 20, 40)  # of digits
ITERATIONS = 600


def rows() -> list[Row]:
    """The linear model, and digits for each d."""
    digits = [
        Row("dimensions", f"digits-{d}", "", "", partial(_digits, d), _shown_digits)
        for d in FACTORS
    ]
    return [Row("dimensions", "linear", "", "", _linear, _shown_linear), *digits]


def _linear(run: Runner) -> dict[str, Any]:
    torch.set_num_threads(1)  # signals so small gain nothing from more
    x = _signals()
    train, test = x[:TRAINED], x[TRAINED:]
    found: dict[str, Any] = {"true": TRUE, "d": [], "exact": [], "ais": [], "se": []}
    for d in range(1, 10):
        fitted = principal.fit(train, None, d)
        f = LinearGenerator((d,), (NUMBERS,))
        f.weight.data, f.bias.data = fitted.W, fitted.mean
        model = Model(f, StandardNormal((d,)), Gaussian(fitted.sigma, floor=0.0))
        A, ids = Identity(len(test), (NUMBERS,)), torch.arange(len(test))
        how = Annealing(chunk=512)  # small signals: many in one pass
        told = log_likelihood(model.requires_grad_(False), test, A, ids, how).found
        found["d"].append(d)
        found["exact"].append(fitted.log_likelihood(test).double().mean().item())
        found["ais"].append(told.mean)
        found["se"].append(told.mean_se)
    return found


def _signals() -> torch.Tensor:
    """Half of the variance is the factors', (TRAINED + HELD_OUT, NUMBERS)."""
    noise, ids = Noise(0, "dimensions"), torch.arange(TRAINED + HELD_OUT)
    W = noise.at(torch.arange(NUMBERS), 0).normal((TRUE,)) / TRUE**0.5
    z, e = noise.at(ids, 1).normal((TRUE,)), noise.at(ids, 2).normal((NUMBERS,))
    return (z @ W.T + e).float()


def _digits(d: int, run: Runner) -> dict[str, Any]:
    from sklearn.datasets import load_digits

    RUNS.mkdir(exist_ok=True)
    source, folder = RUNS / "digits.npy", RUNS / f"dimensions-digits-{d}"
    np.save(source, np.rint(load_digits().images * (255 / 16)).astype(np.uint8))
    keys = (f"model.latent={d}", "model.sigma=learned", f"train.iterations={ITERATIONS}",
            "data.holdout=0.2", "run.threads=1")  # fmt: skip
    run("fit", source, "--run", folder, *(word for key in keys for word in ("--set", key)))
    return run("evaluate", folder, "--likelihood", "--simulated", 16, "--json")


def _shown_linear(found: dict[str, Any]) -> str:
    best = {how: found["d"][int(np.argmax(found[how]))] for how in ("exact", "ais")}
    apart = max(abs(a - b) for a, b in zip(found["exact"], found["ais"], strict=True))
    return (
        f"{found['true']} factors: {best['exact']} by the exact likelihood, {best['ais']} by the "
        f"estimate; at most {apart:.3f} nats apart"
    )


def _shown_digits(found: dict[str, Any]) -> str:
    told = found["likelihood"]
    return (
        f"{told['nats']:.1f} nats (se {told['se']:.2f}, {told['n']} {told['scored']}), "
        f"{told['nats_per_number']:.3f} a number, ess {told['ess']:.1f} of {told['chains']}; "
        f"gap of simulated ones {told['gap']:.2f}"
    )
