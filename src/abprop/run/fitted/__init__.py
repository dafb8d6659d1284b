"""A fitted run and what can be done with it."""

from abprop.run.fitted.run import Run

__all__ = ["Run"]
