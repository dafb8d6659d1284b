"""One clip of a moving pattern, in stretches of time or frame by frame."""

from abprop.kinds.videos.clip import save_clip
from abprop.kinds.videos.frames import Frames
from abprop.kinds.videos.video import Video

__all__ = ["Frames", "Video", "save_clip"]
