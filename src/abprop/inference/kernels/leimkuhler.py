"""Langevin dynamics after Leimkuhler and Matthews: the noise of two steps, averaged.

    u <- u + (s^2 / 2) d/du log p + s (noise_j + noise_{j+1}) / 2

The noise of a step returns in the next one. On a Gaussian posterior the chain's covariance is exact
at every stable step size (Euler's is not), and elsewhere its error is of the second order in s^2,
at the same one pass a step. So steps may be long: aiming at s^2 lambda / 4 = .25, a direction
forgets half of where it was in every step. noise_j is keyed by the chain's own count of steps, so
nothing has to be kept between visits.

B. Leimkuhler, C. Matthews: Rational Construction of Stochastic Numerical Methods for Molecular
Sampling, Applied Mathematics Research eXpress 2013. B. Leimkuhler, C. Matthews, M. Tretyakov: On
the Long-Time Integration of Stochastic Gradient Systems, Proc. Royal Society A 2014.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from abprop.inference.base import Chain, normal
from abprop.inference.unadjusted import Unadjusted
from abprop.noise import Keyed


@dataclass(frozen=True)
class LeimkuhlerMatthews(Unadjusted):
    """Langevin dynamics with averaged noise.

    Args:
        step_size: s in z's own units, or None to adapt it to each example.
    """

    def aim(self, size: int) -> float:
        """s^2 lambda / 4: half of the step at which a chain forgets most at once."""
        return 0.25

    def added(self, chain: Chain, noise: Keyed) -> tuple[Tensor | None, Tensor | None]:
        """The mean of this step's noise and the next one's."""
        now = normal(noise, chain.z) if chain.ahead is None else chain.ahead
        ahead = normal(noise.later(1), chain.z)
        return (now + ahead) / 2, ahead
