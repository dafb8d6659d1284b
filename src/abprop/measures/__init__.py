"""How much a made picture is like the material of a real one, as ratios to real-to-real.

    ratio = mean distance of pieces of the made picture to pieces of the real one
            / mean distance of disjoint pieces of the real one to each other

1 is another piece of the material. Each distance can be fooled in a way of its own, so the largest
ratio counts (`sample_ratio`):

    portilla_simoncelli   joint statistics of a steerable pyramid; see `portilla`
    wasserstein           distribution of small patches: fading, blur, noise
    coherence             made patches that are like no real one: grain, wrong shapes
    completeness          real patches that no made one is like: what was left out

Two more say how new it is, 1 where as new as another piece of the material, 0 where copied:
`copy_ratio` (distance of larger patches to the nearest of the real picture) and `repeat_ratio`
(to the nearest elsewhere in the made picture itself).
"""

from abprop.measures.clips import Clip
from abprop.measures.material import Material, Ratios
from abprop.measures.moving import Moving
from abprop.measures.pictures import Pictures

__all__ = ["Clip", "Material", "Moving", "Pictures", "Ratios"]
