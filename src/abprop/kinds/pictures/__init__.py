"""Sets of pictures, and one picture of a material."""

from abprop.kinds.pictures.images import Images
from abprop.kinds.pictures.texture import Texture

__all__ = ["Images", "Texture"]
