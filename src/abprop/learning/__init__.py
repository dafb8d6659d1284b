"""Learning: the parts of Algorithm 1 from plain settings, the loop, its scores and its plan."""

from abprop.learning.learning import Learning, Score
from abprop.learning.parts import arithmetic, make_model, make_network
from abprop.learning.plan import Clock, Plan, fastest, planned, waiting
from abprop.learning.settings import InferSettings, ModelSettings, Settings, TrainSettings

__all__ = [
    "Clock",
    "InferSettings",
    "Learning",
    "ModelSettings",
    "Plan",
    "Score",
    "Settings",
    "TrainSettings",
    "arithmetic",
    "fastest",
    "make_model",
    "make_network",
    "planned",
    "waiting",
]
