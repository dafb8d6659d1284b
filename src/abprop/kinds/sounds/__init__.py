"""One clip of a sound: of noise by its spectra, of tones by its samples."""

from abprop.kinds.sounds.sound import Sound
from abprop.kinds.sounds.waveform import Waveform

__all__ = ["Sound", "Waveform"]
