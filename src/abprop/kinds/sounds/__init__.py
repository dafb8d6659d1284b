"""One clip of a sound."""

from abprop.kinds.sounds.sound import Sound

__all__ = ["Sound"]
