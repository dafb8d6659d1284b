"""How much a made sound is like the material of a real clip, as ratios to real-to-real.

As for pictures (see `measures`): mean distance of pieces of the made sound to pieces of the clip,
over that of disjoint pieces of the clip to each other. Each family of statistics (see `cochlea`) is
a distance of its own,

    d(a, b) = (mean over its statistics s of ((s(a) - s(b)) / sd_s)^2)^(1/2)

sd_s over overlapping pieces of the clip; the largest ratio counts. `copy_ratio` and `repeat_ratio`
compare PATCH seconds of envelopes, all bands, in their principal components.
"""

from __future__ import annotations

import torch
from torch import Tensor

from abprop.errors import UserError
from abprop.measures.cochlea import Statistics, envelopes, statistics
from abprop.measures.material import Ratios, apart, ratio
from abprop.measures.patches import Coordinates, nearest
from abprop.measures.portilla import distances

PIECES, SHORTEST = 4, 0.5  # pieces of a clip, and seconds of one at least
LONGEST = 4.0  # seconds
OVERLAPPING = 12  # pieces by which a statistic's deviation is told
PATCH, EVERY = 100, 10  # frames of an envelope that are looked for, and from one to the next
COMPONENTS = 64


class Clip:
    """What disjoint pieces of one clip have in common.

    Args:
        sound: mono (T,), any level.
        rate: samples a second.

    Raises:
        UserError: too short to be cut into pieces.
    """

    def __init__(self, sound: Tensor, rate: float) -> None:
        self.rate, self.length = rate, round(min(LONGEST * rate, len(sound) // PIECES))
        if self.length < SHORTEST * rate:
            raise UserError(
                f"a clip of {len(sound) / rate:.2f} s is too short to be judged: at least "
                f"{PIECES * SHORTEST:g} s are needed"
            )
        self.real = self._told(self._cut(sound))
        room = len(sound) - self.length
        starts = [room * i // (OVERLAPPING - 1) for i in range(OVERLAPPING)]
        around = self._told(torch.stack([sound[s : s + self.length] for s in starts]))
        self.deviation = {name: values.std(0) for name, values in around.items()}
        self.alike = {name: apart(d) for name, d in self._distances(self.real).items()}
        whole = envelopes(sound[None], rate)[0]
        patches, self.frames = _patches(whole, 1), whole.shape[1]
        self.coordinates = Coordinates.of(patches, COMPONENTS, white=False)
        self.known = self.coordinates(patches)
        self.newness, self.variety = self._newness(whole), self._variety(whole)

    def ratios(self, made: Tensor) -> Ratios:
        """How a sound (T,) of the same rate and level compares; see the module.

        Raises:
            UserError: shorter than a piece.
        """
        if len(made) < self.length:
            raise UserError(f"a sample must last {self.length / self.rate:.2f} s to be judged")
        found = self._distances(self._told(self._cut(made)))
        told = {name: ratio(d.mean(), self.alike[name]) for name, d in found.items()}
        whole = envelopes(made[None], self.rate)[0]
        copied = nearest(self.coordinates(_patches(whole, EVERY)), self.known).mean()
        return {
            "sample_ratio": max(told.values()),
            **told,
            "copy_ratio": ratio(copied, self.newness),
            "repeat_ratio": ratio(self._variety(whole[:, : self.frames]), self.variety),
        }

    def _cut(self, sound: Tensor) -> Tensor:
        """Disjoint pieces, (n, length)."""
        count = min(PIECES, len(sound) // self.length)
        return sound[: count * self.length].reshape(count, self.length)

    def _told(self, pieces: Tensor) -> Statistics:
        return statistics(envelopes(pieces, self.rate))

    def _distances(self, found: Statistics) -> dict[str, Tensor]:
        """Of pieces (n) from those of the clip (m), (n, m) for each family."""
        return {
            name: distances(values, self.real[name], self.deviation[name])
            for name, values in found.items()
        }

    def _newness(self, whole: Tensor) -> Tensor:
        """Mean distance of a piece's patches to the nearest beyond the piece."""
        step, at, found = self.frames // PIECES, torch.arange(len(self.known)), []
        for begin in range(0, PIECES * step, step):
            beyond = (at <= begin - PATCH) | (at >= begin + step)
            asked = self.coordinates(_patches(whole[:, begin : begin + step], EVERY))
            found.append(nearest(asked, self.known[beyond]))
        return torch.cat(found).mean()

    def _variety(self, whole: Tensor) -> Tensor:
        """Mean distance of patches to the nearest that does not overlap."""
        patches = self.coordinates(_patches(whole, EVERY))
        at = torch.arange(len(patches)) * EVERY
        off = nearest(patches, patches, (at[:, None] - at).abs() >= PATCH)
        return off[torch.isfinite(off)].mean()


def _patches(envelope: Tensor, every: int) -> Tensor:
    """Of (BANDS, frames), (n, BANDS PATCH) float32."""
    return envelope.float().unfold(1, PATCH, every).movedim(1, 0).flatten(1)
