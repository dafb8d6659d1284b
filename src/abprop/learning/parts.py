"""The parts of Algorithm 1, from plain settings."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from abprop import starts
from abprop.averaging import Average
from abprop.data import Examples
from abprop.distributed import Shards
from abprop.errors import UserError
from abprop.files.limits import MEMORY_SHARE, available_memory
from abprop.inference import KERNELS, Kernel, Metric, State, calibrate
from abprop.latents import Latents, Restarted
from abprop.learning.drawn import Drawn
from abprop.learning.settings import ModelSettings, Settings
from abprop.likelihoods import LIKELIHOODS
from abprop.model import Model
from abprop.networks import NETWORKS, Generator
from abprop.noise import Noise
from abprop.priors import PRIORS, Markov

CALIBRATED = 256  # examples that the chains' coordinates are first fitted to
WARM = 50  # iterations in which the learning rate rises
OVERHEAD = 8  # rows of 8x8 pictures, measured: less for larger signals, more for tables


def make_network(settings: ModelSettings, shape: tuple[int, ...], dtype: torch.dtype) -> Generator:
    """f with weights of no meaning yet; see `make_model`."""
    make = NETWORKS[settings.network]
    width, levels = settings.channels, settings.levels
    return make(settings.latent, shape, channels=width, levels=levels, dtype=dtype)


def make_model(
    settings: ModelSettings, shape: tuple[int, ...], dtype: torch.dtype, seed: int
) -> Model:
    """Network, prior and likelihood, with freshly drawn weights.

    Args:
        settings: which.
        shape: (C, *size) of a signal.
        dtype: of the convolutions.
        seed: of the weights.

    Raises:
        UserError: the weights alone would take more than 70 % of the free memory.
    """
    check_memory(settings, shape)
    network = make_network(settings, shape, dtype)
    noise, draws = Noise(seed, "weights"), iter(range(10**6))

    def normal(size: tuple[int, ...]) -> Tensor:
        return noise.at(torch.zeros(1, dtype=torch.int64), next(draws)).normal(size)[0]

    network.reset(normal)
    sigma = 0.3 if settings.sigma == "learned" else float(settings.sigma)
    likelihood = LIKELIHOODS[settings.likelihood](sigma, min(settings.floor, sigma))
    kind, latent = PRIORS[settings.prior], settings.latent
    prior = Markov(latent, factors=network.levels.factors) if kind is Markov else kind(latent)
    return Model(network, prior, likelihood)


def check_memory(settings: ModelSettings, shape: tuple[int, ...]) -> None:
    """Count the weights where nothing is allocated.

    Raises:
        UserError: see `make_model`.
    """
    with torch.device("meta"):
        network = make_network(settings, shape, torch.float32)
    need, free = 4 * sum(p.numel() for p in network.parameters()), available_memory()
    if need > MEMORY_SHARE * free:
        raise UserError(
            f"the network's weights need {need / 1e9:.3g} GB, more than 70 % of the "
            f"{free / 1e9:.3g} GB free; set a smaller model.channels or model.latent"
        )


def arithmetic(kernel: str, dtype: torch.dtype) -> torch.dtype:
    """The precision wished for; a test of acceptance needs log p to better than 1: float32."""
    return torch.float32 if KERNELS[kernel].adjusted else dtype


def make_kernel(settings: Settings) -> Kernel:
    """The chains' kernel."""
    size = settings.infer.step_size
    return KERNELS[settings.infer.kernel](None if size == "adapt" else float(size))


def make_latents(
    settings: Settings,
    train: Examples,
    originals: int,
    model: Model,
    shards: Shards | None = None,
) -> Latents:
    """Chains at their start: draws from N(0, I), or principal component scores.

    Args:
        settings: which.
        train: the examples, copies behind the first `originals`.
        originals: how many are no copies.
        model: whose prior learns from scores.
        shards: whose chains are kept here; all if None.
    """
    shape, infer, shards = model.network.latent_shape, settings.infer, shards or Shards(len(train))
    mine, whole = train.ids[shards.rows], shards.every()
    if infer.start == "pca":
        if len(shape) == 1:
            z = starts.scores(train, originals, shape[0], shards.rows, whole)
        else:
            z = starts.cell_scores(train, model)[shards.rows]
        model.prior.update(z, 1.0, whole=whole)
        z = z if infer.chains == 1 else z.repeat_interleave(infer.chains, 0)
    else:
        ids = mine.repeat_interleave(infer.chains)
        chain = torch.arange(infer.chains).repeat(len(mine))
        noise = Noise(settings.seed, "start").at(ids, chain=chain)
        blocks = torch.arange(len(ids)).split(starts.BLOCK)  # drawing takes room
        z = torch.cat([noise[block].normal(shape).float() for block in blocks])
    state, metric = State.begin(z), Metric.plain(z, 0.1 * model.likelihood.sigma.item())
    if infer.step_size != "adapt":
        state, metric = State.begin(z, float(infer.step_size)), Metric.plain(z)
    if infer.visits == "restarted":
        noise = Noise(settings.seed, "restart")
        return Restarted(mine, state, metric, model.prior, noise)
    return Latents(mine, state, metric)


def make_drawn(settings: Settings, train: Examples, model: Model, latents: Latents) -> Drawn | None:
    """The term from draws if it has a weight; `latents` as `make_latents` gave them.

    Raises:
        UserError: the prior does not know neighbours, or these are no pictures.
    """
    weight = settings.train.draws
    if not weight:
        return None
    if not isinstance(model.prior, Markov) or len(train.signal_shape) != 3:
        raise UserError(
            f"train.draws={weight:g}: draws are compared for pictures under model.prior=markov "
            "only; use train.draws=0"
        )
    known = settings.infer.start == "pca"  # then that is where chains start
    scores = latents.z[:: latents.chains].cpu() if known else starts.cell_scores(train, model)
    return Drawn.of(model, latents, train, scores, weight, settings.seed)


def calibrate_metric(
    settings: Settings, train: Examples, model: Model, latents: Latents, shards: Shards
) -> None:
    """Fit the coordinates in which chains will move to where they stand."""
    some, sizes = shards.some(CALIBRATED)
    batch = train.batch(some, latents.z.device)
    z = latents[batch.ids].z[:: latents.chains]
    noise = Noise(settings.seed, "metric").at(batch.ids)
    chunk = min(settings.infer.chunk, len(train))
    calibrate(
        model, batch.y, batch.A, z, latents.metric, noise, chunk=chunk, whole=shards.whole(sizes)
    )


def make_average(settings: Settings, model: Model) -> Average | None:
    """The average of its weights, if one is asked for; its network as it is now."""
    share = settings.train.average
    return Average(model, share) if share else None


def make_optimizer(settings: Settings, model: Model) -> torch.optim.Optimizer:
    """AdamW of the network's parameters."""
    train = settings.train
    groups = decaying(model.network.parameters(), train.weight_decay)
    betas = (train.beta1, train.beta2)
    return torch.optim.AdamW(groups, lr=train.learning_rate, betas=betas, weight_decay=0.0)


def decaying(parameters: Iterable[Tensor], decay: float) -> list[dict[str, Any]]:
    """An optimizer's groups: biases do not decay, for they set where f lies, not how it bends.

    Each is a run of the parameters in their own order, so that moments keep their numbers.
    """
    runs = [(matrices, list(run)) for matrices, run in groupby(parameters, lambda p: p.ndim > 1)]
    return [{"params": run, "weight_decay": decay if matrices else 0.0} for matrices, run in runs]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Its moments, by "NUMBER.NAME"."""
    states = optimizer.state_dict()["state"]
    return {f"{i}.{name}": v for i, state in states.items() for name, v in state.items()}


def load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Moments as `optimizer_tensors` gave them."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".")
        state.setdefault(int(index), {})[name] = value.clone()
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def rate(settings: Settings, t: int, total: int) -> float:
    """The learning rate of iteration t: a short warm-up, then constant or half a cosine."""
    if settings.train.schedule == "constant":
        return settings.train.learning_rate
    warm = min(1.0, (t + 1) / WARM)
    return settings.train.learning_rate * warm * (0.505 + 0.495 * math.cos(math.pi * t / total))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """All groups of an optimizer learn at this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def fitting_chunk(most: int, rows: int) -> int:
    """Examples in one pass, a multiple of 16 up to `most`, for batches of so many rows.

    The last pass of a batch is padded, and each pass costs something of its own, as much as
    OVERHEAD rows: what costs least in all.
    """
    sizes = range(max(16, most - most % 16), 0, -16)
    return min(sizes, key=lambda size: -(-rows // size) * (size + OVERHEAD))
