"""What data say before learning starts: where f and chains begin, how hot to learn, what mirrors.

Signals that were not seen whole are looked at through probabilistic PCA with missing entries.
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop import principal
from abprop.data import Examples
from abprop.data.views import compared, mirror_ratio
from abprop.errors import UserError
from abprop.evenly import evenly
from abprop.model import Model
from abprop.whole import HERE, Whole

HEAT = 1.8  # sigma in units of PCA's residual
MIRROR_LIMIT = 1.15  # mirrored copies are used if PCA explains them this nearly as well
FEWEST = 50  # examples that PCA can be trusted with
MOST = 2000  # examples that PCA is fitted to
GLANCED = 256  # examples whose channels' means are taken
ROUNDS = 8  # of EM: far from settled, near enough to start from
BLOCK = 1024  # examples looked at together


def hot_sigma(seen: Examples, d: int) -> float | str:
    """HEAT times the residual that PCA leaves on examples it has not seen.

    Hotter than the residual itself: the noise of the chains is what keeps f from memorising (the
    table is in docs/results.md). "learned" where PCA cannot tell: too few examples.
    """
    rows = _some(len(seen))
    if len(rows) < FEWEST or 3 * len(rows) // 4 <= d + 1:
        return "learned"
    x, observed = _flat(seen, rows)
    unseen = torch.arange(len(x)) % 4 == 0
    shown, left = (None, None) if observed is None else (observed[~unseen], observed[unseen])
    model = principal.fit(x[~unseen], shown, min(d, x.shape[1]), iterations=ROUNDS)
    rest = x[unseen] - _projected(model, x[unseen], left)
    if left is not None:
        rest = rest[left.repeat(1, x.shape[1] // left.shape[1])]
    residual = rest.square().mean().sqrt().item()
    return round(min(1.0, max(0.05, HEAT * residual)), 3)


def _projected(model: principal.PPCA, x: Tensor, observed: Tensor | None) -> Tensor:
    if observed is not None:
        return model.reconstruct(x, observed)
    axes = torch.linalg.qr(model.W).Q
    return (x - model.mean) @ axes @ axes.T + model.mean


def means(seen: Examples) -> Tensor | None:
    """What each channel is in the mean over observed entries, (C,); None behind a measurement.

    Args:
        seen: the examples, of which up to GLANCED are looked at.
    """
    y, hidden = _whole(seen, torch.tensor(_some(len(seen), GLANCED)))
    return _channels(y, hidden).flatten() if y.shape[1:] == seen.signal_shape else None


def _channels(y: Tensor, hidden: Tensor | None) -> Tensor:
    """Means of each channel, (1, C, 1, ...)."""
    axes = [0, *range(2, y.ndim)]
    if hidden is None:
        return y.mean(axes, keepdim=True)
    shown = (~hidden).float()
    total = shown.sum(axes, keepdim=True).clamp_min(1)
    return (y * shown).sum(axes, keepdim=True) / total


def mirrors(seen: Examples) -> bool:
    """Whether the pictures are their own mirror images as a set."""
    if len(seen) < FEWEST:
        return False
    y, hidden = _whole(seen, torch.from_numpy(compared(len(seen), seed=0)))
    return mirror_ratio(_without_holes(y, hidden).numpy()) < MIRROR_LIMIT


def _without_holes(y: Tensor, hidden: Tensor | None) -> Tensor:
    """What is missing becomes the mean, the same from all sides."""
    if hidden is None:
        return y
    shown = (~hidden).float()
    return torch.where(hidden, (y * shown).sum(0) / shown.sum(0).clamp_min(1), y)


def scores(
    train: Examples, originals: int, d: int, rows: Tensor | None = None, whole: Whole = HERE
) -> Tensor:
    """Principal component scores of the examples on one common scale, (M, d).

    Not whitened: equal distances in z are about equal distances in x, so that log p(y | z) curves
    alike in every direction and Langevin mixes in all of them at one step size. The prior carries
    the variances.

    Args:
        train: the examples.
        originals: PCA is fitted to the first so many; copies follow them.
        d: how many.
        rows: which examples; all of them if None.
        whole: all of which these are a part.
    """
    x, observed = _flat(train, _some(originals))
    most = min(len(x) - 1, x.shape[1])
    if d > most:
        raise UserError(
            f"infer.start=pca gives at most {most} factors here and model.latent={d}; "
            "add --set infer.start=prior"
        )
    rows = torch.arange(len(train)) if rows is None else rows
    blocks = rows.split(BLOCK)  # reading takes room
    if observed is None:
        mean = x.mean(0)
        axes = principal.principal_axes(x - mean, d)
        found = torch.cat([(train.y[b].flatten(1) - mean) @ axes for b in blocks])
        return _one_scale(found, whole)
    model = principal.fit(x, observed, d, iterations=ROUNDS)
    _, lengths, turn = torch.linalg.svd(model.W, full_matrices=False)
    found = torch.cat([model.posterior(*_flat(train, b))[0] for b in blocks])
    return _one_scale(found @ turn.T * lengths, whole)


def cell_scores(train: Examples, model: Model) -> Tensor:
    """Principal component scores of the piece of each crop that a map's cell lies over.

    (M, k, *grid), on one common scale. Cells of a finer level see what the coarser ones leave over.
    Cells beyond the edge see the edge repeated. What is hidden is the mean of its channel.
    """
    network = model.network
    _, *grid = network.latent_shape
    y, hidden = _whole(train, torch.arange(len(train)))
    if hidden is not None:
        y = torch.where(hidden, _channels(y, hidden), y)
    rest, parts = _over(_along(y, len(grid)), grid, 2**network.stages), []
    for level in range(network.levels.count):
        found, rest = _level_scores(rest, 2 ** (network.stages - level), network.levels.channels)
        parts.append(found)
    return _one_scale(network.levels.packed(parts).contiguous())


def _along(y: Tensor, axes: int) -> Tensor:
    """The entries of all axes but the map's as channels, (M, C rest, *along)."""
    return y.flatten(2 + axes).movedim(-1, 2).flatten(1, 2) if y.ndim > 2 + axes else y


def _over(y: Tensor, grid: list[int], cell: int) -> Tensor:
    """Crops (M, C, *size) as all cells of the map see them, (M, C, *(cell grid))."""
    for axis, (n, g) in enumerate(zip(y.shape[2:], grid, strict=True), 2):
        first = round(n / 2 - cell * g / 2)
        places = torch.arange(first, first + cell * g).clamp(0, n - 1)
        y = y.index_select(axis, places)
    return y


def _level_scores(x: Tensor, cell: int, k: int) -> tuple[Tensor, Tensor]:
    """Scores (M, k, *grid) of the pieces under cells of that side, and what they leave of x."""
    (count, channels), grid = x.shape[:2], [n // cell for n in x.shape[2:]]
    cells = range(2, 2 * x.ndim - 2, 2)  # axes that number cells; each is followed by one within
    order = [0, *cells, 1, *(axis + 1 for axis in cells)]
    split = x.reshape(count, channels, *(m for n in grid for m in (n, cell))).permute(order)
    pieces = split.reshape(-1, channels * cell ** len(grid))
    mean, some = pieces.mean(0), pieces[evenly(len(pieces), MOST)]
    axes = principal.principal_axes(some - mean, min(k, pieces.shape[1]))
    found = (pieces - mean) @ axes
    left = (pieces - mean - found @ axes.T).reshape(split.shape)
    found = torch.nn.functional.pad(found, (0, k - found.shape[1]))
    rest = left.permute([order.index(axis) for axis in range(left.ndim)]).reshape(x.shape)
    return found.reshape(count, *grid, k).movedim(-1, 1), rest


def _one_scale(z: Tensor, whole: Whole = HERE) -> Tensor:
    """z divided by one number, in place."""
    squares, count = whole.sum(lambda z: (z.square().sum(), z.new_full((), z.numel())), z)
    return z.div_((squares / count).sqrt().clamp_min(1e-6))


def _some(count: int, most: int = MOST) -> range:
    return range(count)[evenly(count, most)]


def _whole(seen: Examples, rows: Tensor) -> tuple[Tensor, Tensor | None]:
    """y (n, ...) and what is hidden of it, of the same shape; None if nothing is."""
    return seen.y[rows], getattr(seen.A[rows], "hidden", None)


def _flat(seen: Examples, rows: range | Tensor) -> tuple[Tensor, Tensor | None]:
    """y (n, D), and which entries were observed, (n, G) as `principal` takes it.

    A mask that all channels share is told once: G is then D over the number of channels.
    """
    y, hidden = _whole(seen, torch.as_tensor(rows))
    if hidden is not None and hidden.ndim > 2 and (hidden == hidden[:, :1]).all():
        hidden = hidden[:, :1]
    return y.flatten(1), None if hidden is None else ~hidden.flatten(1)
