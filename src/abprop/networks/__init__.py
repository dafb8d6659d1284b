"""The top-down generator f: latent factors z (B, *latent) -> signal x (B, C, *size).

One family serves every signal, by the number of axes of its size (0: a table, 1: sound, 2: image,
3: video or volume) and the form of its latent:

    vector (d,)      dense -> grid -> [up 2x -> leaky ReLU] ... -> up 2x -> tanh      one object
    map (k, *grid)   1x1   -> grid -> [up 2x -> leaky ReLU] ... -> up 2x -> tanh      stationary

"up 2x" is a transposed convolution (kernel 4, stride 2): the paper's linear superposition of basis
functions. A map's network pads nowhere, so every output entry is the same function of its
neighbourhood in z: a larger map is a larger texture, and no border shows.

Inference needs x and vector-Jacobian products with f, never a gradient for W. `freeze()` gives just
that: weights cast once, activations overwritten in place, `pullback(v) = (df/dz)^T v` written out.
The factors of a map may enter at several scales (see `levels`).

There is no batch normalisation: in training mode it couples the chains of a batch.
"""

from collections.abc import Callable

from abprop.networks.base import Frozen, Generator, Pullback
from abprop.networks.conv import ConvGenerator
from abprop.networks.levels import Levels
from abprop.networks.linear import LinearGenerator
from abprop.networks.stages import SLOPE


def _linear(latent: tuple[int, ...], signal: tuple[int, ...], **hidden: object) -> Generator:
    """Nothing is hidden: no channels, and products stay in float32."""
    return LinearGenerator(latent, signal)


# From the latent's shape, the signal's shape, channels= and dtype= of what lies between.
NETWORKS: dict[str, Callable[..., Generator]] = {"conv": ConvGenerator, "linear": _linear}

__all__ = [
    "NETWORKS", "SLOPE", "ConvGenerator", "Frozen", "Generator", "Levels", "LinearGenerator",
    "Pullback",
]  # fmt: skip
