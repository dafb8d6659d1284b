"""Sets of pictures, and one picture of a material."""

from abprop.kinds.pictures.images import Images, seen_through, stack
from abprop.kinds.pictures.texture import Texture

__all__ = ["Images", "Texture", "seen_through", "stack"]
