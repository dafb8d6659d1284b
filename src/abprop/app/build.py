"""From a recipe and a source to the parts of Algorithm 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from abprop.alternate import Batch
from abprop.app.recipe import Recipe, build, parse_latent
from abprop.data import Signals, crops, mirror_ratio, mirrored, read, shifted
from abprop.errors import UserError
from abprop.inference import KERNELS, Kernel
from abprop.latents import Latents
from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import NETWORKS, ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.operators import Operator, observe
from abprop.priors import PRIORS

MIRROR_LIMIT = 1.15  # mirrored copies are used if PCA explains them this nearly as well
FEWEST_TO_HOLD_OUT = 50
HEAT = 2.3  # sigma in units of PCA's residual


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
    )


def resolve(recipe: Recipe, signals: Signals) -> Recipe:
    """The recipe with every `auto` decided by looking at the data."""
    choices: dict[str, Any] = {"data.kind": signals.kind}
    if not recipe.data.fingerprint:
        choices["data.fingerprint"] = signals.fingerprint
    if signals.kind == "texture":
        choices |= _texture_choices(recipe, signals)
    else:
        choices |= _object_choices(recipe, signals)
    if recipe.model.channels is None:
        # The coarsest layer has 256 channels whatever the size: 32 at the finest for 64 pixels.
        halvings = round(math.log2(max(8, min(signals.shape[1:], default=8)) / 8))
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
        choices["infer.start"] = "pca" if signals.hidden is None else "prior"
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
        choices["data.mirror"] = "yes" if vector and _mirrors(signals) else "no"
    if recipe.data.shift is None:
        choices["data.shift"] = _shift(signals) if vector else 0
    if recipe.infer.start == "auto":
        complete = signals.hidden is None and len(signals) >= 20
        choices["infer.start"] = "pca" if vector and complete else "prior"
    if len(signals) < FEWEST_TO_HOLD_OUT:
        choices["data.holdout"] = 0.0
    if recipe.model.sigma is None:
        choices["model.sigma"] = _hot_sigma(signals, math.prod(latent))
    return choices


def _hot_sigma(signals: Signals, d: int) -> float | str:
    """HEAT times the residual that PCA leaves on examples it has not seen.

    Hotter than the residual itself: the noise of the chains is what keeps f from memorising (the
    table is in docs/results.md). "learned" where PCA cannot tell: few examples, or incomplete ones.
    """
    stride = -(-len(signals) // 2000)
    rows = range(0, len(signals), stride)
    few = len(rows) < FEWEST_TO_HOLD_OUT or 3 * len(rows) // 4 <= d + 1
    if signals.hidden is not None or few:
        return "learned"
    x = _flat(signals, rows)
    unseen = torch.arange(len(x)) % 4 == 0
    mean = x[~unseen].mean(0)
    axes = _principal_axes(x[~unseen] - mean, min(d, x.shape[1]))
    rest = x[unseen] - mean
    residual = (rest - rest @ axes @ axes.T).square().mean().sqrt().item()
    return round(min(1.0, max(0.05, HEAT * residual)), 3)


def _shift(signals: Signals) -> int:
    """Pixels of a shift that no viewer would call another picture; 0 where there are plenty."""
    few = FEWEST_TO_HOLD_OUT <= len(signals) <= 5000
    return min(signals.shape[1:]) // 32 if signals.kind == "images" and few else 0


def _mirrors(signals: Signals) -> bool:
    if signals.kind != "images" or len(signals) < FEWEST_TO_HOLD_OUT or signals.hidden is not None:
        return False
    return mirror_ratio(signals.scale.to_model(signals.values), seed=0) < MIRROR_LIMIT


@dataclass(frozen=True)
class Split:
    """Training examples with their ids, copies included, and held-out ones.

    Attributes:
        train: examples to learn from; the first `originals` of them are no copies.
        ids: their ids, ascending int64: id + k N for the k-th copy of an example.
        originals: how many are no copies.
        heldout: examples only scored, or None.
    """

    train: Signals
    ids: Tensor
    originals: int
    heldout: Signals | None


def split(recipe: Recipe, signals: Signals) -> Split:
    """Hold out by id, cut a texture into crops, append mirrored and shifted copies."""
    data = recipe.data
    if signals.kind == "texture":
        size, count = data.crop or 0, data.crops or 0
        train = crops(signals, size=size, count=count, seed=recipe.seed)
        return Split(train, torch.arange(len(train)), len(train), None)
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
    return Split(train, ids, len(kept), signals.take(held) if away else None)


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


def make_kernel(recipe: Recipe) -> Kernel:
    """The chains' kernel."""
    size = recipe.infer.step_size
    return KERNELS[recipe.infer.kernel](None if size == "adapt" else float(size))


def make_latents(recipe: Recipe, parts: Split, model: Model) -> Latents:
    """Chains at their start: draws from N(0, I), or principal component scores."""
    shape = model.network.latent_shape
    if recipe.infer.start == "pca":
        z = _scores(parts, shape[0]) if len(shape) == 1 else _cell_scores(parts, model)
        model.prior.update(z, 1.0)
    else:
        z = Noise(recipe.seed, "start").at(parts.ids).normal(shape).float()
    adapt = recipe.infer.step_size == "adapt"
    s = 0.1 * model.likelihood.sigma.item() if adapt else float(recipe.infer.step_size)
    return Latents(parts.ids, z, torch.full((len(z),), s))


def _scores(parts: Split, d: int) -> Tensor:
    """Principal component scores on one common scale, (M, d).

    Not whitened: equal distances in z are about equal distances in x, so that log p(y | z) curves
    alike in every direction and Langevin mixes in all of them at one step size. The prior carries
    the variances.
    """
    stride = -(-parts.originals // 2000)
    originals = _flat(parts.train, range(0, parts.originals, stride))
    d_max = min(len(originals) - 1, originals.shape[1])
    if d > d_max:
        raise UserError(
            f"infer.start=pca gives at most {d_max} factors here and model.latent={d}; "
            "add --set infer.start=prior"
        )
    mean = originals.mean(0)
    axes = _principal_axes(originals - mean, d)
    blocks = range(0, len(parts.train), 1024)  # copies may be many: never all of them as floats
    scores = [(_flat(parts.train, range(i, i + 1024)) - mean) @ axes for i in blocks]
    return _one_scale(torch.cat(scores))


def _cell_scores(parts: Split, model: Model) -> Tensor:
    """Principal component scores of the piece of each crop that a map's cell lies over.

    (M, k, *grid), on one common scale. Cells beyond the edge see the edge repeated.
    """
    channels, *grid = model.network.latent_shape
    cell = 2**model.network.stages
    y = parts.train.batch(torch.arange(len(parts.train)))[0]
    padded = torch.nn.functional.pad(y, (2 * cell,) * 4, mode="replicate")
    starts = [
        [round(n / 2 + (i - g / 2) * cell) + 2 * cell for i in range(g)]
        for n, g in zip(y.shape[2:], grid, strict=True)
    ]
    pieces = torch.stack(
        [padded[:, :, a : a + cell, b : b + cell].flatten(1) for a in starts[0] for b in starts[1]],
        dim=1,
    ).flatten(0, 1)  # (M h w, C cell cell)
    mean, some = pieces.mean(0), pieces[:: -(-len(pieces) // 2000)]
    scores = (pieces - mean) @ _principal_axes(some - mean, channels)
    return _one_scale(scores.reshape(len(y), *grid, channels).movedim(-1, 1).contiguous())


def _one_scale(z: Tensor) -> Tensor:
    return z / z.square().mean().sqrt().clamp_min(1e-6)


def _principal_axes(x: Tensor, d: int) -> Tensor:
    """Unit vectors (D, d) of the largest variances of centred rows x (n, D)."""
    if len(x) > x.shape[1]:
        return torch.linalg.eigh(x.T @ x).eigenvectors[:, -d:].flip(1)
    left = torch.linalg.eigh(x @ x.T).eigenvectors[:, -d:].flip(1)
    return torch.nn.functional.normalize(x.T @ left, dim=0)


def _flat(signals: Signals, rows: range) -> Tensor:
    kept = torch.tensor([row for row in rows if row < len(signals)])
    return signals.batch(kept)[0].flatten(1)


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


def batches(
    recipe: Recipe, parts: Split, start: int, stop: int, device: torch.device
) -> Iterator[Batch]:
    """Batches of iterations start..stop-1: a function of the iteration, nothing to remember.

    An epoch is cut into batches of nearly equal size, so every example is visited once in it.
    """
    n, noise = len(parts.train), Noise(recipe.seed, "shuffle")
    per_epoch = max(1, round(n / (recipe.train.batch or n)))
    epoch, order = -1, torch.empty(0)
    for t in range(start, stop):
        if t // per_epoch != epoch:
            epoch = t // per_epoch
            order = noise.permutation(n, epoch)
        j = t % per_epoch
        rows = order[j * n // per_epoch : (j + 1) * n // per_epoch].sort().values
        yield Batch(parts.ids[rows].to(device), *observed(parts.train, rows, device))


def observed(
    signals: Signals, rows: Tensor | None = None, device: torch.device | str = "cpu"
) -> tuple[Tensor, Operator]:
    """Observations and operator of some signals, or of all, on a device.

    Pictures are channels-last in memory, as the network makes them.
    """
    y, hidden = signals.batch(torch.arange(len(signals)) if rows is None else rows)
    layout = torch.channels_last if y.ndim == 4 else torch.preserve_format
    y, A = observe(
        y.to(device, memory_format=layout), hidden if hidden is None else hidden.to(device)
    )
    return y, A.to(device)
