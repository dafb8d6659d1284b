"""log p(y) of each example by annealed importance sampling, with a stated error.

    p(y) = integral of p(y, z) over z = E w,    w the weight of a chain from q to the posterior

`courses` says where chains begin and through which temperatures they go, `walk` how they move and
what a weight is, `weights` what the weights of several chains say.
"""

from abprop.annealing.annealed import Annealed, annealed, annealed_back
from abprop.annealing.courses import COURSES, Course, everywhere, near, temperatures
from abprop.annealing.laws import Everywhere, Near, Start
from abprop.annealing.weights import Estimate, estimate, reversed_estimate

__all__ = [
    "COURSES",
    "Annealed",
    "Course",
    "Estimate",
    "Everywhere",
    "Near",
    "Start",
    "annealed",
    "annealed_back",
    "estimate",
    "everywhere",
    "near",
    "reversed_estimate",
    "temperatures",
]
