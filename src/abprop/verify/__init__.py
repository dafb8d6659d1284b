"""Whether chains sample what they say, on this machine: known answers against each kernel.

linear_mean         of a linear generator, z | y ~ N(m, H^-1),  H = I + W^T M W / sigma^2:
                    C (mean of C chains - m)^T H (...) summed over examples is chi-square
linear_covariance   along the eigen-directions of H, the largest |variance of the draws * h - 1|
predicted_bias      the same for plain Langevin against the variance that its step size must have,
                    1 / (h (1 - s^2 h / 4)) in the metric's coordinates
likelihood_gap      nats per dimension between the linear generator that alternating
                    back-propagation learns and the optimum of probabilistic PCA
sbc                 simulation-based calibration of a non-linear generator: z from the prior, y
                    from z, draws from z | y; the rank of z among them is uniform
coverage90          share of those z inside the [5 %, 95 %] interval of their draws
ais_error           nats between log p(y) of a linear generator by annealed importance sampling
                    and the exact one, mean over examples; complete and half hidden, from near and
                    from the prior
ais_gap             of simulated signals, nats between the estimates from above and from below

Chains have their kernel's defaults and start from prior draws, and each example has a mask of its
own. S. Talts, M. Betancourt, D. Simpson, A. Vehtari, A. Gelman: Validating Bayesian Inference
Algorithms with Simulation-Based Calibration, 2018. M. E. Tipping, C. M. Bishop: Probabilistic
Principal Component Analysis, JRSS B 1999.
"""

from abprop.verify.annealed import ANNEALED, annealing_checks, exact
from abprop.verify.base import Found, Plan, Size, draws
from abprop.verify.everything import CHECKS, SEEDS, one, summary, verify
from abprop.verify.known import PLANS, SAMPLERS, SPECTRA, Linear, linear, linear_checks
from abprop.verify.learned import likelihood_check
from abprop.verify.ranks import BINS, FACTORS, RANKS, calibration_checks, ranks_of

__all__ = [
    "ANNEALED",
    "CHECKS",
    "SAMPLERS",
    "SEEDS",
    "PLANS",
    "SPECTRA",
    "Plan",
    "Size",
    "Found",
    "draws",
    "Linear",
    "linear",
    "linear_checks",
    "BINS",
    "FACTORS",
    "RANKS",
    "ranks_of",
    "annealing_checks",
    "calibration_checks",
    "exact",
    "likelihood_check",
    "one",
    "verify",
    "summary",
]
