"""What was measured of a signal: y = A(x) + noise, one operator per example if need be.

    A(x)          the measurement, shape (B, ...)
    A.vjp(x)      the measurement and the map  v -> (dA/dx)^T v
    A.count       how many numbers of each example were measured, (B,)
    A.shape       the shape of one example's measurement
    A.linear      whether A is linear in x
    A[rows]       the operator of some of the batch's examples
    A.to(device)  the operator on another device

A mask is no special case: it is the operator x -> m * x with one m per example.
"""

from abprop.operators.base import Measurement, Operator, Pullback, for_many
from abprop.operators.chains import Compose, Each
from abprop.operators.entries import Identity, Mask, observe
from abprop.operators.foreign import Function, from_physics
from abprop.operators.given import Units, adopted, checked, in_model_units
from abprop.operators.linear import (
    Blur,
    Downsample,
    Grey,
    Projection,
    WhiteProjection,
    white,
    written_out,
)
from abprop.operators.rules import MEASURES, check_measure, check_measured, measure

__all__ = [
    "Operator",
    "Measurement",
    "Pullback",
    "for_many",
    "Identity",
    "Mask",
    "observe",
    "Projection",
    "WhiteProjection",
    "white",
    "written_out",
    "Blur",
    "Downsample",
    "Grey",
    "Compose",
    "Each",
    "Function",
    "from_physics",
    "Units",
    "adopted",
    "checked",
    "in_model_units",
    "MEASURES",
    "measure",
    "check_measure",
    "check_measured",
]
