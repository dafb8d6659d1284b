"""Kinds of signals, one file and one row each. The first that recognises an array has it."""

from abprop.kinds.array import Array
from abprop.kinds.base import Kind, Raw, Request
from abprop.kinds.pictures import Images, Texture
from abprop.kinds.sounds import Sound, Sounds, Waveform
from abprop.kinds.table import Table
from abprop.kinds.videos import Spacetime, Video

KINDS: dict[str, Kind] = {
    "sound": Sound(),
    "sounds": Sounds(),  # folders that hold more sounds than pictures; images read the others
    "waveform": Waveform(),
    "video": Video(),
    "spacetime": Spacetime(),  # of a video too, where it is asked for
    "images": Images(),
    "texture": Texture(),
    "table": Table(),
    "array": Array(),  # recognises everything, so it comes last
}

__all__ = ["KINDS", "Kind", "Raw", "Request"]
