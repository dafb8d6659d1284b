"""Residuals, and whole signals, of which linear measurements alone are seen."""

from abprop.residuals.indirect.completion import Completion, Known
from abprop.residuals.indirect.law import Indirect, Loose
from abprop.residuals.indirect.power import Power, fit_power

__all__ = ["Completion", "Indirect", "Known", "Loose", "Power", "fit_power"]
