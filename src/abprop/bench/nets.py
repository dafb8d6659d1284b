"""The networks that are measured, and what `fit` does with them.

    face64     d = 100          3x64x64       64 channels   faces, as a DCGAN: 64 at a time, on a
                                                            GPU 1000
    texture    168x5x5          3x96x96       32 channels   a crop of a picture of large pieces, its
                                                            factors at three scales
    sound      12x10            72x115        32 channels   a crop of spectra of a clip of 44.1 kHz,
                                                            learned at 22.05: windows of 6.4 ms
    video      d = 40           3x64x64       32 channels   a frame: videos are learned so
    spacetime  32x10 over time  3x32x64x64    16 channels   a stretch, with data.kind=spacetime;
                                                            takes as long as all others, so it is
                                                            measured only where it is named

All but face64 have the latents, widths and batches (16, and 8 of spacetime) that the library
chooses for such a source (a test asks it). Kernel, number of steps and likelihood are those of the
preset. The texture's term from draws is left out: it is no part of the alternation.
"""

from __future__ import annotations

import itertools
from collections import deque
from dataclasses import dataclass
from math import prod

import torch

from abprop.data import Examples
from abprop.inference import Info, State, due, infer
from abprop.learning import Learning, Settings, make_network
from abprop.networks import ConvGenerator
from abprop.noise import Noise
from abprop.operators import Identity
from abprop.rehearsal import Choice
from abprop.run.recipe import compose, settings

SETTLED = 1000  # iterations, after which looks at the curvature are rare


@dataclass(frozen=True)
class Net:
    """A network and how it is learned.

    Attributes:
        preset: a name of `run.recipe.presets()`.
        latent: shape of z, as a recipe says it.
        shape: (C, *size) of a signal.
        channels, levels, prior: the recipe's `model.*`.
        batch: examples in an iteration, and in a pass; the preset's if None.
        many: the same on a GPU; `batch` if None.
    """

    preset: str
    latent: str
    shape: tuple[int, ...]
    channels: int
    levels: int = 1
    prior: str = "gaussian"
    batch: int | None = None
    many: int | None = None

    def settings(self, where: torch.device) -> Settings:
        """What learning takes: the preset, and this network."""
        batch = self.many if where.type == "cuda" and self.many else self.batch
        model = {"latent": self.latent, "channels": self.channels, "levels": self.levels}
        model |= {"prior": self.prior, "sigma": 0.3}
        train = {"iterations": 2 * SETTLED, "draws": 0.0, "batch": batch}
        infer = {"start": "prior", "wait": 0}
        if batch:  # all of them in one pass
            infer |= {"chunk": batch + -batch % 16}
        keys = {f"model.{k}": v for k, v in model.items()}
        keys |= {f"train.{k}": v for k, v in train.items()}
        keys |= {f"infer.{k}": v for k, v in infer.items()}
        return settings(compose(self.preset, [], **keys))


NETS = {
    "face64": Net("images", "100", (3, 64, 64), 64, batch=64, many=1000),
    "texture": Net("texture", "168x5x5", (3, 96, 96), 32, levels=3, prior="markov"),
    "sound": Net("sound", "12x10", (72, 115), 32, prior="markov"),
    "video": Net("video", "40", (3, 64, 64), 32),
    "spacetime": Net("spacetime", "32x10", (3, 32, 64, 64), 16, prior="markov"),
}
USUAL = tuple(name for name in NETS if name != "spacetime")


def network(net: Net, where: torch.device, dtype: torch.dtype) -> ConvGenerator:
    """Its f with weights of a usual size."""
    made = make_network(net.settings(where).model, net.shape, dtype)
    assert isinstance(made, ConvGenerator)
    random = torch.Generator().manual_seed(0)
    made.reset(lambda size: torch.randn(size, generator=random))
    return made.to(where)


class Fitting:
    """Learning as `fit` does it, on signals of no meaning, in the middle of a run.

    Looks at the curvature, 3 % of all passes, are left out.

    Args:
        net: which.
        where, choice: device, precision and forms.
    """

    def __init__(self, net: Net, where: torch.device, choice: Choice) -> None:
        plain, n = net.settings(where), prod(net.shape)
        self.steps, batch = plain.infer.steps, plain.train.batch
        y = Noise(0, "bench y").at(torch.arange(batch)).uniform(n)
        y = (2 * y - 1).float().reshape(batch, *net.shape)
        examples = Examples(y, Identity(batch, net.shape), torch.arange(batch), net.shape)
        self.learning = Learning(plain, examples, device=where, dtype=choice.dtype)
        if choice.forms:
            self.learning.model.network.forms = choice.forms
        self.batch = examples.batch(device=where)
        self.t = next(t for t in itertools.count(SETTLED) if not due(t, self.steps))
        self.iterate()  # new chains are looked at once

    def visit(self) -> tuple[State, Info]:
        """`steps` Langevin steps of all chains, from where they are each time."""
        learning, (ids, y, A, _) = self.learning, self.batch
        return infer(
            learning.model, y, A, learning.latents[ids], learning.kernel, steps=self.steps,
            noise=Noise(0).at(ids), metric=learning.latents.metric, chunk=learning.chunk,
        )  # fmt: skip

    def iterate(self) -> None:
        """One learning iteration: a visit, and the weights."""
        self.learning.t = self.t
        deque(self.learning.steps(self.t + 1), maxlen=0)
