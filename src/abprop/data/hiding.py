"""Rules that hide parts of examples, and parts set aside to check uncertainty with.

    P.5     random patches, 3 entries along every axis, covering about half; cells of a table
    S.05    single entries, each with that probability
    M20     one block of 20 entries along every axis
    C.3     clouds: smoothed noise beyond a threshold, covering that share

What a rule hides of an example depends on the rule, the seed and the example's id alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from abprop.data.signals import ASIDE, OBSERVED, Signals
from abprop.errors import UserError
from abprop.noise import Noise

_RULE = re.compile(r"([PSC])(0?\.\d{1,6})|(M)([1-9]\d{0,5})")
_EXAMPLES = "P.5 (patches), S.05 (single entries), M20 (a block), C.3 (clouds)"
_PATCH = 3
_BLOCK = 64  # examples at once
_CLOUD = 16  # clouds are smooth over this part of a side
_MOST_ASIDE = 0.5  # of an example's observed entries
_DISCS, _IN_ALL = 8, 1024  # set aside in one example at most; in few examples, together
_ROWS = 4096  # examples whose numbers are drawn at once


def check_rule(rule: str) -> tuple[str, float]:
    """The letter and the number of a rule.

    Raises:
        UserError: it is none.
    """
    match = _RULE.fullmatch(rule.strip())
    letter, number = (match[1] or match[3], float(match[2] or match[4])) if match else ("", 0.0)
    if not number:
        raise UserError(f"--hide {rule!r} is no rule; use one of {_EXAMPLES}")
    return letter, number


def hidden_by(rule: str, shape: tuple[int, ...], ids: np.ndarray, seed: int) -> np.ndarray:
    """What a rule hides: bool (n, 1, *size), or (n, C) of a table.

    Args:
        rule: see above.
        shape: (C, *size) of an example.
        ids: of the examples, int64 (n,).
        seed: another seed, other places.

    Raises:
        UserError: no rule, or a block that does not fit.
    """
    letter, number = check_rule(rule)
    size = shape[1:] or shape
    blocks = torch.as_tensor(ids, dtype=torch.int64).split(_BLOCK)
    noise = Noise(seed, "hide")
    parts = [_HIDE[letter](noise, block, size, number, not shape[1:]) for block in blocks]
    hidden = torch.cat(parts).numpy()
    return hidden if not shape[1:] else hidden[:, None]


def _patches(noise: Noise, ids: Tensor, size: tuple[int, ...], share: float, table: bool) -> Tensor:
    if table:
        return _single(noise, ids, size, share, table)
    chance = 1 - (1 - share) ** (1 / _PATCH ** len(size))
    wide = tuple(n + _PATCH - 1 for n in size)  # patches may hang over the edge
    hidden = _single(noise, ids, wide, chance, table)
    for axis in range(1, len(size) + 1):
        hidden = hidden.unfold(axis, _PATCH, 1).any(-1)
    return hidden


def _single(noise: Noise, ids: Tensor, size: tuple[int, ...], share: float, table: bool) -> Tensor:
    return noise.at(ids).uniform(int(np.prod(size))).reshape(-1, *size) < share


def _block(noise: Noise, ids: Tensor, size: tuple[int, ...], side: float, table: bool) -> Tensor:
    if side > min(size):
        raise UserError(
            f"--hide M{side:.0f}: a block of {side:.0f} does not fit into "
            f"{'x'.join(map(str, size))}; choose a smaller one"
        )
    room = torch.tensor([n - int(side) + 1 for n in size])
    corners = (noise.at(ids).uniform(len(size)) * room).long()
    hidden = torch.ones(len(ids), *size, dtype=torch.bool)
    for axis, n in enumerate(size):
        along = torch.arange(n) - corners[:, axis : axis + 1]
        inside = (along >= 0) & (along < side)
        hidden &= inside.reshape(-1, *(n if a == axis else 1 for a in range(len(size))))
    return hidden


def _clouds(noise: Noise, ids: Tensor, size: tuple[int, ...], share: float, table: bool) -> Tensor:
    if table:
        return _single(noise, ids, size, share, table)
    axes = tuple(range(1, len(size) + 1))
    field = torch.fft.fftn(noise.at(ids).normal(size), dim=axes)
    for axis, n in zip(axes, size, strict=True):
        width = max(1.0, min(size) / _CLOUD)
        smooth = torch.exp(-2 * (np.pi * width * torch.fft.fftfreq(n)) ** 2).double()
        field = field * smooth.reshape(-1, *(1 for _ in range(len(size) - axis)))
    smooth = torch.fft.ifftn(field, dim=axes).real.flatten(1)
    count = round(share * smooth.shape[1])
    hidden = torch.zeros_like(smooth, dtype=torch.bool)
    hidden.scatter_(1, smooth.topk(count, 1).indices, True)
    return hidden.reshape(-1, *size)


_HIDE = {"P": _patches, "S": _single, "M": _block, "C": _clouds}


# Set aside ------------------------------------------------------------------------------------


def set_aside(
    signals: Signals, share: float, seed: int, sizes: Sequence[int] | None = None
) -> Signals:
    """About `share` of what was observed becomes ASIDE, as deep as what is hidden.

    Discs about random observed places, with radii drawn from the distances between hidden entries
    and the nearest observed ones: what is set aside is as hard to tell as what is hidden. Where
    channels have masks of their own, a disc is in one of them. Cells of a table are set aside one
    by one. Without anything hidden nothing is set aside.

    Args:
        signals: all of them.
        share: of what was observed.
        seed: of the places.
        sizes: of parts that follow each other, each treated as if it were alone; else all are one.
    """
    if signals.veil is None or not share:
        return signals
    veil = signals.veil.copy()
    for end, size in zip(np.cumsum(sizes or [len(veil)]), sizes or [len(veil)], strict=True):
        _put_aside(veil, np.arange(end - size, end), share, Noise(seed, "aside"), signals)
    return signals.become(signals.values, veil, signals.names)


def _put_aside(
    veil: np.ndarray, part: np.ndarray, share: float, noise: Noise, signals: Signals
) -> None:
    """The same for the rows of one part, in place."""
    choose = _cells if signals.dims == 0 else _discs
    discs = max(_DISCS, _IN_ALL // len(part))
    width, owed = signals.shape[0] if signals.dims == 0 else 2 * discs, 0.0
    for rows in np.array_split(part, -(-len(part) // _ROWS)):
        observed = veil[rows] == OBSERVED
        counts = observed.reshape(len(rows), -1).sum(1)
        some = (counts > 0) & (counts < observed[0].size)
        keyed = noise.at(torch.from_numpy(rows), t=int(signals.dims == 0))
        numbers = keyed.uniform(width).numpy()
        for i, row in enumerate(rows.tolist()):
            owed += share * counts[i]
            if some[i]:
                now = choose(observed[i], owed, numbers[i])
                owed -= now.sum()
                veil[row] = np.where(now, np.uint8(ASIDE), veil[row])


def _cells(observed: np.ndarray, owed: float, numbers: np.ndarray) -> np.ndarray:
    """Of a row (C,): observed cells, those with the smallest numbers first."""
    places = observed.nonzero()[0]
    count = min(int(owed), int(_MOST_ASIDE * len(places)))
    now = np.zeros_like(observed)
    now[places[np.argsort(numbers[: len(places)])[:count]]] = True
    return now


def _discs(observed: np.ndarray, owed: float, numbers: np.ndarray) -> np.ndarray:
    """Of one example (1 or C, *size): observed entries within some discs."""
    shown, depths = np.argwhere(observed), _depths(observed)
    grid = np.stack(np.meshgrid(*map(np.arange, observed.shape[1:]), indexing="ij"), -1)
    now = np.zeros_like(observed)
    for place, radius in numbers.reshape(-1, 2).tolist():
        if owed <= now.sum():
            break
        channel, *centre = shown[int(place * len(shown))]
        reach = depths[int(radius * len(depths))] + 0.5
        disc = observed[channel] & (np.square(grid - centre).sum(-1) < reach**2)
        if now.sum() + (disc & ~now[channel]).sum() > _MOST_ASIDE * observed.sum():
            break
        now[channel] |= disc
    return now


def _depths(observed: np.ndarray) -> np.ndarray:
    """How far hidden entries are from the nearest observed one of their channel, ascending.

    A place that no channel shows, such as land in maps of the sea, is nothing to be told.
    """
    from scipy.ndimage import distance_transform_edt

    place = observed.any(0) if len(observed) > 1 else np.ones(observed.shape[1:], bool)
    found = [np.asarray(distance_transform_edt(~one))[~one & place] for one in observed]
    return np.sort(np.concatenate(found)) if any(map(len, found)) else np.zeros(1)
