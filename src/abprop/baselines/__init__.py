"""What others would answer: the fields' standard methods, in the same units and for the same data.

Complete signals (reconstructions)      baseline   mean, pca, mirrored (with mirror images)
Signals with hidden entries             fill       mean, pca, biharmonic, linear, knn, iterative
Indirect measurements y = A x           recover    minnorm, lasso, tv, kriging, bicubic
A texture from one picture              texture    phase, tiles, quilting
A sound from one clip                   sound      phase, repetition, white
A video from one clip                   video      lds, phase, loop

    minnorm   x = A^+ y, the least of all signals that agree with the measurements
    lasso     x = Psi c,  min_c 1/2 |y - A Psi c|^2 + lambda |c|_1,  Psi the orthonormal DCT over
              channels (of three: one luma, two chromas) and axes
    tv        min_x 1/2 |y - A x|^2 + lambda TV(x), by deepinv (`pip install deepinv`)
    kriging   E[x | y] of stationary x, their spectrum as y makes it most likely (see `residuals`)
    bicubic   a picture made smaller, brought back by cubic interpolation

A. Ilin, T. Raiko: Practical Approaches to Principal Component Analysis in the Presence of Missing
Values, JMLR 2010 (pca; see `principal`). S. B. Damelin, N. S. Hoang: On Surface Completion and
Image Inpainting by Biharmonic Functions, IJMMS 2018. R. Tibshirani: Regression Shrinkage and
Selection via the Lasso, JRSS B 1996.
"""

from abprop.baselines.common import Filled
from abprop.baselines.complete import BASELINES, baseline
from abprop.baselines.filling import FILLERS, fill
from abprop.baselines.measured import RECOVERIES, recover
from abprop.baselines.sounds import SOUNDS, sound
from abprop.baselines.textures import TEXTURES, texture
from abprop.baselines.videos import VIDEOS, video

__all__ = [
    "BASELINES",
    "FILLERS",
    "RECOVERIES",
    "SOUNDS",
    "TEXTURES",
    "VIDEOS",
    "Filled",
    "baseline",
    "fill",
    "recover",
    "sound",
    "texture",
    "video",
]
