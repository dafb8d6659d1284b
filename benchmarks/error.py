"""Time to a given error on pictures that were never seen, beside a VAE with the same decoder.

    python benchmarks/error.py --data $DATA --only abp --name now
    python benchmarks/error.py --data $DATA --only vae
    python benchmarks/error.py --table

1,000 LFW faces to learn from, entries 3000-3299 of the zip to test on, d = 100, 32 channels. Each
row is a whole run with its own schedule, from start to end: processor seconds of learning on one
thread (where factors start included; reading, planning and the report not), and the mean squared
error on the test pictures over that of PCA fitted to the same 1,000. Both are asked in the same
way: the most probable factors by the library's solver, from the nearest training picture. Rows that
are there already are skipped.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from abprop.data import Examples, Signals
from abprop.learning import Learning, waiting
from abprop.learning.parts import make_model
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.priors import StandardNormal
from abprop.run.recipe import Recipe, compose, settings
from abprop.run.split import resolve, split
from abprop.sources import read
from abprop.tasks import reconstruct

RESULTS = Path(__file__).parent / "results"
PICTURE = Path(__file__).parents[1] / "docs/pictures/time-to-error.webp"
ITERATIONS = (60, 120, 240, 480, 960, 1920)
SOLVED = 100  # steps of the solver
D, BATCH, CHANNELS = 100, 16, 32


class Data(NamedTuple):
    """What is learned and asked.

    Attributes:
        recipe: the defaults for these pictures.
        train: examples, copies behind the first `originals`.
        test: pictures (M, 3, 64, 64) in model units.
        pca: error of PCA on them.
    """

    recipe: Recipe
    train: Examples
    originals: int
    test: Tensor
    pca: float


class Found(NamedTuple):
    """A learned model, some factors to start from, and the seconds it took."""

    model: Model
    known: Tensor
    seconds: float


def data(folder: Path, sets: list[str]) -> Data:
    """The pictures, the library's own choices for them, and PCA's error."""
    faces = folder / "faces_lfw64"
    signals = read(faces / "lfw64_1000.npz")
    recipe = compose("images", [*sets, f"model.latent={D}", "run.threads=1"])
    recipe, observed = resolve(recipe, signals)
    parts = split(recipe, signals, observed)
    test, _ = read(faces / "lfw64.zip", select="3000:3300").batch(range(300))
    return Data(recipe, parts.examples, parts.originals, test, _pca(signals, test))


def _pca(signals: Signals, test: Tensor) -> float:
    from sklearn.decomposition import PCA

    x, y = signals.batch(range(len(signals)))[0].flatten(1).numpy(), test.flatten(1).numpy()
    model = PCA(D, svd_solver="full").fit(x)
    return float(((y - model.inverse_transform(model.transform(y))) ** 2).mean())


def abp(data: Data, iterations: int, seed: int) -> Found:
    """Alternating back-propagation, as `fit` does it."""
    began = time.process_time()
    plain = settings(data.recipe)
    plain = replace(plain, seed=seed, train=replace(plain.train, iterations=iterations))
    learning = Learning(plain, data.train, None, data.originals, dtype=torch.bfloat16)
    if plain.infer.wait is None:
        infer = replace(plain.infer, wait=waiting(learning, iterations))
        learning.settings = replace(plain, infer=infer)
    for _ in learning.steps(iterations):
        pass
    seconds = time.process_time() - began
    return Found(learning.model, learning.latents.z[: data.originals], seconds)


class Encoder(nn.Module):
    """The generator mirrored: pictures -> mean and log deviation of their factors."""

    def __init__(self, draws: Callable[[tuple[int, ...]], Tensor]) -> None:
        super().__init__()
        widths = [3, *(CHANNELS * 2**i for i in range(4))]
        self.weights = nn.ParameterList(
            draws((b, a, 4, 4)) * math.sqrt(2 / (16 * a)) for a, b in itertools.pairwise(widths)
        )
        self.biases = nn.ParameterList(torch.zeros(b) for b in widths[1:])
        self.last = nn.Parameter(draws((2 * D, 16 * widths[-1])) / math.sqrt(16 * widths[-1]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = x.bfloat16()
        for w, b in zip(self.weights, self.biases, strict=True):
            h = F.leaky_relu(F.conv2d(h, w.bfloat16(), b.bfloat16(), stride=2, padding=1), 0.2)
        mean, log = F.linear(h.flatten(1).float(), self.last).chunk(2, 1)
        return mean, log.clamp(-6, 2)


def vae(data: Data, iterations: int, seed: int, sigma: float, rate: float) -> Found:
    """A variational auto-encoder (Kingma and Welling 2014): same decoder, examples and schedule."""
    began = time.process_time()
    plain = settings(data.recipe)
    network = make_model(plain.model, data.train.signal_shape, torch.bfloat16, seed).network
    assert isinstance(network, ConvGenerator)
    numbers, counter = Noise(seed, "encoder"), iter(range(100))

    def draws(size: tuple[int, ...]) -> Tensor:
        return numbers.at(torch.zeros(1), next(counter)).normal(size)[0].float()

    encoder, model = Encoder(draws), Model(network, StandardNormal((D,)), Gaussian(sigma))
    every = [*network.parameters(), *encoder.parameters()]
    optimizer = torch.optim.AdamW(every, lr=rate, betas=(0.9, 0.99), weight_decay=0.0)
    noise, choice = Noise(seed, "vae"), Noise(seed, "batches")
    for t in range(iterations):
        optimizer.param_groups[0]["lr"] = (
            rate * min(1, (t + 1) / 50) * (0.505 + 0.495 * math.cos(math.pi * t / iterations))
        )
        ids, y, _ = data.train.batch((choice.uniform(BATCH, t) * len(data.train)).long())
        mean, log = encoder(y)
        z = mean + log.exp() * noise.at(ids, t).normal((D,)).float()
        fit = (y - network(z)).square().flatten(1).sum(1) / (2 * sigma**2)
        divergence = (mean.square() + (2 * log).exp() - 2 * log - 1).sum(1) / 2
        optimizer.zero_grad()
        (fit + divergence).mean().backward()
        optimizer.step()
    seconds = time.process_time() - began
    with torch.no_grad():
        rows = torch.arange(data.originals).split(64)
        known = torch.cat([encoder(data.train.batch(some).y)[0] for some in rows])
    return Found(model, known, seconds)


def error(data: Data, found: Found) -> float:
    """Mean squared error on the test pictures over PCA's."""
    y = data.test.contiguous(memory_format=torch.channels_last)
    A = Identity(len(y), tuple(y.shape[1:]))
    x, _ = reconstruct(found.model, y, A, known=found.known, steps=SOLVED)
    return ((x - y).square().mean() / data.pca).item()


LEARNERS: dict[str, Callable[..., Found]] = {
    "abp": abp,
    "vae": lambda *given: vae(*given, sigma=0.274, rate=0.002),
    "vae-sharp": lambda *given: vae(*given, sigma=0.1, rate=0.002),
    "vae-fast": lambda *given: vae(*given, sigma=0.1, rate=0.006),
}


def run(options: argparse.Namespace) -> None:
    """The rows that are missing."""
    torch.set_num_threads(1)
    found = data(options.data, options.set)
    for learner in options.only or LEARNERS:
        for iterations in options.iterations:
            name = f"{options.name or learner}-{iterations}-{options.seed}"
            path = RESULTS / f"error-{name}.json"
            if path.exists():
                continue
            done = LEARNERS[learner](found, iterations, options.seed)
            row: dict[str, Any] = {
                "learner": options.name or learner, "iterations": iterations,
                "seed": options.seed, "seconds": round(done.seconds, 1),
                "ratio": round(error(found, done), 4), "pca": round(found.pca, 5),
            }  # fmt: skip
            path.write_text(json.dumps(row) + "\n", encoding="utf-8")
            print(row, flush=True)


def rows() -> list[dict[str, Any]]:
    """All results there are."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("error-*.json"))]
    return sorted(found, key=lambda row: (row["learner"], row["seed"], row["iterations"]))


def picture() -> None:
    """Error against seconds, a line for each learner."""
    from matplotlib.figure import Figure

    figure = Figure((6.4, 4.0), layout="constrained")
    axes, found = figure.subplots(), rows()
    for learner in dict.fromkeys(row["learner"] for row in found):
        own = [row for row in found if row["learner"] == learner]
        axes.plot([r["seconds"] for r in own], [r["ratio"] for r in own], "o-", label=learner)
    axes.axhline(1, color="0.5", linewidth=1)
    axes.set(xscale="log", ylim=(0.7, 1.8), xlabel="processor seconds of learning, one thread",
             ylabel="squared error on unseen faces over PCA's")  # fmt: skip
    axes.legend(frameon=False)
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, dpi=120)


def main() -> None:
    """See the module."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", type=Path)
    asked.add_argument("--only", action="append", choices=LEARNERS)
    asked.add_argument("--name", help="of the rows, if not the learner's")
    asked.add_argument("--set", action="append", default=[], help="recipe keys of abp")
    asked.add_argument("--iterations", type=int, nargs="+", default=ITERATIONS)
    asked.add_argument("--seed", type=int, default=0)
    asked.add_argument("--table", action="store_true")
    options = asked.parse_args()
    RESULTS.mkdir(exist_ok=True)
    if options.data:
        run(options)
    if options.table:
        picture()
        print("| learner | iterations | seconds | error over PCA's |\n| --- | --- | --- | --- |")
        for row in rows():
            print(f"| {row['learner']} | {row['iterations']} | {row['seconds']} | {row['ratio']} |")


if __name__ == "__main__":
    main()
