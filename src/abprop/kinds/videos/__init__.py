"""One clip of a moving pattern, in stretches of time or frame by frame."""

from abprop.kinds.videos.clip import save_clip
from abprop.kinds.videos.spacetime import Spacetime
from abprop.kinds.videos.video import Video

__all__ = ["Spacetime", "Video", "save_clip"]
