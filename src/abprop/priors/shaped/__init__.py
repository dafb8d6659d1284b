"""Priors over vectors that are a Gaussian in all but its shape; see `base`."""

from abprop.priors.shaped.base import Law, Shaped
from abprop.priors.shaped.flow import Flow
from abprop.priors.shaped.mixture import Mixture

__all__ = ["Flow", "Law", "Mixture", "Shaped"]
