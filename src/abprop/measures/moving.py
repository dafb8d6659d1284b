"""How much a made video is like the material of a real clip, as ratios to real-to-real.

As for pictures (see `measures`), for pieces in time. Patches of three frames in a row, in

    ((a + b + c) / 3,   u (c - a),   v (a - 2 b + c))

as if these were colours of one picture; u and v make the change from frame to frame count as much
as what is seen: without them a frozen frame would pass. Beside the patch distances

    tempo       rms over bands of frequency of the difference, in dB, of how much frames differ
                there, plus 1 dB: flicker, and motion too slow

`copy_ratio` and `repeat_ratio` compare windows of half the frame's sides, seen coarsely at three
moments, with those of other times at the same place.
"""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from abprop.errors import UserError
from abprop.measures.material import NOTHING, Ratios, ratio
from abprop.measures.patches import Comparison, Distances, Patches, nearest

MOST, LENGTH = 4, 32  # pieces of a clip, and frames from which on it has more than two
SHORTEST, SMALLEST = 8, 32  # frames of a piece; pixels on a side
LOOKED = 24  # triples of frames that tell patches, of a piece
BANDS = 8  # of frequency
APART = 3  # frames between the moments that are looked for
COARSE = 8  # numbers a side of a window that is looked for
STEPS = (4, 2, 1)  # from patch to patch, at each octave
ELSEWHERE = 12  # frames from which on another moment is another


class Moving:
    """What disjoint pieces of one clip have in common.

    Args:
        clip: (C, T, H, W) in model units, complete.

    Raises:
        UserError: too short or too small to be judged.
    """

    def __init__(self, clip: Tensor) -> None:
        frames, *sides = clip.shape[1:]
        count = max(2, min(MOST, frames // LENGTH))
        self.count, self.length = count, frames // count
        if self.length < SHORTEST or min(sides) < SMALLEST:
            raise UserError(
                f"a clip of {frames} frames of {sides[1]}x{sides[0]} is too small to be judged: "
                f"at least {2 * SHORTEST} of {SMALLEST}x{SMALLEST} are needed"
            )
        deviations = [part.std() for part in _told(clip)]
        self.scales = [deviations[0] / (deviation + NOTHING) for deviation in deviations]
        self.comparison = Comparison(self._triples(clip))
        pieces = self._cut(clip)
        own, whole = [self._patches(piece) for piece in pieces], range(count)
        self.references = [
            [torch.cat(parts) for parts in zip(*(own[j] for j in whole if j != i), strict=True)]
            for i in whole
        ]
        self.alike = self.comparison.each(own, self.references)
        self.tempi = [tempo(piece) for piece in pieces]
        others = [(a, b) for i, a in enumerate(self.tempi) for b in self.tempi[:i]]
        self.alike_tempo = torch.stack([_decibels(a, b) for a, b in others]).mean()
        self.windows = _windows(clip)
        self.newness, self.variety = self._newness(), _variety(self.windows)

    def ratios(self, made: Tensor) -> Ratios:
        """How a video (C, t, H, W) in model units compares; see the module.

        Raises:
            UserError: shorter than a piece.
        """
        if made.shape[1] < self.length:
            raise UserError(f"a sample must have {self.length} frames to be judged")
        pieces = self._cut(made)
        asked = [self._patches(piece) for piece in pieces]
        found = self.comparison.all(asked, self.references)
        told = {
            name: ratio(there, here)
            for name, there, here in zip(Distances._fields, found, self.alike, strict=True)
        }
        off = torch.stack([_decibels(tempo(p), real) for p in pieces for real in self.tempi])
        told["tempo"] = ratio(off.mean() + 1, self.alike_tempo + 1)
        windows = _windows(made)
        copied = torch.stack(
            [nearest(w, real).mean() for w, real in zip(windows, self.windows, strict=True)]
        )
        return {
            "sample_ratio": max(told.values()),
            **told,
            "copy_ratio": ratio(copied.mean(), self.newness),
            "repeat_ratio": ratio(_variety(windows[:, : self.windows.shape[1]]), self.variety),
        }

    def _cut(self, clip: Tensor) -> list[Tensor]:
        """Disjoint pieces in time."""
        count = min(MOST, clip.shape[1] // self.length)
        return list(clip[:, : count * self.length].split(self.length, 1))

    def _triples(self, piece: Tensor) -> Tensor:
        """Some moments of a piece as pictures, (n, 3 C, H, W)."""
        told = _told(piece)
        at = torch.linspace(0, told[0].shape[1] - 1, LOOKED).round().long().unique()
        parts = [part[:, at] * scale for part, scale in zip(told, self.scales, strict=True)]
        return torch.cat(parts).movedim(1, 0)

    def _patches(self, piece: Tensor) -> Patches:
        return self.comparison.patches(self._triples(piece), STEPS)

    def _newness(self) -> Tensor:
        """Mean distance of a piece's windows to the nearest beyond the piece."""
        at, found = torch.arange(self.windows.shape[1]), []
        for begin in range(0, self.count * self.length, self.length):
            beyond = (at <= begin - 2 * APART) | (at >= begin + self.length)
            own = (at >= begin) & (at < begin + self.length - 2 * APART)
            found += [nearest(w[own], w[beyond]) for w in self.windows]
        return torch.cat(found).mean()


def _told(clip: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, first and second difference of three frames in a row, (C, T - 2, H, W) each."""
    a, b, c = clip[:, :-2], clip[:, 1:-1], clip[:, 2:]
    return (a + b + c) / 3, c - a, a - 2 * b + c


def tempo(clip: Tensor) -> Tensor:
    """How much frames differ at each band of frequency, in dB, (BANDS,).

    Args:
        clip: (C, T, H, W).
    """
    off = clip[:, 1:] - clip[:, :-1]
    window = torch.hann_window(off.shape[1], periodic=False).reshape(-1, 1, 1)
    power = torch.fft.rfft(off * window, dim=1).abs().square().mean((0, 2, 3))
    power = power / window.square().sum()
    edges = torch.linspace(0, len(power), BANDS + 1).round().long().tolist()
    bands = [power[a : max(b, a + 1)].mean() for a, b in pairwise(edges)]
    return 10 * torch.log10(torch.stack(bands) + NOTHING)


def _decibels(a: Tensor, b: Tensor) -> Tensor:
    return (a - b).square().mean().sqrt()


def _windows(clip: Tensor) -> Tensor:
    """Windows at nine places at all moments, (9, t, D)."""
    small = F.adaptive_avg_pool2d(clip.movedim(1, 0), (2 * COARSE, 2 * COARSE))
    t = len(small) - 2 * APART
    moments = torch.cat([small[i * APART : i * APART + t] for i in range(3)], 1)
    places = [(y, x) for y in (0, COARSE // 2, COARSE) for x in (0, COARSE // 2, COARSE)]
    return torch.stack(
        [moments[:, :, y : y + COARSE, x : x + COARSE].flatten(1) for y, x in places]
    )


def _variety(windows: Tensor) -> Tensor:
    """Mean distance of windows to the nearest at another time."""
    at = torch.arange(windows.shape[1])
    elsewhere = (at[:, None] - at).abs() >= ELSEWHERE
    off = torch.cat([nearest(w, w, elsewhere) for w in windows])
    return off[torch.isfinite(off)].mean()
