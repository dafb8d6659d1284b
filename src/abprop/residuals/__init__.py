"""What a generator leaves over is correlated, and so says something about what was not seen.

    y = f(z) + e,    e ~ N(0, C),    C[(a, u), (b, v)] = c_ab(v - u)         (stationary)

A pixel's residual tells its neighbours'. Two uses, both through Vecchia's approximation: the
entries in an order, each given at most n of its nearest predecessors,

    p(e) = prod_i N(e_i; w_i . e_near(i), v_i)

with the observed entries first. Whitening, u_i = (e_i - w_i . e_near(i)) / sqrt(v_i), is linear in
the signal: a measurement operator, under which the correlated likelihood is the white one with
sigma = 1. Going through the hidden entries in their order draws from p(e_hidden | e_observed).

Behind linear measurements y = A x the same law tells what A does not see; see `indirect`.

A. V. Vecchia: Estimation and Model Identification for Continuous Spatial Processes, JRSS B 1988.
M. Katzfuss, J. Guinness: A General Framework for Vecchia Approximations of Gaussian Processes,
Statistical Science 2021.
"""

from abprop.residuals.estimation import fit
from abprop.residuals.indirect import Completion, Indirect, Known, Loose, Power, fit_power
from abprop.residuals.joint import MOST, Joint, fit_joint
from abprop.residuals.laws import (
    Correlated,
    Covariance,
    Independent,
    Law,
    White,
)
from abprop.residuals.neighbours import Field, field
from abprop.residuals.stationary import Stationary
from abprop.residuals.whitening import Whitened

Residual = White | Covariance | Joint

__all__ = [
    "fit",
    "Residual",
    "White",
    "Joint",
    "MOST",
    "fit_joint",
    "Covariance",
    "Stationary",
    "Law",
    "Independent",
    "Correlated",
    "Completion",
    "Indirect",
    "Known",
    "Loose",
    "Power",
    "fit_power",
    "Field",
    "field",
    "Whitened",
]
