"""Sounds: one clip of noise by its spectra or of tones by its samples, or a set of clips."""

from abprop.kinds.sounds.several import Sounds
from abprop.kinds.sounds.sound import Sound
from abprop.kinds.sounds.waveform import Waveform

__all__ = ["Sound", "Sounds", "Waveform"]
