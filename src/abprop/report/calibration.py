"""A picture of simulation-based calibration: how often the truth had each rank among its draws."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from abprop.errors import UserError
from abprop.inference import KERNELS
from abprop.verify import BINS, FACTORS, RANKS, SAMPLERS, Size, ranks_of


def check_picture(path: Path) -> None:
    """Refuse a picture that could not be drawn before anything takes minutes.

    Raises:
        UserError: its extension is none that can be written, or there is no such folder.
    """
    from matplotlib.figure import Figure

    known = Figure().canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        raise UserError(f"-o {path}: must end in one of .{', .'.join(sorted(known))}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"-o {path}: there is no folder {path.parent}")


def draw_ranks(path: Path, seeds: int) -> None:
    """A histogram for each kernel, with the band in which 99 % of the bars of a right one lie.

    Args:
        path: a picture; its extension says of which kind.
        seeds: how many, from 0, are taken together.

    Raises:
        UserError: it cannot be written.
    """
    from matplotlib.figure import Figure
    from scipy.stats import binom

    size = Size()
    figure = Figure((10, 2.6), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(SAMPLERS), sharey=True), SAMPLERS, strict=True):
        ranks = np.concatenate(
            [ranks_of(name, s, size, KERNELS[name]).numpy() for s in range(seeds)]
        )
        n = seeds * size.simulations * FACTORS
        low, high = binom.ppf([0.005, 0.995], n, 1 / BINS) * BINS / n
        heights = np.bincount(ranks.ravel() * BINS // (RANKS + 1), minlength=BINS) * BINS / n
        axes.axhspan(low, high, color="0.6", alpha=0.5, zorder=3)
        axes.bar((np.arange(BINS) + 0.5) / BINS, heights, 0.9 / BINS, color="#0072b2")
        axes.set(title=name, xlim=(0, 1), ylim=(0, 1.6), xlabel="rank of the truth")
    figure.axes[0].set_ylabel("frequency; 1 is right")
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise UserError(f"-o {path}: cannot be written ({error.strerror or error})") from error
