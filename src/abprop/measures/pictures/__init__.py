"""How much a set of made pictures is like a set of independent real ones; see `sets`."""

from abprop.measures.pictures.frechet import frechet
from abprop.measures.pictures.sets import Pictures

__all__ = ["Pictures", "frechet"]
