"""What ratios of a sample to its material say, whatever the material is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from abprop.measures import Ratios

SEEDS = (0, 1)  # of the samples that are judged; never chosen
NOT_DISTANCES = ("sample_ratio", "copy_ratio", "repeat_ratio")
CLOSE, FAR = 1.3, 1.7  # ratios of distances: hard to tell from the material, and easy
NEW, COPIED = 0.8, 0.5  # ratios that fall where something is copied

Likeness = dict[str, float | dict[str, float]]


def likeness(found: Ratios, noise: Ratios, key: str) -> Likeness:
    """Ratios of samples as a score.

    Args:
        found: of samples, see `mean`.
        noise: of Gaussian noise with the material's spectrum.
        key: the ratio by which both are held against each other, if they have it.

    Returns:
        `sample_ratio`, `copy_ratio`, `repeat_ratio`, `noise_ratio` (how far the samples are on the
        way from the material, 0, to that noise, 1) and all `ratios`.
    """
    told: Likeness = {name: found[name] for name in NOT_DISTANCES}
    if key in found:
        above = noise[key] - 1
        told["noise_ratio"] = (found[key] - 1) / above if above > 0 else np.nan
    return {**told, "ratios": {name: v for name, v in found.items() if name not in told}}


def beside(
    ratios: Callable[[Any], Ratios],
    samples: Iterable[Any],
    rival: Callable[[str, int], Any],
    rivals: Sequence[str],
    key: str,
) -> tuple[Likeness, dict[str, Ratios]]:
    """Samples as a score, and a row for each of others' works, both held against one material.

    Args:
        ratios: of one sample, or one of others' works.
        samples: of the run.
        rival: what others make, by name and seed; "phase" is noise with the material's spectrum.
        rivals: names of those that shall have a row.
        key: see `likeness`.
    """
    found = mean([ratios(x) for x in samples])
    rows = {
        name: mean([ratios(rival(name, seed)) for seed in SEEDS])
        for name in dict.fromkeys(("phase", *rivals))
    }
    return likeness(found, rows["phase"], key), {name: rows[name] for name in rivals}


def mean(told: Sequence[Ratios]) -> Ratios:
    """Of several samples; the largest ratio is that of the means."""
    means = {key: float(np.mean([one[key] for one in told])) for key in told[0]}
    return {**means, "sample_ratio": max(v for k, v in means.items() if k not in NOT_DISTANCES)}


def verdict(name: str, ratio: float, real: str) -> str:
    """Whether a ratio is good; `real` is what the sample is held against."""
    if name in ("copy_ratio", "repeat_ratio"):
        return "new" if ratio >= NEW else "partly the same" if ratio >= COPIED else "the same"
    return f"like {real}" if ratio <= CLOSE else "near it" if ratio <= FAR else "unlike it"
