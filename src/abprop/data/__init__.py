"""Examples with stable ids, what is hidden of them, and how they were observed."""

from abprop.data.examples import Examples
from abprop.data.hiding import check_rule, hidden_by, set_aside
from abprop.data.sensors import Sensor, sensor
from abprop.data.signals import ASIDE, MISSING, OBSERVED, SECRET, Scale, Signals
from abprop.data.views import Views, crops, mirrored, shifted, whole

__all__ = [
    "ASIDE",
    "MISSING",
    "OBSERVED",
    "SECRET",
    "Examples",
    "Scale",
    "Sensor",
    "Signals",
    "Views",
    "check_rule",
    "crops",
    "hidden_by",
    "mirrored",
    "sensor",
    "set_aside",
    "shifted",
    "whole",
]
