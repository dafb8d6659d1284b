"""Floating-point operations of the plain network, whatever is executed.

    forward  F      =  2 sum over layers of places * |w|    a dense layer, or one of the factors,
                                                            stands at each cell of its map, and a
                                                            transposed convolution at each entry of
                                                            its input
    a step          =  2 F                                  forward, and the same again back to z
    the weights     =  3 F - factors                        forward, back to activations, and to W

where `factors` are those of the layers that take z itself: learning W asks for no gradient in z. A
multiplication and an addition are two; biases, leaky ReLU and tanh are none. Taps that fall beside
the signal count too, as in `torch.utils.flop_counter`, with which a test compares.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from abprop.networks import ConvGenerator


def step(network: ConvGenerator) -> int:
    """Of one Langevin step on one example."""
    return 2 * (_factors(network) + _stages(network))


def iteration(network: ConvGenerator, steps: int) -> int:
    """Of a learning iteration for one example: `steps` Langevin steps, then the weights."""
    return steps * step(network) + 2 * _factors(network) + 3 * _stages(network)


def _factors(network: ConvGenerator) -> int:
    """Forward, of the layers that take z: the dense one, and those of finer scales."""
    inputs = [*_inputs(network)]
    cells = math.prod(network.latent_shape[1:])
    finer = zip(network.finer, inputs[1:], strict=False)  # enter what the stages before have made
    return 2 * (cells * network.dense.numel() + sum(math.prod(n) * w.numel() for w, n in finer))


def _stages(network: ConvGenerator) -> int:
    """Forward, of the transposed convolutions."""
    layers = zip(network.weights, _inputs(network), strict=True)
    return 2 * sum(math.prod(size) * w.numel() for w, size in layers)


def _inputs(network: ConvGenerator) -> Iterator[list[int]]:
    """Side lengths of each stage's input."""
    size = [*network.latent_shape[1:], *network.fixed]
    for w in network.weights:
        yield size
        still = len(size) - (w.ndim - 2)  # axes in front that this stage does not double
        # Along a map nothing is padded: the outermost entry on either side is not valid.
        size = [
            n if i < still else 2 * n - 2 if i < network.axes else 2 * n for i, n in enumerate(size)
        ]
