"""Encoded pictures as numbers, and pictures brought to one size and number of channels."""

from abprop.files.pictures.reading import Picture, decode
from abprop.files.pictures.sizes import check_channels, uniform

__all__ = ["Picture", "check_channels", "decode", "uniform"]
