"""The run directory: what a run depends on, what it wrote, and the fitted run itself."""

from abprop.run.directory import load
from abprop.run.fitted import Run
from abprop.run.fitting import Growth, Layers, Progress, Session, fit

__all__ = ["Growth", "Layers", "Progress", "Run", "Session", "fit", "load"]
