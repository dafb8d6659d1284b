"""Small models that several tests infer with."""

import torch
from torch import Tensor

from abprop.likelihoods import Gaussian
from abprop.model import Model
from abprop.networks import ConvGenerator, LinearGenerator
from abprop.noise import Noise
from abprop.priors import StandardNormal

D, N = 4, 12


def linear_model(sigma: float = 0.5) -> Model:
    f = LinearGenerator((D,), (N,)).double()
    f.reset(lambda shape: 10 * Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    return Model(f, StandardNormal((D,)), Gaussian(sigma)).double()


def conv_model(dtype: torch.dtype = torch.float32) -> Model:
    f = ConvGenerator((6,), (3, 32, 32), channels=8, dtype=dtype)
    f.reset(lambda shape: Noise(0, "weights").at(torch.zeros(1)).normal(shape)[0])
    return Model(f, StandardNormal((6,)), Gaussian(0.3))


def normal(shape: tuple[int, ...]) -> Tensor:
    return Noise(5, "test").at(torch.zeros(1)).normal(shape)[0].float()
