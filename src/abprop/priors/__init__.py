"""What the latent factors are before anything is seen.

    standard:  p(z) = N(0, I)                                   (the paper's)
    gaussian:  p(z) = N(mu, S),  mu and S = mean and covariance of the current z's
    markov:    over maps: blocks of the inferred maps that fit their neighbours (see `markov`)
    mixture:   over vectors: N(mu, S) while learning, then a mixture of Gaussians fitted to the z's
    learned:   over vectors: a flow that is learned with f (see `shaped`)

The Gaussian's step is closed-form EM, as a running average over the batches. For a vector it adds
nothing to the model (z' = L^-1 (z - mu), folded into the first layer, gives back N(0, I) and the
same f): it is the parameter expansion of Liu, Rubin and Wu (Parameter expansion to accelerate EM,
Biometrika 1998), and keeps samples from N(0, I) as good as reconstructions. For a map (k, h, w)
mu and S are over the k channels, shared by all positions: a stationary signal stays stationary.
"""

from abprop.priors.base import FAR, Foldable, Prior, normals
from abprop.priors.markov import Markov
from abprop.priors.normal import Gaussian, StandardNormal
from abprop.priors.shaped import Flow, Mixture, Shaped

PRIORS = {
    "standard": StandardNormal, "gaussian": Gaussian, "markov": Markov, "mixture": Mixture,
    "learned": Flow,
}  # fmt: skip

__all__ = [
    "FAR", "PRIORS", "Flow", "Foldable", "Gaussian", "Markov", "Mixture", "Prior", "Shaped",
    "StandardNormal", "normals",
]  # fmt: skip
