"""From a recipe and a source to the parts of Algorithm 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from abprop.alternate import Batch
from abprop.app import sensors, starts
from abprop.app.recipe import Recipe, build, parse_latent
from abprop.app.sensors import Sensor
from abprop.data import Signals, crops, mirrored, read, set_aside, shifted
from abprop.inference import KERNELS, Kernel, Metric, State, calibrate
from abprop.latents import Latents, Restarted
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import NETWORKS, ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.priors import PRIORS

FEWEST_TO_HOLD_OUT = 50
CALIBRATED = 256  # examples that the chains' coordinates are first fitted to


def load_data(recipe: Recipe, source: object = None) -> Signals:
    """The signals a recipe names, or the same from somewhere else."""
    data = recipe.data
    return read(
        data.source if source is None else source,
        kind=data.kind,
        size=data.size,
        channels=data.channels,
        select=data.select,
        limit=data.limit,
        range=data.range,
        masks=data.masks,
        hide=data.hide,
        seed=recipe.seed,
    )


def resolve(recipe: Recipe, signals: Signals) -> Recipe:
    """The recipe with every `auto` decided by looking at the data."""
    choices: dict[str, Any] = {"data.kind": signals.kind}
    if not recipe.data.fingerprint:
        choices["data.fingerprint"] = signals.fingerprint
    sensor = sensors.sensor(recipe, signals)
    if signals.kind == "texture" and sensor.operator is None:
        choices |= _texture_choices(recipe, signals)
    else:
        choices |= _object_choices(recipe, sensors.learned_from(recipe, sensor, signals))
    if recipe.model.channels is None:
        # The coarsest layer has 256 channels whatever the size: 32 at the finest for 64 pixels.
        halvings = round(math.log2(max(8, min(sensor.shape[1:], default=8)) / 8))
        choices["model.channels"] = max(32, 256 >> max(0, halvings))
    return build(recipe, **choices)


def _texture_choices(recipe: Recipe, signals: Signals) -> dict[str, Any]:
    side = min(signals.shape[1:])
    crop = recipe.data.crop or (96 if side >= 160 else max(16, side // 2))
    cell = 2 ** max(2, min(5, int(math.log2(crop / 2))))
    grid = -(-(crop - 2) // cell) + 2
    choices: dict[str, Any] = {
        "data.crop": crop,
        "data.crops": recipe.data.crops or (384 if crop > 64 else 256),
        "data.mirror": "no",
        "data.shift": 0,
        "data.holdout": 0.0,
    }
    if recipe.infer.start == "auto":
        choices["infer.start"] = "pca"
    if recipe.model.sigma is None:
        choices["model.sigma"] = "learned"
    if recipe.model.latent == "auto":
        choices["model.latent"] = f"16x{grid}x{grid}"
    return choices


def _object_choices(recipe: Recipe, signals: Signals) -> dict[str, Any]:
    numbers, choices = math.prod(signals.shape), {}
    if recipe.model.latent == "auto":
        d = min(100, max(2, len(signals) // 10), max(1, numbers // 4))
        choices["model.latent"] = str(d)
    latent = parse_latent(choices.get("model.latent", recipe.model.latent))
    vector = len(latent) == 1
    if recipe.data.mirror == "auto":
        choices["data.mirror"] = "yes" if vector and starts.mirrors(signals) else "no"
    if recipe.data.shift is None:
        choices["data.shift"] = _shift(signals) if vector else 0
    if recipe.infer.start == "auto":
        choices["infer.start"] = "pca" if vector and len(signals) >= 20 else "prior"
    if len(signals) < FEWEST_TO_HOLD_OUT:
        choices["data.holdout"] = 0.0
    if recipe.model.sigma is None:
        choices["model.sigma"] = starts.hot_sigma(signals, math.prod(latent))
    return choices


def _shift(signals: Signals) -> int:
    """Pixels of a shift that no viewer would call another picture; 0 where there are plenty."""
    few = FEWEST_TO_HOLD_OUT <= len(signals) <= 5000
    return min(signals.shape[1:]) // 32 if signals.kind == "images" and few else 0


@dataclass(frozen=True)
class Split:
    """Training examples with their ids, copies included, and held-out ones.

    Attributes:
        train: examples to learn from; the first `originals` of them are no copies.
        ids: their ids, ascending int64: id + k N for the k-th copy of an example.
        originals: how many are no copies.
        heldout: examples only scored, or None.
        sensor: how they were observed.
    """

    train: Signals
    ids: Tensor
    originals: int
    heldout: Signals | None
    sensor: Sensor


def split(recipe: Recipe, signals: Signals) -> Split:
    """Set aside, hold out by id, cut a texture into crops, append mirrored and shifted copies."""
    data, sensor = recipe.data, sensors.sensor(recipe, signals)
    signals = sensors.learned_from(recipe, sensor, signals)
    if data.aside:
        signals = set_aside(signals, data.aside, recipe.seed)
    if signals.kind == "texture":
        size, count = data.crop or 0, data.crops or 0
        train = crops(signals, size=size, count=count, seed=recipe.seed)
        sensor = replace(sensor, shape=train.shape)
        return Split(train, torch.arange(len(train)), len(train), None, sensor)
    n, away = len(signals), round(len(signals) * data.holdout)
    order = Noise(recipe.seed, "holdout").permutation(n)
    kept, held = order[away:].sort().values, order[:away].sort().values
    train = signals.take(kept)
    if data.mirror == "yes":
        train = mirrored(train)
    if data.shift:
        train = shifted(train, data.shift)
    copies = len(train) // len(kept)
    ids = (kept[None] + n * torch.arange(copies)[:, None]).flatten()
    return Split(train, ids, len(kept), signals.take(held) if away else None, sensor)


def make_model(recipe: Recipe, shape: tuple[int, ...], dtype: torch.dtype) -> Model:
    """Network, prior and likelihood, with freshly drawn weights."""
    latent = parse_latent(recipe.model.latent)
    if NETWORKS[recipe.model.network] is LinearGenerator:
        network = LinearGenerator(latent, shape)
    else:
        network = ConvGenerator(latent, shape, channels=recipe.model.channels or 32, dtype=dtype)
    noise, draws = Noise(recipe.seed, "weights"), iter(range(10**6))

    def normal(size: tuple[int, ...]) -> Tensor:
        return noise.at(torch.zeros(1, dtype=torch.int64), next(draws)).normal(size)[0]

    network.reset(normal)
    learned = recipe.model.sigma in (None, "learned")
    sigma = 0.3 if learned else float(recipe.model.sigma or 0)
    floor = 0.05 if recipe.data.holdout else 0.1  # without held-out data sigma chases memorising
    return Model(network, PRIORS[recipe.model.prior](latent), Gaussian(sigma, min(floor, sigma)))


def arithmetic(recipe: Recipe, dtype: torch.dtype) -> torch.dtype:
    """The precision wished for; a test of acceptance needs log p to better than 1: float32."""
    return torch.float32 if KERNELS[recipe.infer.kernel].adjusted else dtype


def make_kernel(recipe: Recipe) -> Kernel:
    """The chains' kernel."""
    size = recipe.infer.step_size
    return KERNELS[recipe.infer.kernel](None if size == "adapt" else float(size))


def make_latents(recipe: Recipe, parts: Split, model: Model) -> Latents:
    """Chains at their start: draws from N(0, I), or principal component scores."""
    shape, chains = model.network.latent_shape, recipe.infer.chains
    if recipe.infer.start == "pca":
        if len(shape) == 1:
            z = starts.scores(parts.train, parts.originals, shape[0])
        else:
            z = starts.cell_scores(parts.train, model)
        model.prior.update(z, 1.0)
        z = z.repeat_interleave(chains, 0)
    else:
        ids = parts.ids.repeat_interleave(chains)
        chain = torch.arange(chains).repeat(len(parts.ids))
        z = Noise(recipe.seed, "start").at(ids, chain=chain).normal(shape).float()
    state, metric = State.begin(z), Metric.plain(z, 0.1 * model.likelihood.sigma.item())
    if recipe.infer.step_size != "adapt":
        state, metric = State.begin(z, float(recipe.infer.step_size)), Metric.plain(z)
    if recipe.infer.visits == "restarted":
        noise = Noise(recipe.seed, "restart")
        return Restarted(parts.ids, state, metric, model.prior, noise)
    return Latents(parts.ids, state, metric)


def calibrate_metric(recipe: Recipe, parts: Split, model: Model, latents: Latents) -> None:
    """Fit the coordinates in which chains will move to where they stand."""
    some, device = torch.arange(min(CALIBRATED, len(parts.ids))), latents.z.device
    z = latents.z[:: latents.chains][some.to(device)]
    y, A = parts.sensor.observed(parts.train, some, device)
    noise = Noise(recipe.seed, "metric").at(parts.ids[some].to(device))
    chunk = min(recipe.infer.chunk, len(parts.ids))
    calibrate(model, y, A, z, latents.metric, noise, chunk=chunk)


def make_optimizer(recipe: Recipe, model: Model) -> torch.optim.Optimizer:
    """Adam, or AdamW with weight decay."""
    train = recipe.train
    return torch.optim.AdamW(
        model.network.parameters(),
        lr=train.learning_rate,
        betas=(train.beta1, train.beta2),
        weight_decay=train.weight_decay,
    )


def rate(recipe: Recipe, t: int, total: int) -> float:
    """The learning rate of iteration t: a short warm-up, then constant or half a cosine."""
    if recipe.train.schedule == "constant":
        return recipe.train.learning_rate
    warm = min(1.0, (t + 1) / 50)
    return recipe.train.learning_rate * warm * (0.505 + 0.495 * math.cos(math.pi * t / total))


def per_epoch(recipe: Recipe, parts: Split) -> int:
    """Batches of an epoch."""
    n = len(parts.train)
    return max(1, round(n / (recipe.train.batch or n)))


def batches(
    recipe: Recipe, parts: Split, start: int, stop: int, device: torch.device
) -> Iterator[Batch]:
    """Batches of iterations start..stop-1: a function of the iteration, nothing to remember.

    An epoch is cut into batches of nearly equal size, so every example is visited once in it.
    """
    n, noise = len(parts.train), Noise(recipe.seed, "shuffle")
    count = per_epoch(recipe, parts)
    epoch, order = -1, torch.empty(0)
    for t in range(start, stop):
        if t // count != epoch:
            epoch = t // count
            order = noise.permutation(n, epoch)
        j = t % count
        rows = order[j * n // count : (j + 1) * n // count].sort().values
        yield Batch(parts.ids[rows].to(device), *parts.sensor.observed(parts.train, rows, device))
