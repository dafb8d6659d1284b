"""Fitting a run: read, plan, learn, save, resume; alone or as several processes."""

from abprop.run.fitting.loop import fit
from abprop.run.fitting.preparing import begun
from abprop.run.fitting.session import Growth, Layers, Progress, Session

__all__ = ["Growth", "Layers", "Progress", "Session", "begun", "fit"]
