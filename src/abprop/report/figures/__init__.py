"""What a report shows, by the names that kinds of signals give.

Each is a function of a run that gives figures or tables, none where there is nothing to show: the
data cannot be found, or signals of this shape are no pictures.
"""

from collections.abc import Callable

from abprop.report.figures import pictures, sounds, tables, videos
from abprop.report.figures.pictures import Shown, coloured, heat, own, seen
from abprop.report.figures.tables import WIDE, headings
from abprop.run import Run

FIGURES: dict[str, Callable[[Run], Shown]] = {
    "reconstructions": pictures.reconstructions,
    "samples": pictures.samples,
    "plane": pictures.plane,
    "interpolation": pictures.interpolation,
    "nearest": pictures.nearest_neighbours,
    "source": pictures.source,
    "crops": pictures.crops,
    "synthesis": pictures.synthesis,
    "likeness": pictures.likeness,
    "columns": tables.columns,
    "rows": tables.rows,
    "clip": sounds.clip,
    "explained": sounds.explained,
    "sounded": sounds.sounded,
    "heard": sounds.heard,
    "voices": sounds.voices,
    "voiced": sounds.voiced,
    "filmed": videos.filmed,
    "played": videos.played,
    "moved": videos.moved,
}

__all__ = ["FIGURES", "WIDE", "coloured", "headings", "heat", "own", "seen"]
