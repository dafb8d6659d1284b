"""A term on W from draws of the prior: what the likelihood never sees.

    weight * numbers / (2 sigma^2) * sum over octaves of mean over directions w of W_2(w.P, w.Q)^2

P: 7 x 7 patches of f(z) + e, z drawn from a Markov prior, e what f leaves over of an example; Q:
those of training examples; octaves 1 to 1/8; fresh random unit directions in every iteration. It
tells f what to make of codes that never stood side by side while learning, where blocks meet, and
asks of draws the sharpness that the mean of many explanations lacks. Without e it would ask f for
the grain that f does not explain, and f puts all of it in a few spots. It is a moment constraint,
as in FRAME, and a departure from the paper: `train.draws = 0` is the paper's way.

Blocks are put beside each other once, by what their pieces look like (principal components); which
codes they stand for is read from the chains as they are, so that nothing has to be remembered. They
do not fade into each other here: asked for patches as sharp as the picture's, f would put grain
where the codes of two blocks are mixed.

J. Rabin et al.: Wasserstein Barycenter and Its Application to Texture Mixing, SSVM 2011.
S. C. Zhu, Y. N. Wu, D. Mumford: Filters, Random Fields and Maximum Entropy (FRAME), IJCV 1998.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from abprop.data import Examples
from abprop.latents import Latents
from abprop.measures.patches import coarser, cut
from abprop.model import Model
from abprop.noise import Noise
from abprop.priors import Gaussian
from abprop.priors.blocks import Composition, Library, spread_over
from abprop.priors.markov import COMPONENTS

SIDE = 7  # pixels of a patch
STRIDES = (3, 2, 1, 1)  # from patch to patch, at each octave
DIRECTIONS = 32
MOST = 2048  # patches on either side
PERIODS = 12  # of the torus on which windows are looked at, along an axis
WINDOWS = 2  # in an iteration
LARGER = 2  # cells by which a window is larger than an example's map
SHOWN = 8  # examples whose patches are compared
MOST_HIDDEN = 0.5  # of a patch that is compared; f(z) stands in for it


@dataclass
class Drawn:
    """The term for one run.

    Args:
        model: its network and prior.
        latents: the chains.
        train: the examples.
        torus: which cells of which maps stand beside each other.
        weight: of the term.
        noise: the stream of windows, directions and examples.
    """

    model: Model
    latents: Latents
    train: Examples
    torus: Composition
    weight: float
    noise: Noise

    @classmethod
    def of(
        cls,
        model: Model,
        latents: Latents,
        train: Examples,
        scores: Tensor,
        weight: float,
        seed: int,
    ) -> Drawn:
        """The term for examples that were cut from one picture.

        Args:
            model, latents, train, weight: see the class.
            scores: what pieces look like, see `starts.cell_scores`.
            seed: of windows, directions and examples.
        """
        near = Gaussian(model.prior.shape)
        near.update(scores, 1.0)
        cell = 2**model.network.stages
        places = None if train.places is None else train.places[:, : scores.ndim - 2] / cell
        library = Library(near.leading(scores, COMPONENTS), places)
        lengths = (PERIODS * library.period,) * 2
        torus = library.torus(Noise(seed, "draws while learning"), 0, lengths).cut()
        return cls(model, latents, train, torus, weight, Noise(seed, "drawn"))

    def __call__(self, t: int) -> Tensor:
        """The term at iteration t, differentiable in W."""
        made = self.model.network(self._maps(t))
        some = (self.noise.uniform(SHOWN, 3 * t) * len(self.train)).long()
        _, y, A, _ = self.train.batch(some, made.device)
        hidden = getattr(A, "hidden", None)
        x = self._explained(some[:WINDOWS] if hidden is None else some)
        if hidden is not None:
            y = torch.where(hidden, x, y)
        made = made + _tiled(y[:WINDOWS] - x[:WINDOWS], made)
        numbers = math.prod(self.train.signal_shape)
        scale = self.weight * numbers / (2 * self.model.likelihood.sigma**2)
        return scale * self._distance(made, y, hidden, t)

    def _maps(self, t: int) -> Tensor:
        """Windows of the torus, of the codes as they are, (WINDOWS, k, *grid)."""
        z = self.latents.z[:: self.latents.chains]
        lengths = tuple(n + LARGER for n in z.shape[2:])
        where = self.noise.uniform(2 * WINDOWS, 3 * t + 1).reshape(WINDOWS, 2)
        starts_ = (where * torch.tensor(self.torus.lengths)).long().tolist()
        return torch.stack([self.torus.window(tuple(s), lengths).of(z) for s in starts_])

    @torch.no_grad()
    def _explained(self, rows: Tensor) -> Tensor:
        """f(z) of some examples."""
        z = self.latents.z
        return self.model.network(z[rows.to(z.device) * self.latents.chains])

    def _distance(self, made: Tensor, y: Tensor, hidden: Tensor | None, t: int) -> Tensor:
        turn = self.noise.at(torch.arange(len(STRIDES)), 3 * t + 2)
        directions = turn.normal((made.shape[1] * SIDE**2, DIRECTIONS)).to(made)
        directions = directions / directions.norm(dim=1, keepdim=True)
        found = 0 * made.sum()  # has a gradient also where nothing can be compared
        for octave, (every, w) in enumerate(zip(STRIDES, directions, strict=True)):
            ours, theirs = (_patches(v, octave, every) for v in (made, y))
            if hidden is not None:
                gone = _patches(hidden.expand(y.shape).to(y), octave, every)
                theirs = theirs[gone.mean(1) < MOST_HIDDEN]
            if min(len(ours), len(theirs)):
                found = found + sliced(ours, theirs, w)
        return found


def _tiled(rest: Tensor, like: Tensor) -> Tensor:
    """What f leaves over of some examples, laid side by side over windows."""
    many = [-(-n // m) for n, m in zip(like.shape[2:], rest.shape[2:], strict=True)]
    height, width = like.shape[2:]
    return rest.repeat(1, 1, *many)[:, :, :height, :width]


def _patches(x: Tensor, octave: int, every: int) -> Tensor:
    """Patches of pictures (B, C, H, W), (n, C SIDE^2); none where these are too small."""
    x = coarser(x, octave)
    if min(x.shape[2:]) < SIDE:
        return x.new_zeros(0, x.shape[1] * SIDE**2)
    return cut(x, SIDE, every)


def sliced(a: Tensor, b: Tensor, directions: Tensor) -> Tensor:
    """Mean over directions (D, m) of W_2^2 between the projections of a (n, D) and b."""
    count = min(len(a), len(b), MOST)
    a, b = ((v[spread_over(len(v), count)] @ directions).sort(0).values for v in (a, b))
    return (a - b).square().mean()
